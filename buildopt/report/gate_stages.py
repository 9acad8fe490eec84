"""The stages of the profile, and the CI pipeline that they make, held against budgets and the history of the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from buildopt.measure.gate import RERUNS, Answer, Kind, Reading, changed_crates, hold_budget, hold_history, last_change
from buildopt.measure.samples import pollution
from buildopt.profile.model import Profile
from buildopt.record import Record, RunRow, StageRow, UnitRow
from buildopt.record.rows import BaselineRow
from buildopt.report.gate_view import UNTOLD, Change, GateLine

__all__ = ["stage_lines"]

_RUNS = 40
_ALIKE = 0.75  # of the units that either of two runs has rebuilt, how many both must have


class _Past(NamedTuple):
    """One success of a stage."""

    run: RunRow
    stage: StageRow
    rebuilt: Mapping[tuple[str, str, str], float]
    """Seconds by package, target and mode of what was rebuilt."""


def stage_lines(
    record: Record, profile: Profile, like: RunRow, baselines: Mapping[str, BaselineRow]
) -> tuple[GateLine, ...]:
    """Return how each stage that was run or has a budget stands, and the CI pipeline where it has one.

    Only runs comparable to `like` count: same profile, Cargo, compiler, class of machine and CI state. `baselines` are by
    subject. An empty record gives lines without a verdict for the budgets, never an error.
    """
    lines: list[GateLine] = []
    for name, stage in profile.stages.items():
        rows = record.stage_history(name, like=like, last=_RUNS)
        if stage.budget is not None:
            lines.append(_against_budget(name, rows, stage.budget, profile.budgets.critical, like.cores or 1))
        if rows:
            lines.append(_against_history(record, name, rows, profile, baselines.get(f"stage {name}")))
    if profile.budgets.ci_pipeline is not None:
        lines.append(_pipeline(record, profile, like, profile.budgets.ci_pipeline))
    return tuple(lines)


def _against_budget(
    name: str, rows: Sequence[tuple[RunRow, StageRow]], budget: float, critical: int, cores: int
) -> GateLine:
    """Hold the last run that built anything; the runs before it that were over too stand for re-runs."""
    built = [row for row in rows if row[1].rebuilt] or list(rows)
    readings = [_reading(run, stage, cores) for run, stage in built[-1 - RERUNS :]]
    return GateLine(f"stage {name}", "budget", "wall", _latest(readings, budget, critical))


def _latest(readings: Sequence[Reading], budget: float, critical: int) -> Answer:
    """Hold the last of `readings`, oldest first; those right before it that are over too stand for its re-runs."""
    held: list[Reading] = []
    for reading in reversed(readings):
        if held and reading.value <= budget:
            break
        held.append(reading)
    kept = held[:1] if held and held[0].value <= budget else held
    return hold_budget(kept, budget, kind="wall", critical_percent=critical, reruns=max(0, len(kept) - 1))


def _reading(run: RunRow, stage: StageRow, cores: int) -> Reading:
    wall, cpu = stage.wall_seconds or 0.0, stage.cpu_seconds or 0.0
    doubt = _polluted(run, stage, cores) or (UNTOLD if run.external_share is None else None)
    return Reading(wall, doubt, cpu / max(1, cores))


def _polluted(run: RunRow, stage: StageRow, cores: int) -> str | None:
    wall, cpu = stage.wall_seconds or 0.0, stage.cpu_seconds or 0.0
    return pollution(wall, cpu, run.external_share, stage.lock_wait, cores=cores) or run.polluted


def _against_history(
    record: Record,
    name: str,
    rows: Sequence[tuple[RunRow, StageRow]],
    profile: Profile,
    baseline: BaselineRow | None,
) -> GateLine:
    """Hold the last run against those that rebuilt the same; CPU seconds, or wall time where a cache compiles elsewhere."""
    wall = profile.cache is not None and profile.cache.wrapper != "none"
    if baseline is not None:
        kept = {run.id for run, _ in record.stage_history(name, like=rows[-1][0], last=_RUNS, after=baseline.after_run)}
        rows = [row for row in rows if row[0].id in kept or row is rows[-1]]
    past = _alike([_Past(run, stage, _rebuilt(record.units(run.id), name)) for run, stage in rows])
    if wall:
        past = [each for each in past[:-1] if not _polluted(each.run, each.stage, each.run.cores or 1)] + past[-1:]
    values = [_value(each, wall) for each in past]
    kind: Kind = "wall" if wall else "cpu"
    answer = hold_history([_held(past[-1], wall)], values[:-1], kind=kind)
    before = past[:-1]
    if answer.verdict == "regression" and len(past) > 1 + RERUNS:
        least = min((_held(each, wall) for each in past[-1 - RERUNS :]), key=lambda reading: reading.value)
        surer = hold_history([least], values[: -1 - RERUNS], kind=kind, reruns=RERUNS)
        if surer.verdict == "regression":
            answer, before = surer, past[: -1 - RERUNS]
    line = GateLine(f"stage {name}", "history", kind, answer)
    if answer.verdict not in ("regression", "improved"):
        return line
    change = _change(past, values)
    if change is not None:
        before = past[: len(past) - change.runs]
    now = _by_package(past[-1].rebuilt)
    return line._replace(crates=changed_crates(now, [_by_package(each.rebuilt) for each in before]), change=change)


def _alike(past: Sequence[_Past]) -> list[_Past]:
    """Return those that rebuilt about the same units as the last one, which is the last of them."""
    last = set(past[-1].rebuilt)

    def alike(each: _Past) -> bool:
        units = set(each.rebuilt)
        return len(last & units) >= _ALIKE * len(last | units)

    return [each for each in past if alike(each)]


def _rebuilt(units: Sequence[UnitRow], stage: str) -> dict[tuple[str, str, str], float]:
    return {
        (unit.package, unit.target, unit.mode): unit.duration_seconds or 0.0
        for unit in units
        if not unit.fresh and unit.stage == stage
    }


def _by_package(rebuilt: Mapping[tuple[str, str, str], float]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for (package, _, _), seconds in rebuilt.items():
        sums[package] = sums.get(package, 0.0) + seconds
    return sums


def _value(past: _Past, wall: bool) -> float:
    return (past.stage.wall_seconds if wall else past.stage.cpu_seconds) or 0.0


def _held(past: _Past, wall: bool) -> Reading:
    return Reading(_value(past, wall), _reading(past.run, past.stage, past.run.cores or 1).doubt)


def _change(past: Sequence[_Past], values: Sequence[float]) -> Change | None:
    found = last_change(values)
    if found is None:
        return None
    position, before, after = found
    first = past[position].run
    return Change(before, after, len(past) - position, first.started_at, first.git_sha)


def _pipeline(record: Record, profile: Profile, like: RunRow, budget: float) -> GateLine:
    """Hold the longest chain of stages that wait for each other, as the last CI runs on this class of machine took."""
    rows = {name: record.stage_history(name, like=like._replace(ci=True), last=1 + RERUNS) for name in profile.stages}
    readings = []
    for back in range(1 + RERUNS, 0, -1):
        took = {name: _reading(*found[-back], like.cores or 1) for name, found in rows.items() if len(found) >= back}
        if took:
            doubt = next((reading.doubt for reading in took.values() if reading.doubt), None)
            readings.append(Reading(_longest_chain(profile, took), doubt))
    return GateLine("CI pipeline", "budget", "wall", _latest(readings, budget, profile.budgets.critical))


def _longest_chain(profile: Profile, took: Mapping[str, Reading]) -> float:
    """Return the seconds of the longest chain of stages of which each requires the one before."""
    ends: dict[str, float] = {}

    def end(name: str) -> float:
        if name not in ends:
            required = max((end(each) for each in profile.stages[name].requires), default=0.0)
            ends[name] = required + (took[name].value if name in took else 0.0)
        return ends[name]

    return max(end(name) for name in profile.stages)
