"""What every build in the lab has around it."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildopt.bench.place import surround
from buildopt.errors import MachineRefused, ToolMissing
from buildopt.host import Command, Finished
from buildopt.testing import ScriptedHost, finished


class Machine(ScriptedHost):
    """A host on which `rustc -vV` says what the toolchain that is chosen for the folder says."""

    def __init__(self, root: Path, *, override: str | None = None, rustup: bool = True, **environ: str) -> None:
        programs = {name: finished("1.95.0") for name in ("cargo", "cargo-clippy", "rustfmt", "cargo-nextest")}
        self.root = root
        self.override = override
        self.free: int | None = 1 << 40
        super().__init__(programs, environ={"HOME": "/none", **environ})
        self.programs["rustc"] = self.rustc
        if rustup:
            self.programs["rustup"] = finished(f"{override or 'stable-x86_64'} (because)\n")

    def rustc(self, command: Command) -> Finished:
        chosen = command.env.get("RUSTUP_TOOLCHAIN") or self.environ.get("RUSTUP_TOOLCHAIN")
        chosen = chosen or (self.override if command.cwd == self.root else None) or "stable-x86_64"
        return finished(f"release: {chosen}\n")

    def free_bytes(self, path: Path) -> int | None:
        return self.free


def test_the_toolchain_of_the_original_is_pinned(tmp_path: Path) -> None:
    host = Machine(tmp_path, override="1.80.0-x86_64")
    found = surround(host, tmp_path, tmp_path / ".buildopt", Path("/scratch"))
    assert found.env["RUSTUP_TOOLCHAIN"] == "1.80.0-x86_64"
    assert found.env["CARGO_NET_OFFLINE"] == "true"
    assert found.env["CARGO_TARGET_DIR"] is None


def test_another_compiler_in_the_copy_is_refused(tmp_path: Path) -> None:
    host = Machine(tmp_path, override="1.80.0-x86_64", rustup=False)
    with pytest.raises(MachineRefused, match="another compiler"):
        surround(host, tmp_path, tmp_path / ".buildopt", Path("/scratch"))


def test_what_the_user_pins_stays(tmp_path: Path) -> None:
    host = Machine(tmp_path, override="1.80.0-x86_64", RUSTUP_TOOLCHAIN="nightly")
    assert "RUSTUP_TOOLCHAIN" not in surround(host, tmp_path, tmp_path / ".buildopt", Path("/scratch")).env


@pytest.mark.parametrize(("config", "expected"), [("", None), ('[build]\nrustc-wrapper = "ccache"\n', "")])
def test_a_wrapper_of_the_user_is_left_out(tmp_path: Path, config: str, expected: str | None) -> None:
    (tmp_path / ".cargo").mkdir()
    (tmp_path / ".cargo/config.toml").write_text(config)
    host = Machine(tmp_path, RUSTC_WRAPPER="sccache")
    env = surround(host, tmp_path, tmp_path / ".buildopt", Path("/scratch")).env
    assert env["RUSTC_WRAPPER"] == expected


def test_without_cargo_or_room_nothing_begins(tmp_path: Path) -> None:
    host = Machine(tmp_path)
    host.free = 1 << 20
    with pytest.raises(MachineRefused, match="1 GiB"):
        surround(host, tmp_path, tmp_path / ".buildopt", Path("/scratch"))
    del host.programs["cargo"]
    with pytest.raises(ToolMissing):
        surround(host, tmp_path, tmp_path / ".buildopt", Path("/scratch"))
