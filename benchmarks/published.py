"""Real Cargo workspaces, put together from published crates: downloaded by cargo, never part of this repository.

Each member is a crate as it was published; `[patch.crates-io]` makes the members depend on each other.
"""

from __future__ import annotations

import argparse
import json
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
}


def assemble(name: str, folder: Path) -> Path:
    """Build the workspace `name` in `folder` / `name` and return its root; nothing happens when it is there."""
    root = folder / name
    if (root / "Cargo.lock").is_file():
        return root
    crates = PUBLISHED[name]
    for crate, path in _sources(crates, folder / f".{name}-fetch").items():
        target = root / "crates" / crate
        shutil.copytree(
            path,
            target,
            ignore=shutil.ignore_patterns("Cargo.lock", ".cargo*", "rust-toolchain*", "Cargo.toml.orig", "target"),
        )
    patches = "".join(f'{crate} = {{ path = "crates/{crate}" }}\n' for crate in crates)
    (root / "Cargo.toml").write_text(
        f'[workspace]\nmembers = ["crates/*"]\nresolver = "2"\n\n[patch.crates-io]\n{patches}'
    )
    subprocess.run(["cargo", "generate-lockfile", "--quiet"], cwd=root, check=True)
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
