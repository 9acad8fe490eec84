"""The terminal of the person: single keys, its size, and its old state back on every way out."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from buildopt.host import Host

__all__ = ["Keys", "keys", "size"]

_NAMES = {"\r": "enter", "\n": "enter", " ": "space", "\x1b": "escape", "\x7f": "backspace", "\t": "tab"}
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|[^\x1b\[O])")  # an arrow, a function key, Alt with a key
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)$")
_SHOW_CURSOR = b"\x1b[?25h"


class Keys:
    """The keys that a person presses; to be read when the descriptor is readable."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._descriptor

    def read(self) -> list[str]:
        """Return the keys pressed since the last call: `a`, `enter`, `space`, `escape`; never waits.

        Arrows and function keys are left out. `hangup` says that the terminal has gone away.
        """
        if not _in_foreground(self._descriptor):  # a read would stop the process
            return []
        try:
            if not select.select([self._descriptor], [], [], 0)[0]:
                return []
            content = os.read(self._descriptor, 4096)
        except OSError:
            content = b""
        if not content:
            return ["hangup"]
        text = self._held + self._decoder.decode(content)
        begun = _BEGUN.search(text)
        self._held = text[begun.start() :] if begun else ""
        text = _SEQUENCE.sub("", text[: begun.start()] if begun else text)
        return [_NAMES.get(key, key) for key in text if key in _NAMES or key.isprintable()]


@contextlib.contextmanager
def keys(host: Host, on_change: Callable[[], None] | None = None) -> Iterator[Keys | None]:
    """Yield the keys of the terminal on standard input, pressed without Enter and not echoed; None where it is no terminal.

    The terminal gets its old state back at the end of the with block and while the process is stopped (Ctrl-Z).
    `on_change` is called in the main thread when the process goes on after a stop, and when the terminal has another size.
    """
    descriptor = _terminal()
    if descriptor is None or host.system == "windows":
        yield None
        return
    import termios  # noqa: PLC0415 - not on Windows

    try:
        before: list[Any] = termios.tcgetattr(descriptor)
    except termios.error:
        yield None
        return

    def restore() -> None:
        _set(descriptor, before)

    def listen() -> None:
        if _in_foreground(descriptor):
            changed = [*before[:6], [*before[6]]]
            changed[3] &= ~(termios.ICANON | termios.ECHO)
            changed[6][termios.VMIN], changed[6][termios.VTIME] = 1, 0
            _set(descriptor, changed)

    with _stops(restore, listen, on_change or (lambda: None)):
        listen()
        try:
            yield Keys(descriptor)
        finally:
            restore()


def size() -> tuple[int, int]:
    """Return columns and lines of the terminal that the standard streams lead to; 80 and 24 where there is none."""
    for stream in (sys.stdout, sys.stderr, sys.stdin):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            columns, lines = os.get_terminal_size(stream.fileno())
            if columns > 0 and lines > 0:
                return columns, lines
    return 80, 24


def _terminal() -> int | None:
    """Return the descriptor of standard input when it is a terminal."""
    try:
        descriptor = sys.stdin.fileno()
        return descriptor if os.isatty(descriptor) else None
    except (AttributeError, OSError, ValueError):  # closed, or put there by a test or a notebook
        return None


def _in_foreground(descriptor: int) -> bool:
    """Return whether this process may read the terminal; true where the system does not say."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return True


def _set(descriptor: int, state: list[Any]) -> None:
    import termios  # noqa: PLC0415 - not on Windows

    if _in_foreground(descriptor):  # else it belongs to another program now, and a change would stop this one
        with contextlib.suppress(termios.error, OSError):  # the terminal has gone away: nothing is left to restore
            termios.tcsetattr(descriptor, termios.TCSANOW, state)


@contextlib.contextmanager
def _stops(restore: Callable[[], None], listen: Callable[[], None], on_change: Callable[[], None]) -> Iterator[None]:
    """Give the terminal back while the process is stopped; signals can only be answered in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: FrameType | None) -> None:
        restore()
        for stream in (sys.stderr, sys.stdout):
            with contextlib.suppress(AttributeError, OSError, ValueError):
                if os.isatty(stream.fileno()):
                    os.write(stream.fileno(), _SHOW_CURSOR + b"\r\n")
                    break
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # stops here, and goes on here
        signal.signal(number, stop)

    def go_on(_number: int, _frame: FrameType | None) -> None:
        listen()
        on_change()

    answers: dict[int, Callable[[int, FrameType | None], None]] = {
        signal.SIGCONT: go_on,
        signal.SIGWINCH: lambda _number, _frame: on_change(),
    }
    if signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:  # who ignores it has no job control
        answers[signal.SIGTSTP] = stop
    previous = {number: signal.signal(number, answer) for number, answer in answers.items()}
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old if old is not None else signal.SIG_DFL)
