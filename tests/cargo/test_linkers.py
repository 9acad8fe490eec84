from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from buildopt.cargo import linkers, probe_toolchain
from buildopt.host import Command, Finished, Host

MARKS = {"mold": rb"mold \d", "lld": rb"Linker: \w* ?LLD \d", "rust-lld": rb"Linker: LLD \d"}


class Counting(Host):
    def __init__(self, environ: dict[str, str] | None = None) -> None:
        super().__init__(environ)
        self.started: list[tuple[str, ...]] = []

    def run(self, command: Command, **streams: object) -> Finished:
        self.started.append(command.argv)
        return super().run(command, **streams)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def probed(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("linkers")
    host = Host()
    return linkers(host, folder, probe_toolchain(host, folder, folder / "state"), folder / "state")


@pytest.fixture
def hello(tmp_path, tree) -> Path:
    manifest = '[package]\nname = "hello"\nversion = "0.1.0"\nedition = "2021"\n'
    return tree(tmp_path / "hello", {"Cargo.toml": manifest, "src/main.rs": 'fn main() { println!("hi") }\n'})


def comment(root: Path) -> bytes:
    subprocess.run(["cargo", "build", "-q"], cwd=root, check=True)
    return subprocess.run(
        ["readelf", "-p", ".comment", "target/debug/hello"], cwd=root, check=True, capture_output=True
    ).stdout


@pytest.mark.parametrize(("name", "program"), [("mold", "mold"), ("lld", "ld.lld")])
def test_flags_make_cargo_use_that_linker(probed, hello, tree, need, name, program):
    need(program)
    need("readelf")
    probe = probed[name]
    assert probe.works, probe.why
    assert probe.path == Path(need(program))
    listed = ", ".join(f'"{flag}"' for flag in probe.rustflags)
    tree(hello, {".cargo/config.toml": f"[build]\nrustflags = [{listed}]\n"})
    said = comment(hello)
    assert re.search(MARKS[name], said), said
    if name == "lld":
        version = subprocess.run([program, "--version"], capture_output=True, check=True).stdout
        assert re.search(rb"LLD [\d.]+", version)[0] in said


def test_default_linker_is_the_one_that_cargo_uses(probed, hello, need):
    need("readelf")
    said = comment(hello)
    usual = [name for name, probe in probed.items() if probe.default]
    assert usual == [name for name in ("mold", "rust-lld") if re.search(MARKS[name], said)]
    for name in usual:
        assert probed[name].works
        assert probed[name].rustflags == ()


@pytest.fixture
def bare_path(tmp_path, need) -> Path:
    """Return a folder with what rustc needs, and no linker but the usual one."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("rustc", "cargo", "cc", "ld", "as"):
        (programs / name).symlink_to(need(name))
    return programs


def test_linker_that_is_not_there(tmp_path, bare_path):
    host = Counting({**os.environ, "PATH": str(bare_path)})
    found = linkers(host, tmp_path, probe_toolchain(host, tmp_path, tmp_path / "s"), tmp_path / "s")
    for name in ("mold", "lld", "wild"):
        assert not found[name].works
        assert found[name].rustflags == ()
        assert "not found" in found[name].why


def test_linker_that_does_not_work_says_why(tmp_path, need):
    need("rustc")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("mold", "ld.mold", "wild"):
        (programs / name).write_text("#!/bin/sh\necho 'broken' >&2\nexit 1\n")
        (programs / name).chmod(0o755)
    host = Host({**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"})
    found = linkers(host, tmp_path, probe_toolchain(host, tmp_path, tmp_path / "s"), tmp_path / "s")
    assert found["mold"].path == programs / "mold"
    # gcc looks for ld.mold in its own folders first: a good one there may still be used, and then it is the truth.
    assert found["mold"].works or found["mold"].why
    assert not found["wild"].works
    assert found["wild"].why


def test_kept_until_a_program_changes(tmp_path, bare_path):
    environ = {**os.environ, "PATH": str(bare_path)}
    toolchain = probe_toolchain(Host(environ), tmp_path, tmp_path / "s")
    first = linkers(Host(environ), tmp_path, toolchain, tmp_path / "s")
    again = Counting(environ)
    assert linkers(again, tmp_path, toolchain, tmp_path / "s") == first
    assert again.started == []
    (bare_path / "wild").write_text("#!/bin/sh\nexit 1\n")
    (bare_path / "wild").chmod(0o755)
    changed = Counting(environ)
    assert linkers(changed, tmp_path, toolchain, tmp_path / "s")["wild"].path == bare_path / "wild"
    assert changed.started


def test_driver_of_the_configuration_is_the_one_that_is_tried(tmp_path, tree, need):
    need("rustc")
    host = Host()
    toolchain = probe_toolchain(host, tmp_path, tmp_path / "s")
    tree(tmp_path, {".cargo/config.toml": f'[target.{toolchain.host}]\nlinker = "no-such-driver"\n'})
    found = linkers(host, tmp_path, toolchain, tmp_path / "s")
    assert not any(probe.works for probe in found.values())


def test_trial_leaves_nothing_behind(tmp_path, bare_path):
    host = Host({**os.environ, "PATH": str(bare_path)})
    folder = tmp_path / "ws"
    folder.mkdir()
    linkers(host, folder, probe_toolchain(host, folder, folder / "s"), folder / "s")
    assert sorted(path.name for path in (folder / "s/cache").iterdir()) == ["linkers.json", "toolchain.json"]
    assert [path.name for path in folder.iterdir()] == ["s"]


def test_state_folder_that_cannot_be_written(tmp_path, need):
    need("rustc")
    host = Host()
    toolchain = probe_toolchain(host, tmp_path, tmp_path / "s")
    (tmp_path / "wall").write_text("")
    found = linkers(host, tmp_path, toolchain, tmp_path / "wall")
    assert all("not tried" in probe.why for probe in found.values())
