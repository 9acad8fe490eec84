"""What was measured against what is allowed (a budget) and against what is usual (a history). Pure.

A build that took too long proves nothing while others use the machine, and one that is slow once proves little. So a budget
of wall time is held by the least of several readings, a history by their median and, once they were read again, by the least
but one; and only what was read again, or what no neighbour can explain, is confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from buildopt.measure.budgets import plain_duration
from buildopt.measure.history import FEWEST, Usual, change_points, usual
from buildopt.units import format_duration, format_size

__all__ = [
    "RERUNS",
    "Answer",
    "CrateChange",
    "Kind",
    "Level",
    "Reading",
    "Verdict",
    "accepted",
    "changed_crates",
    "fails",
    "hold_budget",
    "hold_history",
    "last_change",
    "median",
]

Verdict = Literal[
    "ok", "over", "over, but the machine was busy: not confirmed", "regression", "improved", "too few runs"
]
Level = Literal["none", "warning", "critical"]
Kind = Literal["wall", "cpu", "size", "count"]

RERUNS = 2
"""How often something is measured again before it fails."""

_HISTORY = 30  # the last accepted values that one is held against
_SIGMAS = 2.5  # robust standard deviations above the median; not more, because it is measured again before it fails
_EFFECT = 1.10  # times the median: less is not worth a failure
_BUSY: Verdict = "over, but the machine was busy: not confirmed"


class Reading(NamedTuple):
    """One value, in seconds, bytes, or a count."""

    value: float
    doubt: str | None = None
    """Why it may be the machine's fault: `waited for a lock`."""
    floor: float = 0.0
    """What it would have taken at least on a machine of its own: CPU seconds over processors. 0 where that is not known."""


class Answer(NamedTuple):
    """How one thing stands."""

    verdict: Verdict
    level: Level
    confirmed: bool
    """Whether it was measured again, or needs no second look: a size, a count, more CPU seconds than the budget allows."""
    value: float | None
    limit: float | None
    """The budget, or the most that the history makes likely."""
    usual: float | None
    """Median of the history."""
    runs: int
    """How many values the history has."""
    words: str


class CrateChange(NamedTuple):
    """A crate that costs more than it did."""

    package: str
    seconds: float
    before_seconds: float | None
    """What it took before; None for a crate that was not there."""


def hold_budget(
    readings: Sequence[Reading], budget: float, *, kind: Kind, critical_percent: float = 125.0, reruns: int = 0
) -> Answer:
    """Return how the least of `readings` stands against `budget`; `reruns` of them were taken because the first was over.

    Exactly the budget is kept. Above `critical_percent` of it the level is critical. Raises ValueError for a budget that is
    not above zero.
    """
    if budget <= 0:
        raise ValueError(f"expected a budget above zero, found {budget}")
    if not readings:
        return Answer(
            "too few runs", "none", False, None, budget, None, 0, f"nothing measured, budget {_allowed(budget, kind)}"
        )
    value = min(reading.value for reading in readings)
    held = f"{_shown(value, kind)} of {_allowed(budget, kind)}"
    if value <= budget:
        once = max(reading.value for reading in readings)
        more = f"; {_shown(once, kind)} at first" if reruns and once > budget else ""
        return Answer("ok", "none", True, value, budget, None, len(readings), held + more)
    level: Level = "critical" if value > budget * critical_percent / 100 else "warning"
    over = f"{held}, {_excess(value, budget)} over"
    floor = min(reading.floor for reading in readings)
    if kind in ("size", "count"):
        return Answer("over", level, True, value, budget, None, len(readings), over)
    if floor > budget:
        words = f"{over}; its CPU seconds alone need {_shown(floor, kind)} on this machine"
        return Answer("over", level, True, value, budget, None, len(readings), words)
    doubt = _doubt(readings)
    if doubt:
        return Answer(_BUSY, "warning", False, value, budget, None, len(readings), f"{over}; {doubt}")
    return Answer("over", level, reruns >= RERUNS, value, budget, None, len(readings), over + _again(reruns))


