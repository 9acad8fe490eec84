"""Ctrl-C, SIGTERM, SIGHUP and timeouts in mid-compile, with real cargo and real nox: no rustc is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from buildopt.host import Command, Host
from buildopt.verbs.context import Context

Tree = Callable[[Path, Mapping[str, str]], Path]
BUILDOPT = (sys.executable, "-m", "buildopt")
NOX = (sys.executable, "-m", "nox")
PROFILE = 'version = 1\n[stages.quick-check]\nrun = ["check"]\n'


@pytest.fixture
def slow_crate(tmp_path: Path, tree: Tree, need: Callable[[str], Path]) -> Path:
    """Return a package that rustc works on for many seconds."""
    need("cargo")
    body = "".join(
        f"pub fn f{n}(x: u64) -> u64 {{ let v = vec![x; {n}]; v.iter().map(|y| y + {n}).sum() }}\n"
        for n in range(40_000)
    )
    return tree(
        tmp_path / "slow",
        {
            "Cargo.toml": '[package]\nname = "slow"\nversion = "0.1.0"\nedition = "2021"\n',
            "src/lib.rs": body,
            "buildopt.toml": PROFILE,
            "noxfile.py": "import buildopt\n\nbuildopt.sessions()\n",
        },
    )


def start(argv: Sequence[str], root: Path, *, group: bool = True) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        argv, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=group
    )


def compilers(root: Path) -> list[str]:
    """Return the names of the processes that work in `root` for cargo, zombies left out."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").resolve() == root:
                name = (entry / "comm").read_text().strip()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if name in {"rustc", "cargo", "cargo-clippy", "clippy-driver"} and state not in "ZX":
                    found.append(name)
        except OSError:
            continue
    return found


def wait_for_rustc(root: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while "rustc" not in compilers(root):
        assert process.poll() is None, process.stdout.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.3)  # in the middle of its work, not at the start


CASES = [
    pytest.param((*BUILDOPT, "run", "quick-check"), signal.SIGINT, False, 130, id="buildopt-int"),
    pytest.param((*BUILDOPT, "run", "quick-check"), signal.SIGTERM, False, 130, id="buildopt-term"),
    pytest.param((*BUILDOPT, "run", "quick-check"), signal.SIGHUP, False, 130, id="buildopt-hup"),
    pytest.param((*NOX, "-s", "quick-check"), signal.SIGINT, True, 130, id="nox-ctrl-c"),
    pytest.param((*NOX, "-s", "quick-check"), signal.SIGINT, False, 130, id="nox-int"),
    pytest.param((*NOX, "-s", "quick-check"), signal.SIGTERM, False, 130, id="nox-term"),
    pytest.param((*NOX, "-j", "2", "-s", "quick-check", "report"), signal.SIGINT, False, 130, id="nox-j-int"),
    # Workers of nox -j live in sessions of their own, and nobody but the system tells them that nox has ended.
    pytest.param((*NOX, "-j", "2", "-s", "quick-check", "report"), signal.SIGTERM, False, None, id="nox-j-term"),
    pytest.param((*NOX, "-j", "2", "-s", "quick-check", "report"), signal.SIGKILL, False, None, id="nox-j-kill"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("argv", "number", "whole_group", "code"), CASES)
def test_a_signal_in_mid_compile_leaves_no_rustc(
    slow_crate: Path, argv: tuple[str, ...], number: signal.Signals, whole_group: bool, code: int | None
):
    with start(argv, slow_crate) as process:
        wait_for_rustc(slow_crate, process)
        (os.killpg if whole_group else os.kill)(process.pid, number)
        time.sleep(1.0)
        assert compilers(slow_crate) == []
        output, _ = process.communicate(timeout=10)
    assert b"Traceback" not in output
    if code is not None:
        assert process.returncode == code, output.decode()


@pytest.mark.slow
def test_a_timeout_in_mid_compile_leaves_no_rustc_and_has_its_own_exit_code(slow_crate: Path):
    (slow_crate / "buildopt.toml").write_text(f'{PROFILE}timeout = "1s"\n')
    with start((*BUILDOPT, "run", "quick-check"), slow_crate) as process:
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 124
    assert compilers(slow_crate) == []
    assert b"ran past its timeout of 1s" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_question_that_cargo_was_asked_ahead(tmp_path: Path, tree: Tree, number: signal.Signals):
    root = tree(tmp_path / "ws", {"buildopt.toml": PROFILE, "Cargo.toml": "[workspace]\n"})
    asked = tmp_path / "asked"
    program = tree(tmp_path, {"bin/cargo": f"#!/bin/sh\necho $$ > {asked}.new\nmv {asked}.new {asked}\nsleep 60\n"})
    (program / "bin/cargo").chmod(0o755)
    environment = {**os.environ, "PATH": f"{program / 'bin'}:{os.environ['PATH']}"}
    argv = (*BUILDOPT, "sync", "--check", "--root", str(root))
    process = subprocess.Popen(
        argv, cwd=Path(__file__).parents[2], env=environment, stderr=subprocess.PIPE, start_new_session=True
    )
    while not asked.exists():
        time.sleep(0.01)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=10)
    assert process.returncode == 130
    assert b"Traceback" not in stderr
    assert not Path(f"/proc/{asked.read_text().strip()}").exists()


def test_a_signal_while_cargo_is_being_asked_ahead_leaves_no_question_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ended: list[bool] = []

    def wait(host: Host, root: Path, state: Path, **_: object) -> None:
        ended.append(host.run(Command(("sleep", "60"), tmp_path)).cancelled)

    def interrupt_and_wait(host: Host, root: Path, state: Path, **_: object) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # it is starting threads now
        wait(host, root, state)

    monkeypatch.setattr("buildopt.cargo.load_workspace", interrupt_and_wait)
    monkeypatch.setattr("buildopt.cargo.probe_toolchain", wait)
    with pytest.raises(KeyboardInterrupt), Context(Host(), tmp_path).cargo_ahead():
        time.sleep(50)
    assert ended == [True, True]
