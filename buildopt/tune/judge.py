"""What was measured of each candidate, and which of them are worth keeping. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Literal, NamedTuple

from buildopt.bench.results import Comparison
from buildopt.measure.screening import Design, effects, placebo_floor
from buildopt.measure.sequential import FEWEST_PAIRS
from buildopt.tune.candidates import Candidate
from buildopt.tune.levels import Found

__all__ = [
    "Judged",
    "Metric",
    "Row",
    "best_left",
    "best_of",
    "gains",
    "judge_row",
    "judge_rows",
    "noise_of",
    "not_ruled_out",
    "weigh",
    "weighted",
]

Metric = Literal["cpu", "wall"]
Outcome = Literal["helps", "doubtful", "nothing", "hurts", "fails"]

_NOTHING = 0.01  # an effect below this is none, however narrow its interval
_CHANCE = 0.007  # that the interval of a comparison leaves out the truth: what 2.7 standard errors leave
_LEAST_NOISE = 0.015  # three equal rows may agree by chance
_CLEAN_SHARE = 0.75  # of the rows: with fewer clean ones, polluted wall times are used all the same


class Row(NamedTuple):
    """One way to build, measured: seconds by scenario, the least of its samples."""

    cpu: Mapping[str, float]
    wall: Mapping[str, float]
    polluted: bool = False
    """Whether others used the processors: its wall times then say little."""
    failed: str | None = None
    """Why it could not be built."""
    cpu_complete: bool = True


class Judged(NamedTuple):
    """What one candidate does."""

    candidate: Candidate
    outcome: Outcome
    found: Found | None
    """Ratio of the weighted cost, by the metric that decides."""
    metric: Metric
    both: Mapping[Metric, Found]
    """The same by CPU and by wall time."""
    scenarios: Mapping[str, Found]
    floor: float
    """What nothing at all seemed to do (0.02: 2 %)."""
    builds: int
    """Rows that say so."""
    why: str


def weighted(seconds: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the weighted geometric mean of the seconds of each scenario."""
    total = sum(weights.values())
    return math.exp(sum(weight * math.log(max(seconds[name], 1e-4)) for name, weight in weights.items()) / total)


def noise_of(rows: Sequence[Row], weights: Mapping[str, float], metric: Metric = "cpu") -> float:
    """Return the standard deviation of the logarithm of equal rows, never less than 1.5 %."""
    logs = [math.log(weighted(getattr(row, metric), weights)) for row in rows if row.failed is None]
    if len(logs) < 2:
        return _LEAST_NOISE
    mean = sum(logs) / len(logs)
    return max(_LEAST_NOISE, math.sqrt(sum((each - mean) ** 2 for each in logs) / (len(logs) - 1)))


def weigh(comparisons: Sequence[Comparison], weights: Mapping[str, float]) -> Found | None:
    """Return the weighted ratio of one candidate over its scenarios, by the metric that decides; None with too few pairs."""
    enough = [each for each in comparisons if each.pairs >= FEWEST_PAIRS and each.failure is None]
    by_name = {each.scenario: each for each in enough if each.decides}
    if not weights.keys() <= by_name.keys():
        return None
    total = sum(weights.values())
    middle = square = 0.0
    for name, weight in weights.items():
        low, high = by_name[name].interval
        middle += weight / total * math.log(by_name[name].ratio)
        square += (weight / total * math.log(high / low) / 2) ** 2
    return Found(*(math.exp(each) for each in (middle, middle - math.sqrt(square), middle + math.sqrt(square))))


def judge_rows(
    candidates: Sequence[Candidate],
    design: Design,
    rows: Sequence[Row | None],
    weights: Mapping[str, float],
    smallest_effect: float,
) -> tuple[Judged, ...]:
    """Return what a design says of its candidates; `rows` stand in its order, None where one was not built.

    Raises ValueError when too few rows are left to tell the candidates apart.
    """
    judged: list[Judged] = []
    metrics: tuple[Metric, ...] = ("cpu", "wall")
    fits = {metric: _fits(design, rows, weights, metric) for metric in metrics}
    built = sum(row is not None and row.failed is None for row in rows)
    for position, candidate in enumerate(candidates):
        metric = _metric(candidate, rows)
        whole, floor, single = fits[metric]
        found = whole[position]
        scenarios = {name: every[position] for name, (every, _) in single.items()}
        floors = {name: each for name, (_, each) in single.items()}
        outcome, why = _outcome(found, floor, scenarios, floors, smallest_effect)
        if outcome == "helps" and metric == "wall":
            outcome, why = "doubtful", "wall time, not settled by pairs"
        both: dict[Metric, Found] = {each: fits[each][0][position] for each in fits}
        judged.append(Judged(candidate, outcome, found, metric, both, scenarios, floor, built, why))
    return tuple(judged)


