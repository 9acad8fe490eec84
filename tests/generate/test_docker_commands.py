"""The commands of a generated Dockerfile, run by hand in their order with real Cargo: there is no Docker where tests run."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from dockerfile_runner import Docker

from buildopt.profile.model import Cargo, CargoProfile, Profile
from buildopt.profile.model import Docker as Declared

pytestmark = pytest.mark.slow
HEAD = '[package]\nname = "{}"\nversion = "0.0.1"\nedition = "2021"\n'
LEAF = 'pub fn word() -> &\'static str { "leaf" }\n'
VENDORED = """
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "vendor"
[build]
target-dir = "elsewhere"
rustc-wrapper = """


@pytest.fixture
def docker(tmp_path: Path, need: Callable[[str], Path]) -> Docker:
    need("cargo")
    return Docker(tmp_path / "docker")


def vendored(name: str, dependencies: str = "", code: str = LEAF) -> dict[str, str]:
    """Return a published package as `cargo vendor` keeps it, so that the test needs no network."""
    return {
        f"vendor/{name}/Cargo.toml": HEAD.format(name) + dependencies,
        f"vendor/{name}/build.rs": 'fn main() { println!("cargo::rerun-if-changed=build.rs"); }',
        f"vendor/{name}/src/lib.rs": code,
        f"vendor/{name}/.cargo-checksum.json": '{"files":{}}',
    }


def age(root: Path, days: int = 2) -> None:
    """Make every file look as if it had been written long ago, as files of a checkout that is kept are."""
    then = time.time() - days * 86400
    for path in root.rglob("*"):
        os.utime(path, (then, then))


def write(root: Path, files: Mapping[str, str], *, days: int) -> None:
    for name, text in files.items():
        (root / name).write_text(text)
    age(root, days)


VIRTUAL = {
    "Cargo.toml": '[workspace]\nmembers = ["crates/*"]\nexclude = ["extra"]\nresolver = "2"\n'
    '[patch.crates-io]\nmiddle = { path = "crates/middle" }\n',
    "crates/tool/Cargo.toml": HEAD.format("tool")
    + 'build = "build/main.rs"\n[[bin]]\nname = "tl"\npath = "src/main.rs"\nrequired-features = []\n'
    '[[bin]]\nname = "gui"\npath = "src/gui.rs"\nrequired-features = ["gui"]\n[features]\ngui = []\nloud = ["dep:late"]\n'
    '[dependencies]\nleaf = "0.0.1"\nwrap = "0.0.1"\nhelper = { path = "../../extra/helper" }\n'
    'late = { path = "../../extra/late", optional = true }\n',
    "crates/tool/build/main.rs": 'fn main() { println!("cargo::rustc-env=WORD=script"); }\n',
    "crates/tool/src/main.rs": 'fn main() { println!("{} {} {} {} {}", leaf::word(), wrap::WORD, helper::WORD,'
    ' option_env!("WORD").unwrap_or("no script"), late()); }\n'
    '#[cfg(feature = "loud")] fn late() -> &\'static str { late::WORD }\n'
    '#[cfg(not(feature = "loud"))] fn late() -> &\'static str { "" }\n',
    "crates/tool/src/gui.rs": "fn main() { compile_error!(); }\n",
    "crates/tool/examples/shown.rs": "fn main() {}\n",
    "crates/middle/Cargo.toml": HEAD.format("middle"),
    "crates/middle/src/lib.rs": 'pub const WORD: &str = "middle";\n',
    "crates/viewer/Cargo.toml": HEAD.format("viewer"),
    "crates/viewer/src/main.rs": 'fn main() { println!("viewer"); }\n',
    "extra/helper/Cargo.toml": HEAD.format("helper"),
    "extra/helper/src/lib.rs": 'pub const WORD: &str = "helper";\n',
    "extra/late/Cargo.toml": HEAD.format("late"),
    "extra/late/src/lib.rs": 'pub const WORD: &str = "late";\n',
    **vendored("leaf"),
    # A published package that uses a member: it must not be kept as it was built beside the stand-in.
    **vendored("wrap", '[dependencies]\nmiddle = "0.0.1"\n', "pub use middle::*;\n"),
}
FAST = Cargo(profile={"fast": CargoProfile(inherits="release", opt_level=0)})


def declared(**more: object) -> Profile:
    image = Declared(image="rust:1.95-slim-bookworm", runtime="debian:bookworm-slim", **more)
    return Profile(version=1, docker=image, cargo=FAST)


def workspace(root: Path, files: Mapping[str, str], tree: Callable[[Path, Mapping[str, str]], Path]) -> Path:
    tree(root, files)
    subprocess.run(["cargo", "generate-lockfile", "--offline", "--quiet"], cwd=root, check=True)
    return root


def test_an_edit_gives_the_new_program_and_builds_no_dependency_again(
    docker: Docker, tmp_path: Path, tree: Callable, sync: Callable
) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text('#!/bin/sh\nexec "$@"\n')
    wrapper.chmod(0o755)
    root = workspace(tmp_path / "ws", {**VIRTUAL, ".cargo/config.toml": f'{VENDORED}"{wrapper}"\n'}, tree)
    result = sync(root, declared(cargo_profile="fast", features=("loud",)))
    wrapper.unlink()  # no image has it
    assert [note for note in result.notes if "docker" in note] == [
        'docker: gui is left out, since it needs the features ["gui"]',
        "docker.binaries is not set: the image starts tl, and also has viewer",
    ]
    age(root)

    first = docker.build(root)
    assert first.run() == "leaf middle helper script late"
    assert first.entry == "/usr/local/bin/tl"
    assert {*first.files} == {"/usr/local/bin/tl", "/usr/local/bin/viewer"}
    assert first.user == "65532:65532"
    assert "Compiling leaf" in first.said

    again = docker.build(root)
    assert not again.ran

    write(root, {"crates/middle/src/lib.rs": 'pub const WORD: &str = "edited";\n'}, days=1)
    second = docker.build(root)
    assert second.run() == "leaf edited helper script late"
    assert [command.split()[0] for command in second.ran] == ["echo", "cargo"]
    assert "fetch" not in second.ran[1]
    assert "Compiling middle" in second.said
    assert "Compiling leaf" not in second.said
    assert "Compiling helper" not in second.said

    write(root, {"crates/tool/build/main.rs": 'fn main() { println!("cargo::rustc-env=WORD=other"); }\n'}, days=3)
    assert docker.build(root).run() == "leaf edited helper other late"

    write(root, {"extra/helper/src/lib.rs": 'pub const WORD: &str = "helped";\n'}, days=4)
    assert docker.build(root).run() == "leaf edited helped other late"


def test_no_clock_decides_whether_a_stand_in_is_shipped(
    docker: Docker, tmp_path: Path, tree: Callable, sync: Callable
) -> None:
    files = {
        "Cargo.toml": HEAD.format("alone"),
        "build.rs": VIRTUAL["crates/tool/build/main.rs"],
        "src/main.rs": 'fn main() { println!("{}", option_env!("WORD").unwrap_or("no script")); }\n',
    }
    root = workspace(tmp_path / "ws", files, tree)
    sync(root, declared())
    age(root)
    assert docker.build(root).run() == "script"

    dockerfile = root / "Dockerfile"
    text = dockerfile.read_text()
    plain = text.replace('#[cfg(not(stand_in))] compile_error!("a stand-in"); ', "")
    dockerfile.write_text(plain.replace("RUSTC_WORKSPACE_WRAPPER=/stand-in ", ""))
    assert docker.build(root).run() != "script"  # what the wrapper prevents
    dockerfile.write_text(text)

    for layer in docker.layers.iterdir():
        age(layer, days=-1)  # as from a machine whose clock is ahead
    (root / "src/main.rs").write_text('fn main() { println!("edited"); }\n')
    last = docker.build(root)
    assert last.run() == "edited"
    assert not [command for command in last.ran if "fetch" in command]
