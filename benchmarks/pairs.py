"""Two commands in turn, A B B A …: wall and CPU seconds of each whole process tree, and the ratio pair by pair."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Cost", "abba", "measure", "median"]


class Cost(NamedTuple):
    """What one run of a command cost, in seconds."""

    wall: float
    cpu: float


def measure(argv: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None, *, check: bool = True) -> Cost:
    """Run a command and return its cost; raises CalledProcessError when it fails and `check` is set."""
    started = time.perf_counter()
    process = subprocess.Popen(
        argv, cwd=cwd, env={**os.environ, **(env or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if check and process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def abba(first: Callable[[], Cost], second: Callable[[], Cost], pairs: int) -> tuple[list[Cost], list[Cost]]:
    """Return the costs of both, run in the order A B, B A, A B, … so that a drifting machine favours neither."""
    a: list[Cost] = []
    b: list[Cost] = []
    for number in range(pairs):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            (b if which else a).append((second if which else first)())
    return a, b


def median(costs: Sequence[Cost]) -> Cost:
    """Return the medians of wall and CPU seconds."""
    return Cost(statistics.median(cost.wall for cost in costs), statistics.median(cost.cpu for cost in costs))
