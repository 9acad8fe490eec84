"""Real Cargo workspaces, put together from published crates: downloaded by cargo, never part of this repository.

Each member is a crate as it was published; `[patch.crates-io]` makes the members depend on each other.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

__all__ = ["PUBLISHED", "assemble"]

PUBLISHED = {
    # Nine packages, a binary, few macros: https://crates.io/crates/ripgrep
    "ripgrep": {
        "ripgrep": "15.1.0",
        "globset": "0.4.18",
        "grep": "0.4.1",
        "grep-cli": "0.1.12",
        "grep-matcher": "0.1.8",
        "grep-printer": "0.3.1",
        "grep-regex": "0.1.14",
        "grep-searcher": "0.1.16",
        "ignore": "0.4.25",
    },
    # Procedural macros and build scripts: https://crates.io/crates/serde and what stands around it
    "serde": {
        "serde": "1.0.228",
        "serde_core": "1.0.228",
        "serde_derive": "1.0.228",
        "serde_json": "1.0.145",
        "thiserror": "2.0.17",
        "thiserror-impl": "2.0.17",
        "anyhow": "1.0.100",
    },
    # One crate that is most of the work: https://crates.io/crates/sqlparser
    "sqlparser": {"sqlparser": "0.59.0", "sqlparser_derive": "0.3.0"},
    # Eighteen packages of a few hundred lines each: https://github.com/RustCrypto
    "rustcrypto": {
        "aes": "0.8.4",
        "blake2": "0.10.6",
        "block-buffer": "0.10.4",
        "block-padding": "0.3.3",
        "cbc": "0.1.2",
        "cipher": "0.4.4",
        "crypto-common": "0.1.6",
        "ctr": "0.9.2",
        "digest": "0.10.7",
        "hkdf": "0.12.4",
        "hmac": "0.12.1",
        "inout": "0.1.4",
        "md-5": "0.10.6",
        "ripemd": "0.1.3",
        "sha1": "0.10.6",
        "sha2": "0.10.9",
        "sha3": "0.10.8",
        "whirlpool": "0.10.4",
    },
    # 37 packages in a deep graph: https://crates.io/crates/gix 0.73 and what it stands on
    "gitoxide": {
        "gix-actor": "0.35.6",
        "gix-attributes": "0.27.0",
        "gix-bitmap": "0.2.14",
        "gix-chunk": "0.4.12",
        "gix-command": "0.6.2",
        "gix-commitgraph": "0.29.0",
        "gix-config": "0.46.0",
        "gix-config-value": "0.15.3",
        "gix-date": "0.10.7",
        "gix-diff": "0.53.0",
        "gix-features": "0.43.1",
        "gix-filter": "0.20.0",
        "gix-fs": "0.16.1",
        "gix-glob": "0.21.0",
        "gix-hash": "0.19.0",
        "gix-hashtable": "0.9.0",
        "gix-ignore": "0.16.0",
        "gix-index": "0.41.0",
        "gix-lock": "18.0.0",
        "gix-object": "0.50.2",
        "gix-packetline-blocking": "0.19.1",
        "gix-path": "0.10.22",
        "gix-pathspec": "0.12.0",
        "gix-quote": "0.6.2",
        "gix-ref": "0.53.1",
        "gix-refspec": "0.31.0",
        "gix-revision": "0.35.0",
        "gix-revwalk": "0.21.0",
        "gix-sec": "0.12.2",
        "gix-submodule": "0.20.0",
        "gix-tempfile": "18.0.0",
        "gix-trace": "0.1.21",
        "gix-traverse": "0.47.0",
        "gix-url": "0.32.0",
        "gix-utils": "0.3.6",
        "gix-validate": "0.10.1",
        "gix-worktree": "0.42.0",
    },
}

_LEFT_OUT = ("Cargo.lock", ".cargo*", "rust-toolchain*", "Cargo.toml.orig", "target")
# Targets of crates that cannot be used: benchmarks for a nightly toolchain, tests that hash for minutes without optimization.
_UNUSABLE = {crate: {"bench": "benches"} for crate in PUBLISHED["rustcrypto"]}
_UNUSABLE |= {crate: {"bench": "benches", "test": "tests"} for crate in ("sha2", "sha3", "whirlpool")}


def assemble(name: str, folder: Path) -> Path:
    """Build the workspace `name` in `folder` / `name` and return its root; nothing happens when it is there."""
    root = folder / name
    if (root / "Cargo.lock").is_file():
        return root
    crates = PUBLISHED[name]
    for crate, path in _sources(crates, folder / f".{name}-fetch").items():
        target = root / "crates" / crate
        unusable = _UNUSABLE.get(crate, {})
        shutil.copytree(path, target, ignore=shutil.ignore_patterns(*_LEFT_OUT, *unusable.values()))
        if unusable:
            manifest = target / "Cargo.toml"
            pattern = rf"^\[\[({'|'.join(unusable)})\]\]\n(.+\n)*"
            manifest.write_text(re.sub(pattern, "", manifest.read_text(), flags=re.MULTILINE))
    patches = "".join(f'{crate} = {{ path = "crates/{crate}" }}\n' for crate in crates)
    (root / "Cargo.toml").write_text(
        f'[workspace]\nmembers = ["crates/*"]\nresolver = "2"\n\n[patch.crates-io]\n{patches}'
    )
    # The newest release of a dependency may want a newer compiler than is here.
    environment = {**os.environ, "CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS": "fallback"}
    subprocess.run(["cargo", "generate-lockfile", "--quiet"], cwd=root, env=environment, check=True)
    subprocess.run(["cargo", "fetch", "--quiet"], cwd=root, check=True)
    return root


def _sources(crates: dict[str, str], scratch: Path) -> dict[str, Path]:
    (scratch / "src").mkdir(parents=True, exist_ok=True)
    (scratch / "src" / "lib.rs").write_text("")
    wanted = "".join(f'{crate} = "={version}"\n' for crate, version in crates.items())
    manifest = '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n\n[workspace]\n\n[dependencies]\n'
    (scratch / "Cargo.toml").write_text(manifest + wanted)
    subprocess.run(["cargo", "fetch", "--quiet"], cwd=scratch, check=True)
    output = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--offline"], cwd=scratch, check=True, capture_output=True
    ).stdout
    # A crate without a library is fetched and then ignored as a dependency, so that its source is found beside another's.
    found = next(package for package in json.loads(output)["packages"] if package["source"])
    sources = Path(found["manifest_path"]).parents[1]
    return {crate: sources / f"{crate}-{version}" for crate, version in crates.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PUBLISHED)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    print(assemble(arguments.name, arguments.folder))
