from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from generate_inputs import made_inputs

from buildopt.errors import ManifestError
from buildopt.generate import generate
from buildopt.generate.toml import parse
from buildopt.host import Command, Host
from buildopt.profile.model import Profile

pytestmark = pytest.mark.slow

CRATES = ("axum", "clap", "hyper", "image", "regex", "reqwest", "rusqlite", "serde_json", "tokio", "tracing-subscriber")
WANTED = 60
GATE = "made-by-the-test"


@pytest.fixture(scope="module")
def crates(tmp_path_factory: pytest.TempPathFactory, need: Callable[[str], Path]) -> list[Path]:
    """Return the folders of published packages, which cargo fetches when there are too few."""
    found = published()
    if len(found) < 2 * WANTED:
        root = tmp_path_factory.mktemp("fetch")
        dependencies = "".join(f'{name} = "*"\n' for name in CRATES)
        (root / "src").mkdir()
        (root / "src" / "lib.rs").touch()
        (root / "Cargo.toml").write_text(
            f'[package]\nname = "fetch"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\n{dependencies}'
        )
        result = Host().run(Command((str(need("cargo")), "fetch"), root, timeout_seconds=600.0))
        assert result.returncode == 0, result.stderr.decode()
        found = published()
    assert len(found) >= WANTED
    return found


def published() -> list[Path]:
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    newest = {
        path.parent.name.rpartition("-")[0]: path.parent for path in sorted(home.glob("registry/src/*/*/Cargo.toml"))
    }
    return sorted(newest.values())


def gateable(values: dict[str, Any]) -> list[tuple[str, ...]]:
    tables: list[tuple[tuple[str, ...], dict[str, Any]]] = [((), values)]
    tables += [(("target", platform), table) for platform, table in values.get("target", {}).items()]
    sections = ("dependencies", "build-dependencies")
    return [(*prefix, s, name) for prefix, table in tables for s in sections for name in table.get(s, {})]


def expected(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Return what a manifest says after a gate for the dependency `name`, from first principles."""
    items = [item for items in values.get("features", {}).values() for item in items]
    was_feature = False
    for *parts, key in gateable(values):
        table = values
        for part in parts:
            table = table[part]
        if key == name:
            given = table[key] if isinstance(table[key], dict) else {"version": table[key]}
            was_feature |= given.get("optional", False)
            table[key] = {**given, "optional": True}
    features = values.setdefault("features", {})
    features[GATE] = [f"dep:{name}"]
    if was_feature and f"dep:{name}" not in items:
        features.setdefault(name, [f"dep:{name}"])
    return values


def comments(text: str) -> Counter[str]:
    return Counter(line[line.index("#") :].strip() for line in text.splitlines() if "#" in line)


def gated(text: bytes) -> tuple[bytes, str] | None:
    """Return a manifest with its first dependency behind a gate, and the dependency; None when it has none."""
    values = parse(text.decode(), "Cargo.toml")
    names = [path[-1] for path in gateable(values)]
    if not names:
        return None
    inputs = made_inputs(
        Profile(version=1, features={values["package"]["name"]: {GATE: (f"dep:{names[0]}",)}}), {"Cargo.toml": text}
    )
    files = generate(inputs).files
    content = files["Cargo.toml"]
    assert content is not None
    assert generate(inputs._replace(texts={"Cargo.toml": content})).files["Cargo.toml"] == content
    return content, names[0]


def test_a_gate_in_published_manifests_changes_only_what_was_asked(crates: list[Path]) -> None:
    done = 0
    refused = []
    for crate in crates:
        for name in ("Cargo.toml", "Cargo.toml.orig"):
            before = (crate / name).read_bytes() if (crate / name).exists() else b""
            try:
                found = gated(before) if before else None
            except ManifestError as error:
                refused.append((crate.name, name, error.message))
                continue
            if found is None:
                continue
            after, dependency = found
            assert parse(after.decode(), name) == expected(parse(before.decode(), name), dependency), crate
            assert comments(before.decode()) == comments(after.decode()), crate
            done += 1
    assert done >= WANTED
    assert refused == []


def test_cargo_sees_nothing_else_change(
    crates: list[Path], tmp_path: Path, need: Callable[[str], Path], host: Host
) -> None:
    def metadata(root: Path) -> dict[str, Any]:
        argv = (str(need("cargo")), "metadata", "--no-deps", "--offline", "--format-version", "1")
        result = host.run(Command(argv, root, timeout_seconds=60.0))
        assert result.returncode == 0, (root, result.stderr.decode())
        return json.loads(result.stdout)["packages"][0]

    done = 0
    for crate in crates:
        found = gated((crate / "Cargo.toml").read_bytes())
        if found is None or done >= WANTED:
            continue
        after, dependency = found
        root = tmp_path / crate.name
        # A published toolchain file would have rustup change the toolchain of whoever runs this.
        shutil.copytree(crate, root, ignore=shutil.ignore_patterns("rust-toolchain*"))
        old = metadata(root)
        (root / "Cargo.toml").write_bytes(after)
        new = metadata(root)
        for package in (old, new):
            package["features"].pop(GATE, None)
            for each in package["dependencies"]:
                if (each["rename"] or each["name"]) == dependency and each["kind"] != "dev":
                    each["optional"] = True
        assert new == old
        shutil.rmtree(root)
        done += 1
    assert done >= 40
