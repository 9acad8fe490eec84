from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildopt.generate.features import find_problems, read_manifest
from buildopt.host import Command, Host
from buildopt.profile.model import Ide, Profile

PARTS = (
    "plain",
    "inline",
    "dotted",
    "table",
    "inherited",
    "short",
    "renamed",
    "target",
    "build",
    "both",
    "quoted",
    "kept",
    "used",
)
APP = """\
[package]
name = "app" # the program
version = "0.1.0"
edition = "2021"

[features]
default = ["std"]   # what most need
std = []
# turns on a feature of an optional dependency, and the dependency with it
extra = ["used/more", "kept"]

[dependencies]
plain = { path = "../plain" } # heavy
inline={path="../inline",version="0.1.0"}
dotted.path = "../dotted"
dotted.version = "0.1.0" # pinned
inherited.workspace = true
short = { workspace = true }
other = { path = "../renamed", package = "renamed" }
both = { path = "../both" }
"quoted" = { path = '../quoted', optional = false }
kept = { path = "../kept", optional = true }
used = { path = "../used" }

# in a table of its own
[dependencies.table]
path = "../table"

# for one platform
[target.'cfg(unix)'.dependencies]
target = { path = "../target" }

[build-dependencies]
build = { path = "../build" }
both = { path = "../both" }
"""


def files() -> dict[str, str]:
    members = {
        f"{name}/Cargo.toml": f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n[features]\nmore = []\n'
        for name in PARTS
    }
    root = (
        f'[workspace]\nresolver = "2"\nmembers = {json.dumps(["app", *PARTS])}\n[workspace.dependencies]\n'
        'inherited = { path = "inherited" }\nshort = { path = "short", default-features = false }\n'
    )
    sources = {f"{name}/src/lib.rs": "" for name in ("app", *PARTS)}
    return {"Cargo.toml": root, "app/Cargo.toml": APP, "app/build.rs": "fn main() {}\n", **members, **sources}


def metadata(run_cargo: Callable, root: Path) -> dict[str, Any]:
    packages = json.loads(run_cargo(root, "metadata", "--no-deps", "--format-version", "1").stdout)["packages"]
    return {package["name"]: package for package in packages}


def test_cargo_sees_every_form_become_optional_and_nothing_else(
    tmp_path: Path, tree: Callable, sync: Callable, run_cargo: Callable
) -> None:
    root = tree(tmp_path / "ws", files())
    keys = [name if name != "renamed" else "other" for name in PARTS]
    gates = {**{f"with-{key}": (f"dep:{key}",) for key in keys}, "default": ("with-plain",)}
    profile = Profile(version=1, features={"app": gates}, ide=Ide(features=("with-plain", "extra")))
    before = metadata(run_cargo, root)
    result = sync(root, profile)
    after = metadata(run_cargo, root)

    assert result.gated == ("app",)
    assert any("kept" in note for note in result.notes)
    for dependency in before["app"]["dependencies"]:
        dependency["optional"] = True
    expected = {**before["app"]["features"], **{name: list(items) for name, items in gates.items()}}
    before["app"]["features"] = {**expected, "default": ["std", "with-plain"], "kept": ["dep:kept"]}
    assert after == before

    output = run_cargo(root, "check", "-p", "app", "-v").stderr.decode()
    assert "Checking plain v0.1.0" in output
    assert "Checking inline" not in output
    everything = run_cargo(root, "check", "-p", "app", "-v", "--features", "app/extra,with-both").stderr.decode()
    assert all(f" {name} v0.1.0" in everything for name in ("used", "kept", "both"))
    text = (root / "app/Cargo.toml").read_text()
    assert [line[line.index("#") :] for line in APP.splitlines() if "#" in line] == [
        line[line.index("#") :] for line in text.splitlines() if "#" in line
    ]
    assert sync(root, profile).files == result.files


@pytest.mark.parametrize(
    "name", ["a", "é", "1a", "_", "a+b.c-d", "-a", "+a", ".a", "a b", "a/b", "dep:a", "a?", "", "a\u00b7", "²"]
)
def test_feature_names_are_judged_as_cargo_does(
    name: str, tmp_path: Path, tree: Callable, need: Callable, host: Host
) -> None:
    manifest = f'[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n[features]\n{json.dumps(name, ensure_ascii=False)} = []\n'
    root = tree(tmp_path / "ws", {"Cargo.toml": manifest, "src/lib.rs": ""})
    argv = (str(need("cargo")), "metadata", "--no-deps", "--offline", "--format-version", "1")
    accepted = host.run(Command(argv, root, timeout_seconds=60.0)).returncode == 0
    old = read_manifest({})
    assert (find_problems("app", "app", old, {name: ()}, {name: ()}) == []) is accepted