def judge_row(
    candidate: Candidate, row: Row, today: Sequence[Row], weights: Mapping[str, float], smallest_effect: float
) -> Judged:
    """Return what one row of a candidate says against the rows of today's settings: enough to give up, never to adopt."""
    metric = _metric(candidate, [row, *today])
    if row.failed is not None:
        return Judged(candidate, "fails", None, metric, {}, {}, 0.0, 1, row.failed)
    noise = noise_of(today, weights, metric)

    def ratio(only: Mapping[str, float], metric: Metric = metric) -> Found:
        before = sorted(weighted(getattr(each, metric), only) for each in today if each.failed is None)
        middle = math.log(weighted(getattr(row, metric), only) / before[len(before) // 2])
        width = 1.96 * noise * math.sqrt(1 + 1 / len(before))
        return Found(*(math.exp(each) for each in (middle, middle - width, middle + width)))

    found, scenarios = ratio(weights), {name: ratio({name: 1.0}) for name in weights}
    floor = math.expm1(noise)
    outcome, why = _outcome(found, floor, scenarios, dict.fromkeys(weights, floor), smallest_effect)
    if outcome == "helps":
        outcome, why = "doubtful", "one build, not settled by pairs"
    both: dict[Metric, Found] = {"cpu": ratio(weights, "cpu"), "wall": ratio(weights, "wall")}
    return Judged(candidate, outcome, found, metric, both, scenarios, floor, 1, why)


def best_of(judged: Sequence[Judged]) -> tuple[tuple[Judged, ...], tuple[Judged, ...]]:
    """Return what is taken as it is, and what pairs have to settle, the most promising first.

    Of the levels of one setting at most one is taken. A doubtful level of it is settled only where it seems to gain a percent
    more; of several doubtful ones, that of which more builds tell comes first, as one build may be lucky.
    """
    taken: dict[str, Judged] = {}
    hopeful = [each for each in judged if each.found is not None]
    for each in hopeful:
        before = taken.get(each.candidate.key)
        if each.outcome == "helps" and (before is None or _ratio(each) < _ratio(before) * (1 - _NOTHING)):
            taken[each.candidate.key] = each
    doubtful: dict[str, list[Judged]] = {}
    for each in sorted(hopeful, key=lambda one: (-one.builds, _ratio(one))):
        before = taken.get(each.candidate.key)
        if each.outcome == "doubtful" and (before is None or _ratio(each) < _ratio(before) * (1 - _NOTHING)):
            doubtful.setdefault(each.candidate.key, []).append(each)
    promising = sorted(doubtful.values(), key=lambda levels: min(map(_ratio, levels)))
    return tuple(taken.values()), tuple(each for levels in promising for each in levels)


def not_ruled_out(judged: Sequence[Judged], worth: float) -> tuple[Judged, ...]:
    """Return what may yet gain although no row showed it, one level of each setting, the most promising first.

    For pairs, where nothing else is left to be tried: one unlucky build had been enough to end a tuning of twenty minutes.
    """
    found: dict[str, Judged] = {}
    for each in sorted(judged, key=_ratio):
        if each.outcome in ("nothing", "doubtful") and each.found is not None and each.found.low < worth:
            found.setdefault(each.candidate.key, each)
    return tuple(found.values())


def best_left(judged: Sequence[Judged], worth: float) -> Judged | None:
    """Return the best of what pairs neither showed nor ruled out: with nothing beyond doubt, the confirmation is about that."""
    left = [
        each
        for each in judged
        if each.outcome == "nothing" and each.candidate.held and each.found is not None and each.found.ratio <= worth
    ]
    best = min(left, key=lambda each: each.found.ratio if each.found else 1.0, default=None)
    return best and best._replace(
        outcome="doubtful", why="not told from noise by the first pairs, left to the confirmation"
    )


def gains(whole: Found, own: Sequence[Comparison], below: float) -> bool:
    """Return whether pairs show a gain as a whole, or one beyond doubt in one scenario that the others do not take back."""
    deciding = [each for each in own if each.decides]
    faster = any(each.verdict == "faster" and _is_sure(each, len(deciding)) for each in deciding)
    return (whole.high < 1 and whole.ratio <= below) or (faster and whole.ratio < 1)


def _is_sure(comparison: Comparison, among: int) -> bool:
    """Whether an effect is as sure among several scenarios as it would be alone (Bonferroni): one of them may be luck.

    An early verdict was given beyond a wider interval, which allows for later looks: that is not asked for a second time.
    """
    return abs(math.log(comparison.ratio)) > NormalDist().inv_cdf(1 - _CHANCE / (2 * among)) * comparison.error


def _ratio(judged: Judged) -> float:
    return 1.0 if judged.found is None else judged.found.ratio


def _metric(candidate: Candidate, rows: Sequence[Row | None]) -> Metric:
    complete = all(row is None or row.cpu_complete for row in rows)
    return "wall" if candidate.parallel or not complete else "cpu"


_Fit = tuple[tuple[Found, ...], float]


def _fits(
    design: Design,
    rows: Sequence[Row | None],
    weights: Mapping[str, float],
    metric: Metric,
) -> tuple[tuple[Found, ...], float, Mapping[str, _Fit]]:
    """Return the effects on the weighted cost with their floor, and those on each scenario with theirs."""
    usable = [row if row is not None and row.failed is None else None for row in rows]
    if metric == "wall":
        clean = [row if row is not None and not row.polluted else None for row in usable]
        wanted = _CLEAN_SHARE * sum(row is not None for row in usable)
        usable = clean if sum(row is not None for row in clean) >= wanted else usable

    def fit(only: Mapping[str, float]) -> _Fit:
        costs = [None if row is None else weighted(getattr(row, metric), only) for row in usable]
        found = effects(design, costs)
        return tuple(Found(*effect[:3]) for effect in found if not effect.placebo), placebo_floor(found)

    whole, floor = fit(weights)
    return whole, floor, {name: fit({name: 1.0}) for name in weights}


def _outcome(
    found: Found, floor: float, scenarios: Mapping[str, Found], floors: Mapping[str, float], smallest_effect: float
) -> tuple[Outcome, str]:
    for name, each in scenarios.items():
        if each.low > 1 + smallest_effect and each.ratio > 1 + floors[name]:
            return "hurts", f"{name} takes {each.ratio:.2f} of the time"
    if found.ratio > 1 - _NOTHING:
        return ("hurts", "slower") if found.low > 1 + _NOTHING else ("nothing", "no gain")
    if found.high < 1 and found.ratio < 1 / (1 + floor):
        return "helps", "faster"
    return "doubtful", "not told from noise"
