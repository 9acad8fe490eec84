"""Build scripts that run again although nothing was edited."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from buildopt.record import RunRow, StepRow, UnitRow
from buildopt.report.reasons import cause_of
from buildopt.report.slow_view import Rerun

__all__ = ["RecordedRun", "reruns"]

_FUTURE_SECONDS = 60.0
_SLACK_SECONDS = 1.0  # between the clock of a run and that of Cargo
_MISSING = re.compile(r"the file `(?P<file>.*)` is missing")
_CHANGED = re.compile(r"the file `(?P<file>.*)` has changed")
_ANY_FILE = re.compile(r"precalculated components changed")  # of a package whose build script names no file
_VARIABLE = re.compile(r"the env(?:ironment)? variable `?(?P<name>\w+)`? changed")


class RecordedRun(NamedTuple):
    """A run of the record with what is looked at here."""

    run: RunRow
    units: Sequence[UnitRow]
    steps: Sequence[StepRow]


class _Seen(NamedTuple):
    """One time that a build script ran again."""

    cause: str
    todo: str
    certain: bool = False
    """Whether once is enough."""
    work_seconds: float = 0.0


def reruns(
    runs: Sequence[RecordedRun], newest: Callable[[str], tuple[str, float] | None], folders: Mapping[str, str]
) -> tuple[Rerun, ...]:
    """Return the build scripts that always run again, the most expensive first.

    `runs` are the last ones, newest first. `newest` tells which file at or below a path (relative to the root,
    or absolute) was written last, and when, in seconds since the epoch; None when there is none. `folders` are those of the members.
    A script counts when a file that it watches is missing, or when two runs give the same cause and nobody edited it: the script
    itself writes the file (its time is one at which the script ran), its time lies in the future, or a variable changes to and fro.
    """
    seen: dict[tuple[str, str], list[_Seen]] = {}
    ends = max((each.run.started_at + (each.run.wall_seconds or 0.0) for each in runs), default=0.0)
    for _, units, _ in runs:
        for package in sorted({unit.package for unit in units if _is_rerun(unit)}):
            reason = next((unit.reason for unit in units if unit.package == package and unit.reason), None) or ""
            times = [time for each in runs for time in _script_times(package, each)]
            found = _look(reason, folders.get(package), newest, times, ends)
            if found is not None:
                seen.setdefault((package, found.cause), []).append(
                    found._replace(work_seconds=_work_after(package, units))
                )
    rows = [
        Rerun(package, len(found), cause, found[0].work_seconds, found[0].todo)
        for (package, cause), found in seen.items()
        if len(found) > 1 or found[0].certain
    ]
    return tuple(sorted(rows, key=lambda row: (-row.work_seconds, row.package)))


def _look(
    reason: str,
    folder: str | None,
    newest: Callable[[str], tuple[str, float] | None],
    times: Sequence[tuple[float, float]],
    ends: float,
) -> _Seen | None:
    if found := _MISSING.search(reason):
        if newest(found["file"]) is not None:
            return None
        todo = "let build.rs print cargo:rerun-if-changed= only for files that are there"
        return _Seen(f"it watches {found['file']}, which does not exist", todo, certain=True)
    if found := _VARIABLE.search(reason):
        todo = "set it the same in every shell, editor and nox session, or drop its cargo:rerun-if-env-changed="
        return _Seen(f"the environment variable {found['name']} differs from run to run", todo)
    changed = _CHANGED.search(reason)
    watched = changed["file"] if changed else folder if _ANY_FILE.search(reason) else None
    written = newest(watched) if watched is not None else None
    if written is None:
        return None
    file, when = written
    if when > ends + _FUTURE_SECONDS:
        return _Seen(f"{file} has a time in the future", f"touch {file}")
    if not any(start <= when <= end for start, end in times):
        return None
    if changed:
        return _Seen(
            f"it writes {file}, which it watches",
            "let it write to OUT_DIR, or leave a file alone whose content stays the same",
        )
    return _Seen(
        f"it writes {file}, and does not say what it reads",
        "let build.rs write to OUT_DIR, and print cargo:rerun-if-changed= for what it reads (build.rs where that is nothing)",
    )


def _is_rerun(unit: UnitRow) -> bool:
    return unit.mode == "run-custom-build" and not unit.fresh


def _script_times(package: str, recorded: RecordedRun) -> Iterator[tuple[float, float]]:
    """Yield from when to when the build script of `package` ran, in seconds since the epoch."""
    began, at = {}, recorded.run.started_at
    for step in recorded.steps:
        began[step.stage, step.name] = at
        at += step.wall_seconds or 0.0
    for unit in recorded.units:
        if unit.package == package and _is_rerun(unit) and unit.start_seconds is not None:
            start = began.get((unit.stage, unit.step), recorded.run.started_at) + unit.start_seconds
            yield start - _SLACK_SECONDS, start + (unit.duration_seconds or 0.0) + _SLACK_SECONDS


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
