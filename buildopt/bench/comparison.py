"""Arms against each other: pairs side by side until it is decided which one costs less.

Scenario by scenario, and in each the candidates by turns, a block of two pairs at a time. What was measured stands in the
record before the next sample is taken: a call that is cut short loses at most a pair.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from buildopt.bench.arms import Arm
from buildopt.bench.progress import Progress
from buildopt.bench.results import (
    Comparison,
    Guards,
    comparison_of,
    conclude,
    deciding_metric,
    guards,
    is_settled,
    series_of,
    tag_of,
)
from buildopt.bench.sampling import Laboratory, Sampler
from buildopt.bench.scenarios import Scenario
from buildopt.bench.series import Place, Series, order_of_block
from buildopt.errors import ArmFailed
from buildopt.record import Record

__all__ = ["Comparison", "Guards", "compare", "conclude", "guards", "is_settled"]

_REPEATS_IN_A_BLOCK = 4
_USUAL_PAIRS = 8  # what most comparisons need; only the time left is told by it


def compare(
    lab: Laboratory,
    record: Record,
    experiment: str,
    baseline: Arm,
    candidates: Sequence[Arm],
    scenarios: Sequence[Scenario],
    *,
    most_pairs: int,
    deadline: float | None,
    tell: Callable[[Progress], None],
    smallest_effect: float = 0.03,
) -> tuple[Comparison, ...]:
    """Measure until each comparison is decided, has `most_pairs` pairs, or `deadline` (of `host.monotonic`) has come.

    Goes on with what the experiment of this id has in the record. Two results for each scenario and candidate: one for each
    metric. An arm that does not build has that said in its result, and the others go on.
    """
    study = _Study(
        Sampler(lab, record, experiment), experiment, baseline, candidates, most_pairs, smallest_effect, tell
    )
    for number, scenario in enumerate(scenarios):
        now = study.sampler.now()
        share = _share([study.sampler.usual_seconds(each) for each in scenarios[number:]])
        until = math.inf if deadline is None else now + share * max(0.0, deadline - now)
        study.measure(scenario, scenarios[number + 1 :], until)
    if not study.sampler.is_recorded:
        tell(Progress("the record could not be written: another call cannot go on with this one", stays=True))
    return conclude(
        study.sampler.rows, baseline, candidates, scenarios,
        most_pairs=most_pairs, smallest_effect=smallest_effect, failures=study.failures,
    )  # fmt: skip


class _Study:
    """One call of `compare`."""

    def __init__(
        self,
        sampler: Sampler,
        seed: str,
        baseline: Arm,
        candidates: Sequence[Arm],
        most_pairs: int,
        smallest_effect: float,
        tell: Callable[[Progress], None],
    ) -> None:
        self.sampler = sampler
        self.failures: dict[tuple[str, str], str] = {}
        self._seed = seed
        self._baseline = baseline
        self._candidates = candidates
        self._most_pairs = most_pairs
        self._smallest_effect = smallest_effect
        self._tell = tell
        self._known: dict[tuple[str, str, str, int], Comparison] = {}

    def measure(self, scenario: Scenario, later: Sequence[Scenario], until: float) -> None:
        """Take blocks of all candidates by turns until each is settled, or until the time `until`."""
        series = {arm.name: series_of(self.sampler.rows, self._baseline, arm, scenario) for arm in self._candidates}
        going = [arm for arm in self._candidates if not self._settled(arm, scenario, series[arm.name])]
        going = self._prepared(scenario, going, until) if going else []
        while going:
            for arm in tuple(going):
                own = series[arm.name]
                if self.sampler.now() + self._pair_cost(arm, scenario, 0.0) * self._pairs_of_next(own) > until:
                    return
                try:
                    self._block(arm, scenario, own, (going, series, later), until)
                except ArmFailed as error:
                    self._failed(scenario, arm, error)
                    going.remove(arm)
                    continue
                if self._settled(arm, scenario, own):
                    going.remove(arm)
                    self._say(_words(self._concluded(arm, scenario, own)))
                    if not later:
                        self.sampler.lab.forget(arm)

    def _prepared(self, scenario: Scenario, arms: Sequence[Arm], until: float) -> list[Arm]:
        """Prepare the baseline and `arms`, and return those that can be measured."""
        good = []
        longest = 0.0
        for arm in (self._baseline, *arms):
            if self.sampler.now() + longest >= until:
                self._say(f"{scenario.name}: no time is left to build what {arm.name} starts from")
                break
            self._tell(Progress(f"{scenario.name}: building what {arm.name} starts from"))
            try:
                longest = max(longest, self.sampler.prepare(arm, scenario))
            except ArmFailed as error:
                if arm is self._baseline:
                    for each in arms:
                        self.failures[scenario.name, each.name] = f"the baseline: {error.message}"
                    self._say(f"{scenario.name}: left out, the baseline {arm.name} cannot be measured: {error.message}")
                    return []
                self._failed(scenario, arm, error)
            else:
                good.append(arm)
        return good[1:]

    def _block(
        self,
        arm: Arm,
        scenario: Scenario,
        series: Series,
        work: tuple[Sequence[Arm], Mapping[str, Series], Sequence[Scenario]],
        until: float,
    ) -> None:
        tag = tag_of(self._baseline, arm)
        block = series.next_block
        order = order_of_block(tag, f"{self._seed} {scenario.name}", block)[: 2 * self._pairs_of_next(series)]
        repeats = _REPEATS_IN_A_BLOCK if series.wants_clean else 0
        for number, letter in enumerate(order, start=1):
            if number == 3 and self.sampler.now() + self._pair_cost(arm, scenario, 0.0) > until:
                return
            self._tell(self._progress(arm, scenario, series, work, until))
            measured = self._baseline if letter == "A" else arm
            part = str(Place(tag, block, number, letter))
            # The other sample of the pair has to come in time, too.
            limit = until - self._pair_cost(arm, scenario, 0.0) / 2 * (number % 2)
            taken = self.sampler.take(measured, scenario, part, repeats=repeats, until=limit)
            repeats -= sum(row.polluted is not None for row in taken)
            for row in taken:
                series.add(row)

    def _pairs_of_next(self, series: Series) -> int:
        """Return the pairs of the next block: two, or one where no more are wanted."""
        return max(1, min(2, self._most_pairs - len(series.pairs("cpu"))))

    def _progress(
        self,
        arm: Arm,
        scenario: Scenario,
        series: Series,
        work: tuple[Sequence[Arm], Mapping[str, Series], Sequence[Scenario]],
        until: float,
    ) -> Progress:
        going, all_series, later = work
        pairs = len(series.pairs("cpu"))
        text = (
            f"{scenario.name}: {arm.name} against {self._baseline.name}, pair {pairs + 1} of at most {self._most_pairs}"
        )
        if pairs:
            text += f", {self._concluded(arm, scenario, series).ratio:.2f} so far"
        typical = self.sampler.typical_cost()
        if typical is None:
            return Progress(text)
        left = 0.0
        for each in going:
            comparison = self._concluded(each, scenario, all_series[each.name])
            wished = comparison.more_pairs if comparison.pairs else _USUAL_PAIRS
            pairs_left = max(1, min(wished, self._most_pairs - comparison.pairs))
            left += pairs_left * self._pair_cost(each, scenario, typical)
        left = min(left, until - self.sampler.now())
        left += len(later) * len(self._candidates) * min(_USUAL_PAIRS, self._most_pairs) * 2 * typical
        return Progress(text, max(0.0, left))

    def _pair_cost(self, arm: Arm, scenario: Scenario, unknown: float) -> float:
        costs = (self.sampler.cost(each, scenario) for each in (self._baseline, arm))
        return sum(unknown if cost is None else cost for cost in costs)

    def _concluded(self, arm: Arm, scenario: Scenario, series: Series) -> Comparison:
        metric = deciding_metric(self._baseline, arm, series)
        key = (scenario.name, arm.name, metric, len(series.pairs(metric)))
        if key not in self._known:  # a bootstrap for each sample would be felt
            found = comparison_of(
                scenario, metric, self._baseline, arm, series, self._most_pairs, self._smallest_effect
            )
            self._known[key] = found
        return self._known[key]

    def _settled(self, arm: Arm, scenario: Scenario, series: Series) -> bool:
        return is_settled(self._concluded(arm, scenario, series), self._most_pairs)

    def _failed(self, scenario: Scenario, arm: Arm, error: ArmFailed) -> None:
        self.failures[scenario.name, arm.name] = error.message
        self._say(f"{scenario.name}: {arm.name} cannot be measured: {error.message}")
        self.sampler.lab.forget(arm)

    def _say(self, text: str) -> None:
        self._tell(Progress(text, stays=True))


def _share(seconds: Sequence[float | None]) -> float:
    """Return the share of the time that the first of some scenarios gets: as its samples take, where all are known."""
    known = [each for each in seconds if each]
    return seconds[0] / sum(known) if seconds[0] and len(known) == len(seconds) else 1 / len(seconds)


def _words(comparison: Comparison) -> str:
    return (
        f"{comparison.scenario}: {comparison.candidate} needs {comparison.words}"
        f" ({comparison.metric.replace('cpu', 'CPU')} time, {comparison.pairs} pairs)"
    )
