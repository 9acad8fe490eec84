"""A tuning as one JSON document: for `--json`, and for the record. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from buildopt.bench.results import Comparison
from buildopt.tune.guards import Guarded
from buildopt.tune.judge import Judged
from buildopt.tune.levels import Found
from buildopt.tune.plan import Costs, Plan
from buildopt.tune.study import Result

__all__ = ["document", "plan_document"]


def document(result: Result, guarded: Guarded | None, weights: Mapping[str, float]) -> dict[str, Any]:
    """Return what was planned, measured and found."""
    return {
        "weights": dict(weights),
        "plan": plan_document(result.plan, result.costs, result.announced_seconds),
        "spent_seconds": round(result.spent_seconds, 1),
        "changes_of_plan": list(result.changes),
        "candidates": [_judged(each) for each in result.judged],
        "pairs": {each.name: _comparisons(found) for each, found in result.settled.items()},
        "alone": {each.name: _comparisons(found) for each, found in result.alone.items()},
        "chosen": [each.name for each in result.chosen],
        "confirmation": {
            "comparisons": _comparisons(result.whole),
            "weighted": _found(result.weighted),
            "confirmed": bool(result.chosen) and result.why_not is None,
            "why_not": result.why_not,
            "unfinished": result.unfinished,
        },
        "guards": None if guarded is None else _guarded(guarded),
    }


def plan_document(plan: Plan, costs: Costs, announced_seconds: float) -> dict[str, Any]:
    """Return a plan: what is tried, how long it takes, what it can tell apart."""
    return {
        "announced_seconds": round(announced_seconds, 1),
        "clean_build_seconds": round(costs.clean_seconds, 2),
        "noise": round(costs.noise, 4),
        "resolves": round(plan.resolves(costs.noise), 4),
        "screened": [each.name for each in plan.screened],
        "apart": [each.name for each in plan.apart],
        "dropped": [each.name for each in plan.dropped],
        "rows": plan.rows,
        "folded": plan.folded and bool(plan.screened),
        "edits": plan.edits,
        "pairs": plan.pairs,
    }


def _judged(judged: Judged) -> dict[str, Any]:
    return {
        "setting": judged.candidate.name,
        "outcome": judged.outcome,
        "why": judged.why,
        "metric": judged.metric,
        "weighted": _found(judged.found),
        "cpu": _found(judged.both.get("cpu")),
        "wall": _found(judged.both.get("wall")),
        "scenarios": {name: _found(found) for name, found in judged.scenarios.items()},
        "placebo": round(judged.floor, 4),
        "builds": judged.builds,
    }


def _comparisons(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    return [
        {
            "scenario": each.scenario,
            "metric": each.metric,
            "baseline": each.baseline,
            "candidate": each.candidate,
            "ratio": _number(each.ratio),
            "interval": [_number(end) for end in each.interval],
            "pairs": each.pairs,
            "verdict": each.verdict,
            "aa_ratio": _number(each.aa_ratio),
            "aa_interval": [_number(end) for end in each.aa_interval],
            "decides": each.decides,
            "baseline_seconds": _number(each.baseline_seconds),
            "candidate_seconds": _number(each.candidate_seconds),
        }
        for each in comparisons
    ]


def _guarded(guarded: Guarded) -> dict[str, Any]:
    def sizes(arm: str) -> dict[str, int | None]:
        found = getattr(guarded, arm)
        return {
            "target_bytes": found.target_bytes if found else None,
            "artifact_bytes": found.artifact_bytes if found else None,
        }

    return {
        "broken": list(guarded.broken),
        "notes": list(guarded.notes),
        "today": sizes("today"),
        "chosen": {**sizes("chosen"), "test_seconds": guarded.test_seconds},
    }


def _found(found: Found | None) -> dict[str, Any] | None:
    return (
        None
        if found is None
        else {"ratio": _number(found.ratio), "interval": [_number(found.low), _number(found.high)]}
    )


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
