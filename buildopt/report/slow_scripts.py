"""Build scripts that run again although nothing was edited."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from buildopt.record import RunRow, UnitRow
from buildopt.report.reasons import cause_of
from buildopt.report.slow_view import Rerun

__all__ = ["reruns"]

_MISSING = re.compile(r"the file `(?P<file>.*)` is missing")
_CHANGED = re.compile(r"the file `(?P<file>.*)` has changed")
_VARIABLE = re.compile(r"the env(?:ironment)? variable `?(?P<name>\w+)`? changed")


class _Seen(NamedTuple):
    """One time that a build script ran again."""

    package: str
    cause: str
    certain: bool
    """Whether once is enough."""
    work_seconds: float
    todo: str


def reruns(
    runs: Sequence[tuple[RunRow, Sequence[UnitRow]]], modified: Callable[[str], float | None]
) -> tuple[Rerun, ...]:
    """Return the build scripts that always run again, the most expensive first.

    `runs` are the last ones, newest first, each with its units; `modified` tells when a file (relative to the root, or absolute) was
    last written, in seconds since the epoch, None for one that is not there. A script counts when a file that it watches is missing,
    or when two runs give the same cause and nobody edited it: the build itself writes the file, its time lies in the future, or a
    variable of the environment changes to and fro.
    """
    seen: dict[tuple[str, str], list[_Seen]] = {}
    for run, units in runs:
        for package in sorted({unit.package for unit in units if unit.mode == "run-custom-build" and not unit.fresh}):
            found = _look(package, run, runs, units, modified)
            if found is not None:
                seen.setdefault((found.package, found.cause), []).append(found)
    rows = [
        Rerun(package, len(found), cause, found[0].work_seconds, found[0].todo)
        for (package, cause), found in seen.items()
        if len(found) > 1 or found[0].certain
    ]
    return tuple(sorted(rows, key=lambda row: (-row.work_seconds, row.package)))


def _look(
    package: str,
    run: RunRow,
    runs: Sequence[tuple[RunRow, Sequence[UnitRow]]],
    units: Sequence[UnitRow],
    modified: Callable[[str], float | None],
) -> _Seen | None:
    reason = next((unit.reason for unit in units if unit.package == package and unit.reason), None) or ""
    work = _work_after(package, units)
    if found := _MISSING.search(reason):
        if modified(found["file"]) is not None:
            return None
        todo = "let build.rs print cargo:rerun-if-changed= only for files that are there"
        return _Seen(package, f"it watches {found['file']}, which does not exist", True, work, todo)
    if found := _CHANGED.search(reason):
        written = modified(found["file"])
        if written is None:
            return None
        if written > run.started_at + (run.wall_seconds or 0.0) and written > runs[0][0].started_at + 60:
            return _Seen(package, f"{found['file']} has a time in the future", False, work, f"touch {found['file']}")
        if any(each.started_at <= written <= each.started_at + (each.wall_seconds or 0.0) for each, _ in runs):
            todo = "let it write to OUT_DIR, or leave a file alone whose content stays the same"
            return _Seen(package, f"a build writes {found['file']}, which it watches", False, work, todo)
        return None
    if found := _VARIABLE.search(reason):
        todo = "set it the same in every shell, editor and nox session, or drop its cargo:rerun-if-env-changed="
        return _Seen(package, f"the environment variable {found['name']} differs from run to run", False, work, todo)
    return None


def _work_after(package: str, units: Sequence[UnitRow]) -> float:
    """Return the seconds of what a run rebuilt because of `package`: itself, and what depends on it."""
    because = {package}
    while True:
        more = {
            unit.package
            for unit in units
            if not unit.fresh and unit.package not in because and cause_of(unit.reason) in {f"depends on {each}" for each in because}
        }  # fmt: skip
        if not more:
            return sum(unit.duration_seconds or 0.0 for unit in units if not unit.fresh and unit.package in because)
        because |= more
