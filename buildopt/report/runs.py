"""The report: last runs, watching, stages against budgets, slowest crates, what was rebuilt and why, the cache."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from buildopt.measure import BudgetVerdict, judge
from buildopt.profile.model import Profile
from buildopt.record import CacheRow, Record, RunRow, StageRow
from buildopt.report import watching
from buildopt.report.reasons import group_rebuilds
from buildopt.report.runs_text import as_text
from buildopt.report.views import RunsView, StageStanding

__all__ = ["RunsView", "as_json", "as_text", "view_runs"]


def view_runs(record: Record, profile: Profile | None, *, now: float, limit: int = 10) -> RunsView:
    """Return what `record` tells about the last `limit` runs; budgets are those of `profile`, where there is one.

    `now` is in seconds since the epoch. An empty or unreadable record gives an empty view, never an error.
    """
    runs = record.runs(limit)
    stages = {run.id: record.stages(run.id) for run in runs}
    built = next((run.id for run in runs if any(stage.fresh + stage.rebuilt for stage in stages[run.id])), None)
    units = record.units(built) if built else ()
    names = _stage_names(profile, stages)
    return RunsView(
        now=now,
        runs=runs,
        stages=stages,
        standings=tuple(_standing(record, name, profile) for name in names),
        slowest=record.slowest(10),
        units=units,
        units_run=built,
        rebuilt=group_rebuilds(units),
        cache=_sum_caches(stage.cache for stage in stages[built]) if built else None,
        notes=record.notes(runs[0].id) if runs else (),
        watch=watching.view_watch(record, now=now),
        record_note=record.note,
    )


def as_json(view: RunsView) -> dict[str, Any]:
    """Return the view as the one document that `buildopt report --json` prints."""
    return {
        "version": 1,
        "runs": [_run_json(run, view.stages[run.id]) for run in view.runs],
        "stages": [_standing_json(standing) for standing in view.standings],
        "units": [unit._asdict() for unit in view.units],
        "units_run": view.units_run,
        "slowest": [{**cost._asdict(), "versions": list(cost.versions)} for cost in view.slowest],
        "rebuilt": [{**group._asdict(), "packages": list(group.packages)} for group in view.rebuilt],
        "cache": _cache_json(view.cache),
        "notes": list(view.notes),
        "watch": watching.as_json(view.watch),
        "record_note": view.record_note,
    }


def _stage_names(profile: Profile | None, stages: Mapping[str, tuple[StageRow, ...]]) -> list[str]:
    """Return the stages of the profile, in its order, then what else was run lately (test groups, removed stages)."""
    declared = list(profile.stages) if profile else []
    seen = sorted({stage.name for rows in stages.values() for stage in rows} - set(declared))
    return [*declared, *seen]


def _standing(record: Record, name: str, profile: Profile | None) -> StageStanding:
    last = record.last_stage(name)
    declared = profile.stages.get(name) if profile else None
    if last is None:
        budget = declared.budget if declared else None
        return StageStanding(name, None, None, None, budget, judge(None, budget), judge(None, budget))
    run, stage = last
    budget = declared.budget if declared else stage.budget_seconds
    usual = record.usual_seconds(name, run)
    return StageStanding(
        name=name,
        last_result=stage.result,
        last_seconds=stage.wall_seconds,
        usual_seconds=usual,
        budget_seconds=budget,
        last=_verdict(stage, budget, run),
        usual=judge(usual, budget),
    )


def _verdict(stage: StageRow, budget: float | None, run: RunRow) -> BudgetVerdict:
    """Return how the last time of a stage stands; a stage that failed early has kept no budget."""
    doubt = "waited for a lock" if stage.lock_wait else run.polluted
    seconds = stage.wall_seconds if stage.result == "success" else None
    return judge(seconds, budget, doubt=doubt)


def _sum_caches(caches: Iterable[CacheRow | None]) -> CacheRow | None:
    used = [cache for cache in caches if cache is not None]
    if not used:
        return None
    reasons: dict[str, int] = {}
    for cache in used:
        for reason, count in cache.not_cached.items():
            reasons[reason] = reasons.get(reason, 0) + count
    return CacheRow(
        hits=sum(cache.hits for cache in used),
        misses=sum(cache.misses for cache in used),
        errors=sum(cache.errors for cache in used),
        not_cached=reasons,
        location=used[-1].location,
    )


def _run_json(run: RunRow, stages: Iterable[StageRow]) -> dict[str, Any]:
    return {**run._asdict(), "stages": [_stage_json(stage) for stage in stages]}


def _stage_json(stage: StageRow) -> dict[str, Any]:
    fields = stage._asdict()
    units = {"fresh": fields.pop("fresh"), "rebuilt": fields.pop("rebuilt")}
    return {**fields, "packages": list(stage.packages), "units": units, "cache": _cache_json(stage.cache)}


def _standing_json(standing: StageStanding) -> dict[str, Any]:
    return {
        "name": standing.name,
        "last_result": standing.last_result,
        "last_seconds": standing.last_seconds,
        "usual_seconds": standing.usual_seconds,
        "budget_seconds": standing.budget_seconds,
        "verdict": standing.last.verdict,
        "usual_verdict": standing.usual.verdict,
        "percent": standing.last.percent,
    }


def _cache_json(cache: CacheRow | None) -> dict[str, Any] | None:
    return None if cache is None else {**cache._asdict(), "not_cached": dict(cache.not_cached)}