def hold_history(readings: Sequence[Reading], history: Sequence[float], *, kind: Kind, reruns: int = 0) -> Answer:
    """Return how `readings` stand against `history` (oldest first; values that stand out do not count).

    Their median counts, and where `reruns` of them were taken because it was too much, the least but one: what is confirmed
    was seen in all of them but one at most. With fewer than 8 values that count, or no reading, there are too few runs. A
    doubt matters to wall time only: neighbours add much less to CPU seconds.
    """
    known = accepted(history)[-_HISTORY:]
    expected = usual(known)
    seen = sorted(reading.value for reading in readings)
    value = (seen[min(1, len(seen) - 1)] if reruns else median(seen)) if seen else None
    if value is None or expected is None:
        words = (
            "nothing measured"
            if value is None
            else f"{_shown(value, kind)}; {len(known)} of the {FEWEST} runs that a verdict needs"
        )
        return Answer("too few runs", "none", False, value, None, None, len(known), words)
    words = f"{_shown(value, kind)}, usually {_shown(expected.median, kind)} ({expected.runs} runs)"
    most = _most(expected)

    def answer(verdict: Verdict, level: Level, confirmed: bool, words: str) -> Answer:
        return Answer(verdict, level, confirmed, value, most, expected.median, expected.runs, words)

    if value < expected.low:
        return answer("improved", "none", True, f"{words}, {_shortfall(value, expected)} less")
    if value <= most:
        once = median([reading.value for reading in readings[: max(1, len(readings) - reruns)]])
        more = f"; {_shown(once, kind)} at first" if once > most else ""
        return answer("ok", "none", True, words + more)
    words = f"{words}, at most {_shown(most, kind)}"
    if kind == "wall" and (doubt := _doubt(readings)):
        return answer(_BUSY, "warning", False, f"{words}; {doubt}")
    sure = kind in ("size", "count") or reruns >= RERUNS
    return answer(
        "regression", "critical" if sure else "warning", sure, words + ("" if kind == "size" else _again(reruns))
    )


def median(values: Sequence[float]) -> float:
    """Return the median; raises IndexError for nothing."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def accepted(history: Sequence[float]) -> list[float]:
    """Return the values of `history`, oldest first, without those that stood out as regressions when they came.

    Otherwise a regression that nobody fixes would be the usual after two weeks, and the gate would fall silent.
    """
    kept: list[float] = []
    for value in history:
        expected = usual(kept[-_HISTORY:])
        if expected is None or value <= _most(expected):
            kept.append(value)
    return kept


def fails(answer: Answer, *, enforce: bool = False) -> bool:
    """Return whether a gate fails for this: confirmed, and a regression or critical; `enforce`: every budget exceeded."""
    return answer.confirmed and (answer.level == "critical" or (enforce and answer.verdict == "over"))


def last_change(values: Sequence[float]) -> tuple[int, float, float] | None:
    """Return where `values`, oldest first, last changed their level for good, with the medians before and after; or None."""
    points = change_points(values)
    if not points:
        return None
    edges = [0, *points, len(values)]
    before, after = (sorted(values[start:end]) for start, end in zip(edges[-3:-1], edges[-2:], strict=True))
    return points[-1], before[len(before) // 2], after[len(after) // 2]


def changed_crates(
    now: Mapping[str, float], before: Sequence[Mapping[str, float]], *, most: int = 5
) -> tuple[CrateChange, ...]:
    """Return the crates of `now` (seconds by package) that add most to what `before` needed, the largest addition first.

    Each stands against its own median over those of `before` that built it. Left out is what adds less than half a second
    and less than a tenth of all that was added.
    """
    changes: list[tuple[float, CrateChange]] = []
    for package, seconds in now.items():
        known = sorted(run[package] for run in before if package in run)
        usually = known[len(known) // 2] if known else None
        changes.append((seconds - (usually or 0.0), CrateChange(package, seconds, usually)))
    added = sum(delta for delta, _ in changes if delta > 0)
    matters: Callable[[float], bool] = lambda delta: delta > 0 and delta >= min(0.5, added / 10)  # noqa: E731 - one expression
    kept = sorted((pair for pair in changes if matters(pair[0])), key=lambda pair: (-pair[0], pair[1].package))
    return tuple(change for _, change in kept[:most])


def _most(expected: Usual) -> float:
    """Return the value above which something is no longer what a history leads one to expect."""
    return max(expected.median + _SIGMAS * expected.spread, _EFFECT * expected.median)


def _doubt(readings: Sequence[Reading]) -> str | None:
    """Return why no reading counts: the doubt of the least one; None when one is beyond doubt."""
    if any(reading.doubt is None for reading in readings):
        return None
    return min(readings, key=lambda reading: reading.value).doubt


def _again(reruns: int) -> str:
    return f"; confirmed by {reruns} re-runs" if reruns >= RERUNS else "; not confirmed: seen once"


def _shortfall(value: float, expected: Usual) -> str:
    return f"{round(100 * (1 - value / expected.median))} %"


def _excess(value: float, budget: float) -> str:
    """Return how far over, without ever rounding it away."""
    percent = 100 * (value / budget - 1)
    return "less than 1 %" if percent < 1 else f"{round(percent)} %"


def _shown(value: float, kind: Kind) -> str:
    match kind:
        case "wall":
            return format_duration(value)
        case "cpu":
            return f"{format_duration(value)} CPU"
        case "size":
            return format_size(round(value))
        case "count":
            return f"{value:g}"


def _allowed(budget: float, kind: Kind) -> str:
    return plain_duration(budget) if kind in ("wall", "cpu") else _shown(budget, kind)
