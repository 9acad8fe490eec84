"""Requests to stop, and the signals that make them."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

__all__ = [
    "Cancel",
    "die_with_parent",
    "interrupts_held_back",
    "signals_cancel",
    "signals_interrupt",
    "woken_by_signals",
]

_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))


class Cancel:
    """A request to stop, which wakes whoever waits for a command."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self._followers: list[Cancel] = []
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def trigger(self, reason: str) -> None:
        """Ask for the stop; the first reason is kept. Safe inside a signal handler."""
        if self.reason is None:
            self.reason = reason
        with contextlib.suppress(OSError):
            os.write(self._write, b"x")
        for follower in self._followers:
            follower.trigger(reason)

    @property
    def requested(self) -> bool:
        """Whether a stop was asked for."""
        return self.reason is not None

    def follower(self) -> Cancel:
        """Return a request of its own that this one triggers too; close it when it is done."""
        follower = Cancel()
        self._followers.append(follower)
        if self.reason is not None:
            follower.trigger(self.reason)
        return follower

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when a stop is asked for."""
        return self._read

    def close(self) -> None:
        """Release the two descriptors."""
        for descriptor in (self._read, self._write):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._read = self._write = -1

    def __enter__(self) -> Cancel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def signals_cancel(cancel: Cancel) -> Iterator[None]:
    """Turn SIGINT, SIGTERM and SIGHUP into `cancel`; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A shell that starts a job with nohup ignores SIGHUP on purpose: that choice is kept.
    numbers = [number for number in _ENDING_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {
        number: signal.signal(number, lambda got, _frame: cancel.trigger(signal.Signals(got).name))
        for number in numbers
    }
    try:
        yield
    finally:
        for number, old in previous.items():
            signal.signal(number, old if old is not None else signal.SIG_DFL)


@contextlib.contextmanager
def signals_interrupt() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into KeyboardInterrupt where they would end the process without a word."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in _ENDING_SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Let a KeyboardInterrupt wait for the end of the with block, so that no process starts that nobody knows."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in _ENDING_SIGNALS if signal.getsignal(number) is signal.default_int_handler]
    arrived: list[int] = []
    for number in numbers:
        signal.signal(number, lambda got, _frame: arrived.append(got))
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.default_int_handler)
        for number in arrived[:1]:
            signal.raise_signal(number)


@contextlib.contextmanager
def woken_by_signals() -> Iterator[int | None]:
    """Yield a descriptor that becomes readable with every signal that Python answers; None outside the main thread.

    A signal that arrives just before the process goes to sleep interrupts nothing: without this its answer, such as
    the end of a build that prints nothing, would wait for the next output.
    """
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    previous = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield read
    finally:
        signal.set_wakeup_fd(previous)
        os.close(read)
        os.close(write)


def die_with_parent() -> None:
    """Ask the system for a SIGTERM when the parent of this process ends (Linux; elsewhere nothing happens).

    A worker of `nox -j` lives in a session of its own: when nox is killed, nobody else would tell it.
    """
    import ctypes  # noqa: PLC0415 - 5 ms, and only for workers of nox -j

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG
