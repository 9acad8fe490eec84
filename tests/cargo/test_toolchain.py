from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from buildopt.cargo import probe_components, probe_toolchain
from buildopt.errors import ToolMissing
from buildopt.host import Command, Finished, Host

NIGHTLY = {
    "cargo": "echo 'cargo 1.97.0-nightly (abc 2026-05-01)'",
    "rustc": "echo 'rustc 1.97.0-nightly'; echo 'host: aarch64-apple-darwin'; echo 'release: 1.97.0-nightly'",
}


class Counting(Host):
    def __init__(self, environ: dict[str, str]) -> None:
        super().__init__(environ)
        self.started = 0

    def run(self, command: Command, **streams: object) -> Finished:
        self.started += 1
        return super().run(command, **streams)  # type: ignore[arg-type]


class Machine:
    """A machine of scripts: programs in a folder of their own, and an empty home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "ws"
        self.state = self.root / ".buildopt"
        self.environ = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "HOME": str(folder)}
        for name in ("bin", "ws", ".rustup/update-hashes", ".rustup/toolchains/stable/lib/rustlib"):
            (folder / name).mkdir(parents=True)

    def install(self, **scripts: str) -> None:
        for name, script in scripts.items():
            path = self.folder / "bin" / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)

    def probe(self):
        self.host = Counting(self.environ)
        return probe_toolchain(self.host, self.root, self.state)

    def components(self):
        self.host = Counting(self.environ)
        return probe_components(self.host, self.root, self.state)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.install(**NIGHTLY)
    return made


def test_real_toolchain(host, tmp_path, need):
    need("cargo")
    toolchain = probe_toolchain(host, tmp_path, tmp_path / "state")
    assert toolchain.cargo.count(".") == toolchain.rustc.count(".") == 2
    assert "-" in toolchain.host
    assert probe_toolchain(host, tmp_path, tmp_path / "state") == toolchain


def test_versions_are_plain_and_the_channel_stands_apart(machine):
    toolchain = machine.probe()
    assert (toolchain.cargo, toolchain.rustc, toolchain.host) == ("1.97.0", "1.97.0", "aarch64-apple-darwin")
    assert toolchain.nightly


def test_what_is_not_installed_is_no_component(machine):
    assert machine.components() == (None, None, None)


def test_component_whose_proxy_fails_is_not_there(machine):
    machine.install(
        cargo_clippy="exit 1", rustfmt="echo 'rustfmt 1.8.0-stable'", cargo_nextest="echo 'cargo-nextest 0.9.100 (x)'"
    )
    assert machine.components() == (None, "1.8.0", "0.9.100")
    assert machine.host.started == 3
    assert machine.components() == (None, "1.8.0", "0.9.100")
    assert machine.host.started == 0
    machine.install(cargo_clippy="echo 'clippy 0.1.97'")
    assert machine.components().clippy == "0.1.97"


def test_broken_cargo_configuration_hides_no_component(tmp_path, tree, need):
    need("cargo-clippy")
    tree(tmp_path, {".cargo/config.toml": "[broken\n"})
    assert probe_components(Host(), tmp_path, tmp_path / "state").clippy is not None


def test_directory_with_the_name_of_a_toolchain_file_is_passed_over(machine):
    (machine.root / "rust-toolchain").mkdir()
    assert machine.probe().cargo == "1.97.0"


def test_second_probe_starts_nothing(machine):
    first = machine.probe()
    assert machine.host.started == 2
    assert machine.probe() == first
    assert machine.host.started == 0


CHANGES = {
    "a program is replaced": lambda m: m.install(cargo=NIGHTLY["cargo"].replace("97", "98")),
    "a program is installed": lambda m: m.install(cargo_nextest="echo 'cargo-nextest 0.9.100'"),
    "a toolchain file": lambda m: (m.root / "rust-toolchain.toml").write_text("[toolchain]\n"),
    "a toolchain file above": lambda m: (m.root.parent / "rust-toolchain").write_text("stable\n"),
    "RUSTUP_TOOLCHAIN": lambda m: m.environ.update(RUSTUP_TOOLCHAIN="nightly"),
    "rustup default": lambda m: (m.folder / ".rustup/settings.toml").write_text("default_toolchain = 'x'\n"),
    "rustup update": lambda m: (m.folder / ".rustup/update-hashes/stable").write_text("1"),
    "rustup component add": lambda m: (m.folder / ".rustup/toolchains/stable/lib/rustlib/components").write_text("x"),
    "another rustup": lambda m: m.environ.update(RUSTUP_HOME=str(m.folder / "bin")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_tools_are_asked_again_after(machine, change):
    machine.probe()
    change(machine)
    machine.probe()
    assert machine.host.started >= 2


@pytest.mark.parametrize("damage", ["", "{", '{"key": 1, "value": {"cargo": "1"}}', "[]"])
def test_damaged_cache_is_asked_past(machine, damage):
    first = machine.probe()
    (machine.state / "cache/toolchain.json").write_text(damage)
    assert machine.probe() == first


def test_missing_program_says_how_to_get_it(machine):
    (machine.folder / "bin/cargo").unlink()
    with pytest.raises(ToolMissing, match="cargo is not found") as caught:
        machine.probe()
    assert "rustup.rs" in (caught.value.hint or "")


def test_compiler_that_fails_says_why(machine):
    machine.install(rustc="echo 'error: linking is futile' >&2; exit 1")
    with pytest.raises(ToolMissing, match="linking is futile"):
        machine.probe()


def test_program_that_is_no_compiler(machine):
    machine.install(rustc="echo hello")
    with pytest.raises(ToolMissing, match="does not name a release"):
        machine.probe()


@pytest.mark.parametrize(
    ("file", "text"), [("rust-toolchain.toml", '[toolchain]\nchannel = "1.31.1"\n'), ("rust-toolchain", "1.31.1\n")]
)
def test_toolchain_that_is_not_installed(tmp_path, need, file, text):
    need("rustup")
    (tmp_path / file).write_text(text)
    host = Host({**os.environ, "RUSTUP_AUTO_INSTALL": "0", "RUSTUP_TOOLCHAIN": ""})
    with pytest.raises(ToolMissing, match=r"1\.31\.1.* is not installed \(rust-toolchain") as caught:
        probe_toolchain(host, tmp_path, tmp_path / "state")
    assert "rustup toolchain install 1.31.1" in (caught.value.hint or "")


def test_toolchain_of_the_environment_that_is_not_installed(tmp_path, need):
    need("rustup")
    host = Host({**os.environ, "RUSTUP_AUTO_INSTALL": "0", "RUSTUP_TOOLCHAIN": "1.31.1"})
    with pytest.raises(ToolMissing, match=r"\$RUSTUP_TOOLCHAIN names it"):
        probe_toolchain(host, tmp_path, tmp_path / "state")


@pytest.mark.parametrize(
    "text", ["[toolchain]\nchannel = 3\n", "[toolchain\n", "[toolchain]\nchannel = 'no such'\n", "\0"]
)
def test_toolchain_file_that_rustup_refuses(tmp_path, need, text):
    need("rustup")
    (tmp_path / "rust-toolchain.toml").write_text(text)
    with pytest.raises(ToolMissing):
        probe_toolchain(
            Host({**os.environ, "RUSTUP_AUTO_INSTALL": "0", "RUSTUP_TOOLCHAIN": ""}), tmp_path, tmp_path / "state"
        )


def test_kept_probe_is_fast(host, tmp_path, need):
    need("cargo")
    probe_toolchain(host, tmp_path, tmp_path / "state")
    costs = []
    for _ in range(10):
        started = time.process_time()
        probe_toolchain(host, tmp_path, tmp_path / "state")
        costs.append(time.process_time() - started)
    assert min(costs) < 0.002
