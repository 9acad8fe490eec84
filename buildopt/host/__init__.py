"""The only door to the outside: processes, files, environment, clock.

Everything above takes a `Host` as an argument; a test hands in `buildopt.testing.ScriptedHost`.
"""

from __future__ import annotations

import copy
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from buildopt.errors import MachineRefused
from buildopt.host.files import Files
from buildopt.host.process import Command, Finished, run_command
from buildopt.host.signals import Cancel, interrupts_held_back, signals_cancel, signals_interrupt

if TYPE_CHECKING:
    from buildopt.host.speed import Speed

__all__ = ["Cancel", "Command", "Files", "Finished", "Host", "interrupts_held_back"]

_FALSE = {"", "0", "false", "no", "off"}


class Host:
    """This machine: its environment, its clock, its programs, its files."""

    def __init__(self, environ: Mapping[str, str] | None = None, files: Files | None = None) -> None:
        self.environ: Mapping[str, str] = dict(os.environ if environ is None else environ)
        self.files = files or Files()
        self._cancel: Cancel | None = None

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""
        return time.monotonic()

    def which(self, name: str) -> Path | None:
        """Return the absolute path of the program `name` on this host's PATH, or None."""
        found = shutil.which(name, path=self.environ.get("PATH", os.defpath))
        return Path(os.path.abspath(found)) if found else None

    def run(
        self,
        command: Command,
        *,
        on_stdout: Callable[[bytes], None] | None = None,
        on_stderr: Callable[[bytes], None] | None = None,
        on_start: Callable[[int], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Finished:
        """Run `command` to its end and return what it did and cost.

        A stream with a callback is handed over in chunks and not kept; one without is collected in the result.
        `on_start` is told the process id as soon as the command runs.
        The command runs in a session of its own, which is killed as a whole on timeout and on `cancel`.
        Raises ToolMissing when the program does not exist, MachineRefused when it cannot be started.
        """
        return run_command(
            command,
            self.environ,
            on_stdout=on_stdout,
            on_stderr=on_stderr,
            on_start=on_start,
            cancel=cancel or self._cancel,
        )

    def ending_with(self, cancel: Cancel) -> Host:
        """Return a host like this one, whose commands all end when `cancel` asks for it."""
        host = copy.copy(self)
        host._cancel = cancel  # noqa: SLF001 - its own
        return host

    def signals(self, cancel: Cancel) -> AbstractContextManager[None]:
        """Turn SIGINT, SIGTERM and SIGHUP into `cancel` for the length of a with block (main thread only)."""
        return signals_cancel(cancel)

    def interrupts(self) -> AbstractContextManager[None]:
        """Let SIGTERM and SIGHUP raise KeyboardInterrupt, as SIGINT does, for the length of a with block.

        For work that has to be undone when it is cut short. Where something else answers a signal, that stays.
        """
        return signals_interrupt()

    @property
    def in_ci(self) -> bool:
        """Whether the environment says that this is a CI job."""
        return self.environ.get("CI", "").lower() not in _FALSE

    @property
    def system(self) -> str:
        """Return `linux`, `macos` or `windows`."""
        return {"darwin": "macos", "win32": "windows"}.get(sys.platform, "linux")

    @property
    def cores(self) -> int:
        """Return the number of processors that this process may use."""
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1

    @property
    def memory_bytes(self) -> int | None:
        """Return the physical memory in bytes, or None where the system does not say."""
        try:
            return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, ValueError, OSError):
            return None

    def free_bytes(self, path: Path) -> int | None:
        """Return the bytes that may still be written where `path` is, or None where the system does not say."""
        try:
            return shutil.disk_usage(path).free
        except OSError:
            return None

    def busy_seconds(self) -> float | None:
        """Return how long the processors that this process may use have been busy since the start of the machine.

        All processes together, in seconds of one processor, with what a hypervisor took; None where the system does not say.
        """
        try:
            lines = (self.files.read("/proc/stat") or b"").decode().splitlines()
            used = os.sched_getaffinity(0)
            rows = [line.split() for line in lines if line.startswith("cpu")]
            mine = [row for row in rows if row[0] != "cpu" and int(row[0].removeprefix("cpu")) in used]
            # user nice system idle iowait irq softirq steal; guests are counted in user already
            ticks = sum(int(row[i]) for row in mine for i in (1, 2, 3, 6, 7, 8))
            return ticks / os.sysconf("SC_CLK_TCK") if mine else None
        except (AttributeError, ValueError, IndexError, OSError, MachineRefused):
            return None

    def speed(self) -> Speed:
        """Return a with block that tells how fast the machine is meanwhile."""
        from buildopt.host.speed import Speed  # noqa: PLC0415 - only measuring needs it

        return Speed()

    @contextmanager
    def environment(self, changes: Mapping[str, str | None]) -> Iterator[Host]:
        """Yield a host like this one, with `changes` made to its environment (None removes a variable)."""
        merged = {**self.environ, **{k: v for k, v in changes.items() if v is not None}}
        yield Host({k: v for k, v in merged.items() if k not in changes or changes[k] is not None}, self.files)
