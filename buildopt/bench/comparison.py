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
    metric. An arm that does not build has that said in its result, and the others go on. Each scenario has its share of the
    time, and what some leave over goes to those that are not decided yet.
    """
    study = _Study(
        Sampler(lab, record, experiment), experiment, baseline, candidates, scenarios, most_pairs, smallest_effect, tell
    )
    end = math.inf if deadline is None else deadline
    while study.round(end):
        pass
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
        scenarios: Sequence[Scenario],
        most_pairs: int,
        smallest_effect: float,
        tell: Callable[[Progress], None],
    ) -> None:
        self.sampler = sampler
        self.failures: dict[tuple[str, str], str] = {}
        self._seed = seed
        self._baseline = baseline
        self._candidates = candidates
        self._scenarios = scenarios
        self._most_pairs = most_pairs
        self._smallest_effect = smallest_effect
        self._tell = tell
        self._known: dict[tuple[str, str, str, int], Comparison] = {}
        self._preparing: dict[str, float] = {}
        """Seconds that the arms of a scenario were last prepared in."""

    def round(self, end: float) -> bool:
        """Give each undecided scenario its share of the time until `end`; return whether another round may do more.

        What is too little for several is left to the one with the fewest pairs. The first builds of all arms are in no
        scenario's share: the others start from them, too.
        """
        before = len(self.sampler.rows)
        undecided = [each for each in self._scenarios if self._undecided(each)]
        if self._preparing:
            undecided.sort(key=self._fewest_pairs, reverse=True)
        for number, scenario in enumerate(undecided):
            first = not self._preparing
            until = end if first else self._until(undecided[number:], end)
            arms = self._prepared(scenario, until)
            if first:
                until = self._until(undecided, end)
            self._measure(scenario, arms, undecided[number + 1 :], until)
        return len(self.sampler.rows) > before

    def _until(self, scenarios: Sequence[Scenario], end: float) -> float:
        """Return when the first of `scenarios` has had its share of the time until `end`: as its samples take, if known."""
        usual = [self.sampler.usual_seconds(each) for each in scenarios]
        known = [each for each in usual if each]
        share = usual[0] / sum(known) if usual[0] and len(known) == len(usual) else 1 / len(usual)
        now = self.sampler.now()
        return now + share * max(0.0, end - now)

    def _series(self, scenario: Scenario) -> dict[str, Series]:
        return {arm.name: series_of(self.sampler.rows, self._baseline, arm, scenario) for arm in self._candidates}

    def _undecided(self, scenario: Scenario) -> list[Arm]:
        series = self._series(scenario)
        return [
            arm for arm in self._candidates
            if (scenario.name, arm.name) not in self.failures and not self._settled(arm, scenario, series[arm.name])
        ]  # fmt: skip

    def _fewest_pairs(self, scenario: Scenario) -> int:
        series = self._series(scenario)
        return min(len(series[arm.name].pairs("cpu")) for arm in self._undecided(scenario))

    def _measure(self, scenario: Scenario, arms: Sequence[Arm], later: Sequence[Scenario], until: float) -> None:
        """Take blocks of all `arms` by turns until each is settled, or until the time `until`; those with fewer pairs first."""
        series = self._series(scenario)
        going = sorted(arms, key=lambda arm: len(series[arm.name].pairs("cpu")))
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
                    if not any(arm in self._undecided(each) for each in self._scenarios):
                        self.sampler.lab.forget(arm)

    def _prepared(self, scenario: Scenario, until: float) -> list[Arm]:
        """Prepare the baseline and the undecided arms, and return those that can be measured until then."""
        arms = self._undecided(scenario)
        began = self.sampler.now()
        if not arms or began + self._least_seconds(scenario, arms) > until:
            return []
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
        self._preparing[scenario.name] = self.sampler.now() - began
        return good[1:]

    def _least_seconds(self, scenario: Scenario, arms: Sequence[Arm]) -> float:
        """Return what one more pair takes with what it starts from, by the round before; 0 in the first."""
        if scenario.name not in self._preparing:
            return 0.0
        return self._preparing[scenario.name] + min(self._pair_cost(arm, scenario, 0.0) for arm in arms)

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


def _words(comparison: Comparison) -> str:
    return (
        f"{comparison.scenario}: {comparison.candidate} needs {comparison.words}"
        f" ({comparison.metric.replace('cpu', 'CPU')} time, {comparison.pairs} pairs)"
    )
