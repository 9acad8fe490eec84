"""Measured scenarios and sizes, held against budgets and the history of the record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from buildopt.measure.gate import RERUNS, Kind, Reading, changed_crates, hold_budget, hold_history, last_change, median
from buildopt.profile.model import Budgets, Profile
from buildopt.record import ExperimentRow, MeasurementRow
from buildopt.report.gate_view import UNTOLD, Change, GateLine

__all__ = ["ROUNDS", "Point", "budget_of", "points", "scenario_lines", "size_line", "wanted_scenarios"]

ROUNDS = 3
"""Builds of a scenario that are measured at first."""

_NAMED = {"clean/build": "clean_build", "leaf/build": "incremental_build", "no-change/test": "test_suite"}
"""The scenarios that have a budget of their own name."""


class Point(NamedTuple):
    """What one experiment measured of a scenario."""

    experiment: ExperimentRow
    rows: tuple[MeasurementRow, ...]
    crates: Mapping[str, float] = {}
    """Seconds by package of the last build; what an earlier gate found stands in its document."""

    def value(self, kind: Kind, unit_seconds: float | None = None) -> float | None:
        """Return the median of the first three builds of which this can be said; None where there is none.

        With `unit_seconds`, CPU seconds are those of a machine on which the known work takes as long.
        """
        if kind == "size":
            return next((float(row.target_bytes) for row in reversed(self.rows) if row.target_bytes), None)
        rows = [row for row in self.rows if (row.cpu_complete if kind == "cpu" else row.polluted is None)]
        return median([seconds(row, kind, unit_seconds) for row in rows[:ROUNDS]]) if rows else None


def wanted_scenarios(profile: Profile) -> tuple[str, ...]:
    """Return the scenarios that a gate measures: those of `[bench]`, and every one that has a budget."""
    budgets = profile.budgets
    named = [scenario for scenario, key in _NAMED.items() if getattr(budgets, key) is not None]
    sized = ["clean/build"] if budgets.target_size is not None else []
    return tuple(dict.fromkeys((*profile.bench.scenarios, *named, *budgets.scenarios, *sized)))


def budget_of(budgets: Budgets, scenario: str) -> float | None:
    """Return the wall seconds that a scenario may take; None where nothing is said."""
    named: float | None = getattr(budgets, _NAMED[scenario]) if scenario in _NAMED else None
    return budgets.scenarios.get(scenario, named)


def points(
    rows: Sequence[MeasurementRow], experiments: Mapping[str, ExperimentRow], like: ExperimentRow
) -> tuple[Point, ...]:
    """Return the history of a scenario, oldest first, one point for each experiment comparable to `like`.

    Comparable: same profile and Cargo; class of machine and compiler are the same in `rows` already.
    """
    found: dict[str, list[MeasurementRow]] = {}
    for row in rows:
        of = experiments.get(row.experiment)
        if of is not None and (of.profile_fingerprint, of.cargo) == (like.profile_fingerprint, like.cargo):
            found.setdefault(row.experiment, []).append(row)
    return tuple(Point(experiments[name], tuple(of)) for name, of in found.items())


def _crates(point: Point) -> Mapping[str, float]:
    """Return seconds by package: as they were just measured, or from the document of a gate; nothing where there is none."""
    if point.crates or point.experiment.kind != "gate":
        return point.crates
    try:
        found = json.loads(point.experiment.document or "{}")["crates"][point.rows[0].scenario]
        return {str(package): float(seconds) for package, seconds in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def scenario_lines(
    scenario: str, now: Point | None, before: Sequence[Point], budgets: Budgets, *, cores: int
) -> tuple[GateLine, ...]:
    """Return how `now` stands against the budget of its scenario, where it has one, and against `before`, oldest first.

    The first three builds are the measurement, what follows is re-runs. CPU seconds decide against the history, wall time
    where a resident process compiles. Where the builds are long enough to say how fast the machine was, those of other days count
    as if it had been as fast then as it is now.
    """
    rows = now.rows[: ROUNDS + RERUNS] if now else ()
    reruns = max(0, len(rows) - ROUNDS)
    lines = []
    budget = budget_of(budgets, scenario)
    if budget is not None:
        readings = [
            Reading(seconds(row, "wall"), _doubt(row), row.cpu_seconds / cores if row.test_seconds is None else 0.0)
            for row in rows
        ]
        answer = hold_budget(readings, budget, kind="wall", critical_percent=budgets.critical, reruns=reruns)
        lines.append(GateLine(scenario, "budget", "wall", answer))
        if not rows:
            return tuple(lines)
    kind: Kind = "cpu" if all(row.cpu_complete for row in rows) else "wall"
    unit = _unit_seconds(rows)
    readings = [Reading(seconds(row, kind, unit), _doubt(row)) for row in rows]
    lines.append(_against_history(scenario, kind, readings, now, before, reruns, unit))
    return tuple(lines)


def size_line(subject: str, now: Point | None, before: Sequence[Point], budget: int | None, critical: int) -> GateLine:
    """Return how the target directory of the clean build stands: against its budget, or against the history without one."""
    size = now.value("size") if now else None
    readings = [] if size is None else [Reading(size)]
    if budget is not None:
        return GateLine(
            subject, "budget", "size", hold_budget(readings, budget, kind="size", critical_percent=critical)
        )
    return _against_history(subject, "size", readings, now, before, 0)


def seconds(row: MeasurementRow, kind: Kind, unit_seconds: float | None = None) -> float:
    """Return what counts of a measurement: CPU seconds, or wall seconds, those of the tests alone where they are known.

    CPU seconds are turned into those of a machine on which the known work takes `unit_seconds`, where both are known.
    """
    if kind == "cpu":
        if unit_seconds is None or row.unit_seconds is None:
            return row.cpu_seconds
        return row.cpu_seconds * unit_seconds / row.unit_seconds
    return row.wall_seconds if row.test_seconds is None else row.test_seconds


def _unit_seconds(rows: Sequence[MeasurementRow]) -> float | None:
    """Return how long the known work took beside these builds; None where one of them was too short to say."""
    units = [row.unit_seconds for row in rows if row.unit_seconds is not None]
    return median(units) if units and len(units) == len(rows) else None


def _doubt(row: MeasurementRow) -> str | None:
    return row.polluted or (UNTOLD if row.external_share is None else None)


def _share(point: Point, unit_seconds: float | None) -> dict[str, float]:
    """Return the CPU seconds of an average build by package: divided as the crates' own times are."""
    crates = _crates(point)
    whole = sum(crates.values())
    cpu = sum(seconds(row, "cpu", unit_seconds) for row in point.rows) / len(point.rows)
    return {package: cpu * seconds / whole for package, seconds in crates.items()} if whole > 0 else {}


def _against_history(
    subject: str,
    kind: Kind,
    readings: Sequence[Reading],
    now: Point | None,
    before: Sequence[Point],
    reruns: int,
    unit_seconds: float | None = None,
) -> GateLine:
    known = [(point, value) for point in before if (value := point.value(kind, unit_seconds)) is not None]
    answer = hold_history(readings, [value for _, value in known], kind=kind, reruns=reruns)
    line = GateLine(subject, "history", kind, answer)
    if answer.verdict not in ("regression", "improved") or now is None or answer.value is None:
        return line
    found = last_change([*(value for _, value in known), answer.value])
    position, old, new = found or (len(known), 0.0, 0.0)
    # What ran at once shares the processors: each crate gets its part of the CPU seconds, and a busy machine cancels out.
    past = [each for point, _ in known[:position] if (each := _share(point, unit_seconds))]
    line = line._replace(crates=changed_crates(_share(now, unit_seconds), past) if past and kind != "size" else ())
    if found is None:
        return line
    first = known[position][0] if position < len(known) else now
    since = len(known) + 1 - position
    return line._replace(change=Change(old, new, since, first.experiment.started_at, first.experiment.git_sha))
