from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from types import SimpleNamespace

import pytest

from buildopt.host import Host
from buildopt.host.terminal import keys, size

# What a shell does: a job of its own in the foreground; when it is stopped, the shell has the terminal until `fg`.
SHELL = """
import os, signal, sys, termios
os.login_tty(0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
def state():
    flags = termios.tcgetattr(0)[3]
    return "cooked" if flags & termios.ICANON and flags & termios.ECHO else "keys"
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
os.setpgid(child, child)
os.tcsetpgrp(0, child)
while True:
    _, status = os.waitpid(child, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpgrp())
    if not os.WIFSTOPPED(status):
        break
    print("STOPPED", state(), flush=True)
    sys.stdin.readline()
    os.tcsetpgrp(0, child)
    os.killpg(child, signal.SIGCONT)
print("ENDED", os.waitstatus_to_exitcode(status), state(), flush=True)
sys.stdin.readline()
"""
JOB = """
import os, select, signal, sys
from buildopt.host import Host
from buildopt.host.terminal import keys, size
def changed():  # in a signal's hands: a print could be in the middle of another
    os.write(1, b"CHANGED %d %d\\n" % size())
with Host().interrupts(), keys(Host(), changed) as pressed:
    print("READY", flush=True)
    while True:
        select.select([pressed], [], [])
        for key in pressed.read():
            print("KEY", key, flush=True)
            if key == "q":
                sys.exit(0)
            if key == "t":
                os.kill(os.getpid(), signal.SIGTERM)
            if key == "x":
                raise RuntimeError("boom")
"""


class Session:
    """A job under a shell on a pseudo-terminal."""

    def __init__(self) -> None:
        self.primary, self.secondary = pty.openpty()
        self.resize(80, 24)
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SHELL, "-c", JOB],
            stdin=self.secondary, stdout=self.secondary, stderr=self.secondary, env=environment,
        )  # fmt: skip
        self.said = ""

    def resize(self, columns: int, lines: int) -> None:
        ioctl(self.secondary, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait_for(self, text: str, seconds: float = 30) -> str:
        deadline = time.monotonic() + seconds
        while text not in self.said:
            assert time.monotonic() < deadline, self.said
            if select.select([self.primary], [], [], 0.1)[0]:
                self.said += os.read(self.primary, 4096).decode()
        before, _, self.said = self.said.partition(text)
        return before + text

    def type(self, keys: str) -> None:
        os.write(self.primary, keys.encode())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.type("\n")
        os.close(self.primary)
        os.close(self.secondary)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


def lflags(descriptor: int) -> int:
    return int(termios.tcgetattr(descriptor)[3])


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    primary, secondary = pty.openpty()
    with os.fdopen(os.dup(secondary), "r") as stream:
        yield SimpleNamespace(
            primary=primary, secondary=secondary, use=lambda: monkeypatch.setattr(sys, "stdin", stream)
        )
    for descriptor in (primary, secondary):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def read_all(pressed, count: int) -> list[str]:
    found: list[str] = []
    deadline = time.monotonic() + 10
    while len(found) < count:
        assert time.monotonic() < deadline, found
        if select.select([pressed], [], [], 0.1)[0]:
            found += pressed.read()
    return found


def test_keys_come_without_enter_and_are_not_echoed(terminal, host):
    terminal.use()
    before = termios.tcgetattr(terminal.secondary)
    with keys(host) as pressed:
        assert pressed is not None
        assert not lflags(terminal.secondary) & (termios.ICANON | termios.ECHO)
        assert lflags(terminal.secondary) & termios.ISIG  # Ctrl-C stays Ctrl-C
        assert pressed.read() == []
        os.write(terminal.primary, "rA \n?é\x7f".encode())
        assert read_all(pressed, 7) == ["r", "A", "space", "enter", "?", "é", "backspace"]
        assert not select.select([terminal.primary], [], [], 0.05)[0]
    assert termios.tcgetattr(terminal.secondary) == before


def test_arrows_and_function_keys_are_left_out(terminal, host):
    terminal.use()
    with keys(host) as pressed:
        os.write(terminal.primary, b"\x1b[Aa\x1b[15~b\x1bOPc\x1b[1;5Cd\x1bxe\x00\x04f")
        assert read_all(pressed, 6) == ["a", "b", "c", "d", "e", "f"]
        os.write(terminal.primary, b"\x1b")
        assert read_all(pressed, 1) == ["escape"]
        os.write(terminal.primary, "漢".encode()[:1] + b"")
        while not select.select([pressed], [], [], 0.1)[0]:
            pass
        assert pressed.read() == []
        os.write(terminal.primary, "漢".encode()[1:])
        assert read_all(pressed, 1) == ["漢"]


def test_an_exception_gives_the_terminal_back(terminal, host):
    terminal.use()
    before = termios.tcgetattr(terminal.secondary)
    with pytest.raises(KeyboardInterrupt), keys(host):
        raise KeyboardInterrupt
    assert termios.tcgetattr(terminal.secondary) == before


def test_signals_are_answered_as_before_afterwards(terminal, host):
    terminal.use()
    numbers = (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)
    before = [signal.getsignal(number) for number in numbers]
    with keys(host):
        assert signal.getsignal(signal.SIGCONT) is not before[1]
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_terminal_that_goes_away_is_told_as_a_key(terminal, host):
    terminal.use()
    with keys(host) as pressed:
        os.close(terminal.primary)
        assert read_all(pressed, 1) == ["hangup"]
        assert pressed.read() == ["hangup"]


def test_no_keys_where_standard_input_is_no_terminal(host: Host, monkeypatch, tmp_path):
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with keys(host) as pressed:
            assert pressed is None
    with keys(host) as pressed:  # closed by now
        assert pressed is None
    monkeypatch.setattr(sys, "stdin", None)
    with keys(host) as pressed:
        assert pressed is None


def test_the_size_of_the_terminal(terminal, monkeypatch):
    ioctl(terminal.secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 123, 0, 0))
    with os.fdopen(os.dup(terminal.secondary), "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert size() == (123, 33)
        ioctl(terminal.secondary, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        for name in ("stderr", "stdin"):
            monkeypatch.setattr(sys, name, None)
        assert size() == (80, 24)
        monkeypatch.undo()


def test_ctrl_z_gives_the_terminal_back_until_fg(session):
    session.wait_for("READY")
    session.type("a")
    session.wait_for("KEY a")
    for _ in range(2):
        session.type("\x1a")
        assert "\x1b[?25h" in session.wait_for("STOPPED cooked")
        session.type("fg\n")
        session.wait_for("CHANGED 80 24")
        session.type("b")
        session.wait_for("KEY b")
    session.type("q")
    session.wait_for("ENDED 0 cooked")


def test_another_size_is_told(session):
    session.wait_for("READY")
    session.resize(100, 40)
    session.wait_for("CHANGED 100 40")
    session.type("q")
    session.wait_for("ENDED 0 cooked")


@pytest.mark.parametrize("key", ["x", "\x03", "t"], ids=["exception", "ctrl-c", "sigterm"])
def test_every_way_out_restores_the_terminal(session, key):
    session.wait_for("READY")
    session.type(key)
    session.wait_for("Error: boom" if key == "x" else "KeyboardInterrupt")
    session.wait_for("ENDED")
    session.wait_for("cooked")
