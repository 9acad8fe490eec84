"""Processes: each command in a session of its own, reaped with its cost, killed as a whole.

The session, not the process group, is the unit that is killed: cargo-nextest puts every test in a group of its own,
but all of them stay in the session of the command. A daemon that made its own session (the sccache server) survives.
Killing cargo alone would leave its rustc running until the end of the crate (rust-lang/cargo#3950).
"""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from buildopt.errors import MachineRefused, ToolMissing
from buildopt.host.signals import Cancel, interrupts_held_back, woken_by_signals

__all__ = ["Command", "Finished", "end_processes_in", "run_command"]

_GRACE_SECONDS = (
    0.05  # between TERM and KILL: cargo and build scripts end at once; rustc only frees its memory, which KILL does too
)
_PIPE_BYTES = 1 << 20  # the most that Linux grants without asking; the default is 64 KiB
_DRAIN_SECONDS = 0.25  # how long a left-over child may keep our pipes open after the command has ended


class Command(NamedTuple):
    """What to run: an argument vector, never a shell string."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str | None] = {}
    """Changes to the environment of the host; None removes a variable."""
    timeout_seconds: float | None = None


class Finished(NamedTuple):
    """What a command did and cost."""

    returncode: int
    """Exit code, or minus the signal number."""
    wall_seconds: float
    cpu_seconds: float
    """User and system time of the command and of all its reaped descendants (wait4)."""
    peak_bytes: int
    """Largest resident set of any single process among them (ru_maxrss); at least that of buildopt itself at the start,
    which Linux counts as the command's until its exec."""
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    cancelled: bool = False


def run_command(
    command: Command,
    environ: Mapping[str, str],
    *,
    on_stdout: Callable[[bytes], None] | None,
    on_stderr: Callable[[bytes], None] | None,
    on_start: Callable[[int], None] | None,
    cancel: Cancel | None,
) -> Finished:
    """Run one command to its end; `Host.run` documents it."""
    environment = {**environ, **{k: v for k, v in command.env.items() if v is not None}}
    for name in [name for name, value in command.env.items() if value is None]:
        environment.pop(name, None)
    started = time.monotonic()
    deadline = None if command.timeout_seconds is None else started + command.timeout_seconds
    kept_out, kept_err = bytearray(), bytearray()
    child: subprocess.Popen[bytes] | None = None
    try:
        with interrupts_held_back():
            child = _start(command, environment)
        if on_start is not None:
            on_start(child.pid)
        assert child.stdout is not None
        assert child.stderr is not None
        sinks = {
            child.stdout.fileno(): on_stdout or kept_out.extend,
            child.stderr.fileno(): on_stderr or kept_err.extend,
        }
        ending = _pump(child.pid, sinks, deadline, cancel)
        if ending != "ended":
            _kill_session(child.pid)
    except BaseException:
        if child is not None:
            _kill_session(child.pid)
            _reap(child)
        raise
    finally:
        for stream in () if child is None else (child.stdout, child.stderr):
            if stream is not None:
                stream.close()
    status, usage = _reap(child)
    return Finished(
        returncode=os.waitstatus_to_exitcode(status),
        wall_seconds=time.monotonic() - started,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * (1 if os.uname().sysname == "Darwin" else 1024),
        stdout=bytes(kept_out),
        stderr=bytes(kept_err),
        timed_out=ending == "timeout",
        cancelled=ending == "cancel",
    )


