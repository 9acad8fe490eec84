"""How a day of watching went: how soon an edit was answered, and what was cut short."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from buildopt.record import CycleRow, Record
from buildopt.record.statements import median
from buildopt.report.layout import columns, heading, wrapped
from buildopt.units import format_duration

__all__ = ["Spread", "WatchDay", "as_json", "as_lines", "sum_up", "view_watch"]

_CAUSES = {"edit": "another edit", "key": "a key"}


class Spread(NamedTuple):
    """How something was over the cycles of a day."""

    median: float
    p90: float
    """Nine of ten were at most this."""


class WatchDay(NamedTuple):
    """One day of watching. A spread is None where no cycle has such a figure."""

    day: str
    """`YYYY-MM-DD`, in local time."""
    today: bool
    cycles: int
    edits: int
    """How many changed files began them."""
    passed: int
    failed: int
    cancelled: int
    cancelled_by: Mapping[str, int]
    """How many were cancelled by `edit`, by `key` or by a signal, most first."""
    first_diagnostic_seconds: Spread | None
    """From the edit to the first diagnostic."""
    green_seconds: Spread | None
    """From the edit to the last stage, of the cycles that passed all stages."""
    cancel_seconds: Spread | None
    """From asking for the end of what was stale to the death of its last process."""
    cpu_seconds: Spread | None
    packages: Spread
    """How many packages were affected."""
    total_packages: int
    """Of the last cycle."""


def view_watch(record: Record, *, now: float) -> WatchDay | None:
    """Return how watching went today, else on the latest day that knows any; None when nobody has watched.

    `now` is in seconds since the epoch; a day begins at local midnight.
    """
    last = record.last_cycle()
    if last is None:
        return None
    today = last.started_at >= _midnight(now)
    begin = _midnight(now if today else last.started_at)
    day = time.strftime("%Y-%m-%d", time.localtime(begin))
    return sum_up(day, record.cycles(begin), today=today)


def sum_up(day: str, cycles: Sequence[CycleRow], *, today: bool) -> WatchDay | None:
    """Return what the `cycles` of a day, newest first, come to; None of nothing."""
    if not cycles:
        return None
    results = [cycle.result for cycle in cycles]
    return WatchDay(
        day=day,
        today=today,
        cycles=len(cycles),
        edits=sum(cycle.edits for cycle in cycles),
        passed=results.count("success"),
        failed=results.count("failure"),
        cancelled=results.count("cancelled"),
        cancelled_by=_count(cycle.cancelled_by or "unknown" for cycle in cycles if cycle.result == "cancelled"),
        first_diagnostic_seconds=_spread(cycle.first_diagnostic_seconds for cycle in cycles),
        green_seconds=_spread(cycle.green_seconds for cycle in cycles),
        cancel_seconds=_spread(cycle.cancel_seconds for cycle in cycles),
        cpu_seconds=_spread(cycle.cpu_seconds for cycle in cycles),
        packages=_spread(cycle.packages for cycle in cycles) or Spread(0, 0),
        total_packages=cycles[0].total_packages,
    )


def as_json(day: WatchDay | None) -> dict[str, Any] | None:
    """Return a day of watching as it stands in `report --json`; the keys are a contract."""
    if day is None:
        return None
    spreads = {name: value._asdict() for name, value in day._asdict().items() if isinstance(value, Spread)}
    return {**day._asdict(), **spreads, "cancelled_by": dict(day.cancelled_by)}


def as_lines(day: WatchDay, width: int, color: bool) -> list[str]:
    """Return a day of watching as a section of the report, in lines of at most `width` characters."""
    rows = [("", "median", "9 of 10 within")]
    rows += _seconds("edit to first diagnostic", day.first_diagnostic_seconds)
    rows += _seconds("edit to all passed", day.green_seconds)
    rows += _seconds("cancel to all ended", day.cancel_seconds)
    rows.append(
        (
            "packages affected",
            f"{day.packages.median:g} of {day.total_packages}",
            f"{day.packages.p90:g} of {day.total_packages}",
        )
    )
    rows += _seconds("CPU time of a cycle", day.cpu_seconds)
    return [
        heading("Watch today" if day.today else f"Watch on {day.day}, the latest day", color),
        *wrapped(_sentence(day), width),
        *columns(rows, right=(1, 2), width=width, styles=["dim"], color=color),
    ]


def _sentence(day: WatchDay) -> str:
    results = [(day.passed, "passed"), (day.failed, "failed"), (day.cancelled, "cancelled")]
    ended = ", ".join(f"{count} {word}" for count, word in results if count)
    causes = ", ".join(f"{count} by {_CAUSES.get(cause, cause)}" for cause, count in day.cancelled_by.items())
    why = f" ({causes})" if causes else ""
    return f"{_plural(day.cycles, 'cycle')}, {_plural(day.edits, 'file')} edited: {ended}{why}"


def _seconds(label: str, spread: Spread | None) -> list[tuple[str, str, str]]:
    return [(label, format_duration(spread.median), format_duration(spread.p90))] if spread else []


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _count(causes: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for cause in causes:
        found[cause] = found.get(cause, 0) + 1
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _spread(values: Iterable[float | None]) -> Spread | None:
    ordered = sorted(value for value in values if value is not None)
    middle = median(ordered)
    return None if middle is None else Spread(middle, ordered[math.ceil(0.9 * len(ordered)) - 1])


def _midnight(moment: float) -> float:
    """Return when the local day of `moment` began; a day may have 23 or 25 hours."""
    day = time.localtime(moment)
    return time.mktime((day.tm_year, day.tm_mon, day.tm_mday, 0, 0, 0, 0, 0, -1))
