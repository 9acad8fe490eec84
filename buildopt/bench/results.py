"""What the measurements of a comparison say: ratios, intervals, verdicts, and what an arm costs beside time. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from buildopt.bench.arms import Arm
from buildopt.bench.scenarios import Scenario
from buildopt.bench.series import Metric, Series, parse_place
from buildopt.measure.sequential import Decision, PairVerdict, decide
from buildopt.record import MeasurementRow

__all__ = [
    "Comparison",
    "Guards",
    "comparison_of",
    "conclude",
    "deciding_metric",
    "guards",
    "is_settled",
    "series_of",
    "tag_of",
]

_PARALLEL = ("codegen-units", "rustflags", "jobs", "threads")


class Comparison(NamedTuple):
    """What the pairs of one candidate say in one scenario, by one of the two metrics."""

    scenario: str
    metric: Metric
    baseline: str
    candidate: str
    ratio: float
    """Median of candidate / baseline; NaN without a pair."""
    interval: tuple[float, float]
    pairs: int
    verdict: PairVerdict
    aa_ratio: float
    """The baseline against itself: what noise alone does here; NaN without a block."""
    aa_interval: tuple[float, float]
    more_pairs: int
    """About how many further pairs would decide it; 0 where it is decided."""
    decides: bool
    """Whether this metric decides. Wall time does where an arm changes how much is done at once, CPU time else."""
    polluted: int
    """Samples that were repeated."""
    polluted_kept: int
    """Samples that count although other work disturbed them: nothing clean was to be had."""
    baseline_seconds: float
    """Median; NaN without a sample."""
    candidate_seconds: float
    words: str
    failure: str | None = None
    """Why there is nothing to compare, as an arm that does not build."""
    error: float = math.nan
    """Standard error of the logarithm of the ratio; NaN where too few pairs say it."""


class Guards(NamedTuple):
    """What an arm costs beside time, in one scenario. None is not known."""

    scenario: str
    arm: str
    target_bytes: int | None
    artifact_bytes: int | None
    peak_bytes: int | None
    test_seconds: float | None


Failures = Mapping[tuple[str, str], str]
"""By scenario and candidate, why there is nothing to compare."""


def conclude(
    rows: Iterable[MeasurementRow],
    baseline: Arm,
    candidates: Sequence[Arm],
    scenarios: Sequence[Scenario],
    *,
    most_pairs: int,
    smallest_effect: float = 0.03,
    failures: Failures | None = None,
) -> tuple[Comparison, ...]:
    """Return what the measurements of an experiment say about each scenario and candidate, by both metrics. Pure."""
    rows = tuple(rows)
    found: list[Comparison] = []
    for scenario in scenarios:
        for candidate in candidates:
            series = series_of(rows, baseline, candidate, scenario)
            failure = (failures or {}).get((scenario.name, candidate.name))
            deciding = deciding_metric(baseline, candidate, series)
            for metric in ("cpu", "wall") if deciding == "cpu" else ("wall", "cpu"):
                comparison = comparison_of(scenario, metric, baseline, candidate, series, most_pairs, smallest_effect)
                found.append(comparison._replace(decides=metric == deciding, failure=failure))
    return tuple(found)


def is_settled(comparison: Comparison, most_pairs: int) -> bool:
    """Return whether more measuring would not change what is said."""
    return comparison.failure is not None or comparison.verdict != "unresolved" or comparison.pairs >= most_pairs


def guards(rows: Iterable[MeasurementRow], arms: Sequence[Arm], scenarios: Sequence[Scenario]) -> tuple[Guards, ...]:
    """Return what the samples of each arm cost beside time: the largest peak, the median test run. Pure."""
    found = []
    by_place: dict[tuple[str, str], list[MeasurementRow]] = {}
    for row in rows:
        by_place.setdefault((row.scenario, row.arm), []).append(row)
    for scenario in scenarios:
        for arm in arms:
            own = by_place.get((scenario.name, arm.name), [])
            if own:
                tests = [row.test_seconds for row in own if row.test_seconds is not None]
                found.append(
                    Guards(
                        scenario.name,
                        arm.name,
                        next((row.target_bytes for row in reversed(own) if row.target_bytes is not None), None),
                        next((row.artifact_bytes for row in reversed(own) if row.artifact_bytes is not None), None),
                        max(row.peak_bytes for row in own),
                        _median(tests) if tests else None,
                    )
                )
    return tuple(found)


def comparison_of(
    scenario: Scenario,
    metric: Metric,
    baseline: Arm,
    candidate: Arm,
    series: Series,
    most_pairs: int,
    smallest_effect: float,
) -> Comparison:
    """Return what a series says by one metric."""
    pairs, aa = series.pairs(metric), series.baseline_pairs(metric)
    found = unknown = Decision("unresolved", 0, math.nan, math.nan, math.nan, 0, "nothing measured")
    if pairs:
        final = len(pairs) >= most_pairs
        found = decide(pairs, aa=aa, smallest_effect=smallest_effect, final=final, planned=most_pairs)
    floor = decide(aa, smallest_effect=smallest_effect) if aa else unknown
    seconds = [
        [row.cpu_seconds if metric == "cpu" else row.wall_seconds for row in series.rows(letter)] for letter in "AB"
    ]
    return Comparison(
        scenario=scenario.name,
        metric=metric,
        baseline=baseline.name,
        candidate=candidate.name,
        ratio=found.ratio,
        interval=(found.low, found.high),
        pairs=found.pairs,
        verdict=found.verdict,
        aa_ratio=floor.ratio,
        aa_interval=(floor.low, floor.high),
        more_pairs=found.more_pairs,
        decides=True,
        polluted=series.repeated,
        polluted_kept=series.polluted_kept,
        baseline_seconds=_median(seconds[0]),
        candidate_seconds=_median(seconds[1]),
        words=found.words,
        error=found.error,
    )


def deciding_metric(baseline: Arm, candidate: Arm, series: Series) -> Metric:
    """Return the metric that decides: CPU time says nothing of what is done at once, or by a process that stays."""
    if not series.cpu_complete or baseline.wrapper != candidate.wrapper:
        return "wall"
    if baseline.changes_parallelism and candidate.changes_parallelism:
        # Settings that both have say nothing of the difference.
        differing = {*baseline.config} ^ {*candidate.config} | {*(baseline.release or ())} ^ {
            *(candidate.release or ())
        }
        return "wall" if any(word in line for line in differing for word in _PARALLEL) else "cpu"
    return "wall" if baseline.changes_parallelism or candidate.changes_parallelism else "cpu"


def series_of(rows: Iterable[MeasurementRow], baseline: Arm, candidate: Arm, scenario: Scenario) -> Series:
    """Return the samples of one comparison among those of an experiment."""
    tag = tag_of(baseline, candidate)
    places = ((row, parse_place(row.part)) for row in rows if row.scenario == scenario.name)
    return Series(row for row, place in places if place is not None and place.tag == tag)


def tag_of(baseline: Arm, candidate: Arm) -> str:
    """Return what stands for the two arms in the record: their names may be long, and say less than what they do."""
    text = repr([arm._replace(env=dict(sorted(arm.env.items()))) for arm in (baseline, candidate)])
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=6).hexdigest()


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    if not ordered:
        return math.nan
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