def _start(command: Command, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        child = subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if not command.cwd.is_dir():
            raise MachineRefused(f"directory {command.cwd} does not exist") from error
        raise ToolMissing(f"program {command.argv[0]} is not found") from error
    except OSError as error:
        raise MachineRefused(f"cannot start {command.argv[0]}: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in an argument, a `=` in the name of a variable, a lone surrogate
        raise MachineRefused(f"cannot start {command.argv[0]!r}: {error}") from error
    assert child.stdout is not None
    _widen(child.stdout.fileno())
    return child


def _widen(pipe: int) -> None:
    """Let a command that prints much (`cargo metadata`: a megabyte) end before all of it is read, where Linux allows it."""
    import fcntl  # noqa: PLC0415 - subprocess has loaded it

    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _pump(
    pid: int, streams: Mapping[int, Callable[[bytes], object]], deadline: float | None, cancel: Cancel | None
) -> str:
    """Hand over output until the process has ended: return `ended`, `timeout` or `cancel`."""
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for descriptor, sink in streams.items():
            os.set_blocking(descriptor, False)
            selector.register(descriptor, selectors.EVENT_READ, sink)
        exit_descriptor = _pidfd(pid)
        if exit_descriptor is not None:
            stack.callback(os.close, exit_descriptor)
            selector.register(exit_descriptor, selectors.EVENT_READ, None)
        if cancel is not None:
            selector.register(cancel.fileno(), selectors.EVENT_READ, None)
        waker = stack.enter_context(woken_by_signals())
        if waker is not None:
            selector.register(waker, selectors.EVENT_READ, None)
        open_streams = set(streams)
        ended_at: float | None = None
        while True:
            if cancel is not None and cancel.requested and ended_at is None:
                return "cancel"
            now = time.monotonic()
            if ended_at is None and deadline is not None and now >= deadline:
                return "timeout"
            if ended_at is None and _has_ended(pid):
                ended_at = now
                if exit_descriptor is not None:
                    selector.unregister(exit_descriptor)
            if ended_at is not None and (not open_streams or now - ended_at > _DRAIN_SECONDS):
                return "ended"
            for key, _ in selector.select(_wait_seconds(now, deadline, ended_at, exit_descriptor is not None)):
                if key.data is None:
                    if key.fd == waker:
                        _read(key.fd)
                    continue
                chunk = _read(key.fd)
                if chunk == b"":
                    selector.unregister(key.fd)
                    open_streams.discard(key.fd)
                elif chunk is not None:
                    key.data(chunk)


def _wait_seconds(now: float, deadline: float | None, ended_at: float | None, has_pidfd: bool) -> float | None:
    if ended_at is not None:
        return max(0.0, ended_at + _DRAIN_SECONDS - now) + 0.001
    limits = [] if deadline is None else [max(0.0, deadline - now)]
    if not has_pidfd:
        limits.append(0.02)
    return min(limits) if limits else None


def _read(descriptor: int) -> bytes | None:
    try:
        return os.read(descriptor, 1 << 16)
    except BlockingIOError:
        return None


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _has_ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _reap(child: subprocess.Popen[bytes]) -> tuple[int, resource.struct_rusage]:
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return status, usage


def _kill_session(session: int) -> None:
    """End every process of a session: TERM to all, then KILL to whatever is left, until none lives."""
    _signal_all(session, _live(session), signal.SIGTERM)
    until = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < until:
        if not _live(session):
            return
        time.sleep(0.005)
    for _ in range(200):
        living = _live(session)
        if not living:
            return
        _signal_all(session, living, signal.SIGKILL)
        time.sleep(0.005)


def end_processes_in(folder: Path) -> None:
    """Kill every process without a terminal that works in `folder` or below: what a killed buildopt left there. Linux only."""
    for _ in range(20):
        found = _working_in(f"{folder}/")
        if not found:
            return
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _working_in(prefix: str) -> list[int]:
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if f"{os.readlink(f'/proc/{pid}/cwd')}/".startswith(prefix) and pid != os.getpid() and not _terminal(pid):
                found.append(pid)
    return found


def _terminal(pid: int) -> int:
    """Return the number of the terminal that a process belongs to; 0 for none, which is what `run_command` starts."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[4])


def _signal_all(session: int, pids: list[int], number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(session, number)
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, number)


def _live(session: int) -> list[int]:
    """Return the processes of `session` that run (zombies do not), read from /proc; elsewhere only its leader."""
    try:
        names = os.listdir("/proc")
    except OSError:
        return [] if _has_ended(session) else [session]
    found = []
    for name in names:
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
                if int(fields[3]) == session and fields[0] not in (b"Z", b"X"):
                    found.append(int(name))
    return found
