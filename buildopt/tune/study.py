"""One tuning from its first build to what it recommends: look, plan, screen, settle the doubtful, confirm the whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from buildopt.bench.arms import Arm
from buildopt.bench.comparison import compare
from buildopt.bench.progress import Progress
from buildopt.bench.results import Comparison, conclude
from buildopt.bench.sampling import Laboratory, Sampler
from buildopt.errors import AnswerIsNo, ArgumentError
from buildopt.record import Record
from buildopt.tune.candidates import Candidate
from buildopt.tune.confirmation import MOST_PAIRS, confirmation_of
from buildopt.tune.judge import Judged, Row, best_left, best_of, gains, judge_row, noise_of, not_ruled_out, weigh
from buildopt.tune.levels import Found, combined
from buildopt.tune.plan import (
    FIRST_ROWS,
    Costs,
    Plan,
    block_seconds,
    guard_seconds,
    look_seconds,
    make_plan,
    pairs_within,
    seconds_of,
)
from buildopt.tune.question import SLACK, Clock, Question
from buildopt.tune.screen import Screen
from buildopt.tune.trials import Trials, in_order
from buildopt.units import format_duration

__all__ = ["Result", "Study"]

_ALL = "all: "
"""What the name of the whole begins with: no pair that helped to choose counts for what is chosen."""

_GAIN = 0.01  # a line that pairs show to gain less is not worth a line


class Result(NamedTuple):
    """What was found."""

    plan: Plan
    costs: Costs
    announced_seconds: float
    """All of it, from the start."""
    spent_seconds: float
    judged: tuple[Judged, ...]
    settled: Mapping[Candidate, tuple[Comparison, ...]] = {}
    """Pairs of the doubtful, each over what is taken without doubt."""
    alone: Mapping[Candidate, tuple[Comparison, ...]] = {}
    """Pairs of single settings, each over today's."""
    whole: tuple[Comparison, ...] = ()
    """Pairs of all that was chosen, against today's."""
    chosen: tuple[Candidate, ...] = ()
    weighted: Found | None = None
    why_not: str | None = None
    """Why what was chosen is not to be adopted."""
    unfinished: bool = False
    """Whether more pairs may still confirm it: the same call goes on with them."""
    changes: tuple[str, ...] = ()
    """What was done otherwise than planned."""


class Study:
    """One tuning. Each method is one of its parts; `run` does all."""

    def __init__(
        self, lab: Laboratory, record: Record, experiment: str, question: Question, tell: Callable[[Progress], None]
    ) -> None:
        self._lab = lab
        self._record = record
        self._experiment = experiment
        self._ask = question
        self._tell = tell
        self._clock = Clock(lab.host)
        self._changes: list[str] = []
        self._trials = Trials(Sampler(lab, record, experiment), question.scenarios, question.arm_of, tell)
        self._today: list[Row] = []
        self._block_seconds = 0.0
        self.tests_today: str | None = None
        """Why the tests fail with today's settings; None while they pass."""

    def run(self, announce: Callable[[Plan, Costs, float], None]) -> Result:
        """Tune, after `announce` was told the plan, the costs it stands on, and the seconds that all of it takes.

        Raises ArgumentError when the budget resolves nothing, AnswerIsNo when today's settings do not build.
        """
        costs = self._look()
        plan = self._plan(costs)
        self._block_seconds = block_seconds(costs)
        announce(plan, costs, self._clock.announced)
        apart = self._apart(plan, costs)
        judged = [*self._screen(plan, costs, apart), *apart]
        taken, doubtful = best_of(judged)
        chosen, settled, judged = self._settle(plan, costs, taken, doubtful, judged)
        alone: Mapping[Candidate, tuple[Comparison, ...]] = {}
        if chosen and plan.lines:
            chosen, alone = self._isolate(plan, costs, chosen)
        result = Result(
            plan,
            costs,
            self._clock.announced,
            0.0,
            tuple(judged),
            settled,
            alone,
            chosen=chosen,
            changes=tuple(self._changes),
        )
        if chosen:
            result = self._confirm(plan, result)
        if result.why_not is not None and len(chosen) > 1 and not result.unfinished:
            result = self._confirm_less(plan, result)
        return result._replace(spent_seconds=self._clock.spent, changes=tuple(self._changes))

    def both(self, chosen: Sequence[Candidate]) -> tuple[Arm, Arm]:
        """Return today's way to build, and the one with all that was chosen."""
        return self._arm(self._ask.today), self._arm(combined(self._ask.today, chosen), _ALL)

    def _look(self) -> Costs:
        """Measure today's settings a few times: what a build costs here, and how much equal builds differ."""
        at_most = format_duration(self._ask.budget_seconds)
        text = f"{FIRST_ROWS} builds of today's settings first: they say what can be done in {at_most}, and how long it takes"
        self._tell(Progress(text, stays=True))
        for number in range(1, FIRST_ROWS + 1):
            row = self._trials.row(f"first row {number} of {FIRST_ROWS}", "today's settings", self._ask.today, edits=3)
            if row.failed is not None:
                raise AnswerIsNo(
                    f"the workspace does not build with today's settings: {row.failed}", hint="mend it, then tune again"
                )
            self._today.append(row)
        self.tests_today = self._trials.tests(self._ask.today)
        busy = all(row.polluted for row in self._today)
        return self._trials.costs(noise_of(self._today, self._ask.weights))._replace(busy=busy)

    def _plan(self, costs: Costs) -> Plan:
        spent, budget = self._clock.spent, self._ask.budget_seconds
        # A call that goes on has looked at once: with what looking took, it comes to the plan of the call before it.
        plan, least = make_plan(self._ask.candidates, costs, budget - max(spent, look_seconds(costs)))
        if plan is None:
            plan, least = make_plan(self._ask.candidates, costs, budget - spent)
        if plan is None:
            raise ArgumentError(
                f"a budget of {format_duration(budget)} cannot tell settings apart here: a clean build"
                f" takes {format_duration(costs.clean_seconds)}, equal builds differ by {100 * costs.noise:.0f} %",
                hint=_way_out(least + spent),
            )
        self._clock.announced = plan.seconds + spent
        return plan

    def _apart(self, plan: Plan, costs: Costs) -> list[Judged]:
        """Measure one row of each candidate that is measured by itself."""
        judged = []
        for number, candidate in enumerate(plan.apart, start=1):
            rows_left = 2 * (len(plan.apart) - number + 1) + plan.rows
            row = self._trials.row(
                f"apart {number} of {len(plan.apart)}", candidate.name, combined(self._ask.today, [candidate]),
                edits=plan.edits, left=seconds_of(plan, costs, rows=rows_left),
            )  # fmt: skip
            judged.append(judge_row(candidate, row, self._today, self._ask.weights, self._ask.smallest_effect))
        return judged

    def _screen(self, plan: Plan, costs: Costs, apart: Sequence[Judged]) -> list[Judged]:
        """Measure the small settings together."""
        screen = Screen(self._trials, self._ask, plan, costs, self._clock)
        judged = screen.run(apart)
        self._changes += screen.changes
        return judged

    def _settle(
        self, plan: Plan, costs: Costs, taken: Sequence[Judged], doubtful: Sequence[Judged], judged: Sequence[Judged]
    ) -> tuple[tuple[Candidate, ...], Mapping[Candidate, tuple[Comparison, ...]], list[Judged]]:
        """Measure the most promising doubtful candidates in pairs around what is taken; keep those that gain."""
        chosen = [each.candidate for each in taken]
        worth = 1 - self._ask.smallest_effect  # less than that, so few pairs cannot show
        hopeful = [each for each in doubtful if _least_ratio(each) < worth]
        asked = list(hopeful if hopeful or chosen else not_ruled_out(judged, worth))[: plan.doubtful]
        while asked and self._clock.is_late(seconds_of(plan, costs, rows=0, doubtful=len(asked))):
            self._changes.append(f"{asked.pop().candidate.name} was not settled by pairs: there was no time")
        if not asked:
            first = [each.candidate for each in hopeful if each.candidate.held][:1]
            if first and not chosen:
                self._changes.append(f"{first[0].name} is left to the confirmation alone")
            return tuple(chosen or first), {}, list(judged)
        base = combined(self._ask.today, chosen)
        arms = {each.candidate: self._arm(combined(base, [each.candidate])) for each in asked}
        reserve = seconds_of(plan, costs, rows=0, doubtful=0)
        found = self._pairs(self._arm(base), arms, plan.doubtful_pairs, reserve)
        results = {each.candidate: self._after_pairs(each, found[each.candidate]) for each in asked}
        helping = [each for each in results.values() if each.outcome == "helps" and each.candidate.held]
        helping.sort(key=lambda each: each.found.ratio if each.found else 1.0, reverse=True)
        for each in helping:  # of the levels of one setting the best comes last, and stays
            chosen = [other for other in chosen if other.key != each.candidate.key] + [each.candidate]
        if not chosen and (best := best_left([results[each.candidate] for each in asked], worth)):
            results[best.candidate] = best
            chosen = [best.candidate]
        self._lab.forget(self._arm(base))
        return tuple(chosen), found, [results.get(each.candidate, each) for each in judged]

    def _after_pairs(self, judged: Judged, own: Sequence[Comparison]) -> Judged:
        found = weigh(own, self._ask.weights)
        slower = [each.scenario for each in own if each.decides and each.verdict == "slower"]
        failure = next((each.failure for each in own if each.failure), None)
        if failure is not None:
            return judged._replace(outcome="fails", why=failure)
        if found is None:
            return judged._replace(why="pairs were not finished in time")
        judged = judged._replace(found=found)
        if slower:
            return judged._replace(outcome="hurts", why=f"pairs: slower in {', '.join(slower)}")
        if gains(found, own, 1 - _GAIN):
            return judged._replace(outcome="helps", why="pairs: faster")
        return judged._replace(outcome="nothing", why="pairs: no gain that could be told from noise")

    def _isolate(
        self, plan: Plan, costs: Costs, chosen: tuple[Candidate, ...]
    ) -> tuple[tuple[Candidate, ...], Mapping[Candidate, tuple[Comparison, ...]]]:
        """Measure the chosen settings one by one against today's; those that turn out slower are not kept."""
        if len(chosen) < 2:
            return chosen, {}
        asked = chosen[: plan.lines]
        whole_alone = seconds_of(plan._replace(lines=0), costs, rows=0, doubtful=0)
        if self._clock.is_late(seconds_of(plan._replace(lines=len(asked)), costs, rows=0, doubtful=0)):
            self._changes.append("the settings were not measured one by one: there was no time")
            return chosen, {}
        arms = {each: self._arm(combined(self._ask.today, [each])) for each in asked}
        found = self._pairs(self._arm(self._ask.today), arms, plan.pairs, whole_alone)
        kept = []
        for each in chosen:
            slower = [one.scenario for one in found.get(each, ()) if one.decides and one.verdict == "slower"]
            if slower:
                self._changes.append(f"{each.name} is slower by itself in {', '.join(slower)}, and is not kept")
            else:
                kept.append(each)
        return tuple(kept), found

    def _confirm(self, plan: Plan, result: Result) -> Result:
        """Measure all that was chosen against today's settings, in pairs that none of the choosing has seen."""
        today, arm = self.both(result.chosen)
        everything = Candidate(tuple(pair for each in result.chosen for pair in each.settings))
        reserve = guard_seconds(result.costs)
        room = pairs_within(self._clock.announced - self._clock.spent - reserve, result.costs)
        pairs = min(MOST_PAIRS, max(plan.pairs, self._known_pairs(today, arm) + room))
        found = self._pairs(today, {everything: arm}, pairs, reserve)[everything]
        come_to = confirmation_of(found, self._ask.weights, self._ask.smallest_effect, plan.pairs)
        return result._replace(
            whole=found, weighted=come_to.weighted, why_not=come_to.why_not, unfinished=come_to.unfinished
        )

    def _known_pairs(self, baseline: Arm, arm: Arm) -> int:
        """Return how many pairs of two arms earlier calls have measured in every scenario."""
        rows = self._record.measurements(self._experiment)
        known = conclude(rows, baseline, [arm], self._ask.scenarios, most_pairs=MOST_PAIRS)
        return min(each.pairs for each in known if each.decides)

    def _confirm_less(self, plan: Plan, result: Result) -> Result:
        """Confirm what was chosen without the setting that is worst where the whole was worst, if there is time."""
        if self._clock.is_late(seconds_of(plan._replace(lines=0), result.costs, rows=0, doubtful=0)):
            return result
        compared = [each for each in result.whole if each.decides and each.pairs]
        where = max(compared, key=lambda each: each.ratio).scenario if compared else ""
        ratios = {each.candidate: each.scenarios[where].ratio for each in result.judged if where in each.scenarios}
        worst = max(result.chosen, key=lambda each: ratios.get(each, math.inf))
        self._changes.append(f"{result.why_not}; {worst.name} is left out, and the rest confirmed by itself")
        return self._confirm(plan, result._replace(chosen=tuple(each for each in result.chosen if each != worst)))

    def _pairs(
        self, baseline: Arm, arms: Mapping[Candidate, Arm], pairs: int, reserve: float
    ) -> dict[Candidate, tuple[Comparison, ...]]:
        """Compare in pairs until the announced time, less what has to be kept in reserve, is over."""
        deadline = self._clock.began + SLACK * self._clock.announced - reserve - self._block_seconds
        found = compare(
            self._lab, self._record, self._experiment, baseline, list(arms.values()), in_order(self._ask.scenarios)[::-1],
            most_pairs=pairs, deadline=deadline, tell=self._tell, smallest_effect=self._ask.smallest_effect,
        )  # fmt: skip
        for arm in arms.values():
            self._lab.forget(arm)
        return {each: tuple(one for one in found if one.candidate == arm.name) for each, arm in arms.items()}

    def _arm(self, settings: Mapping[str, Any], mark: str = "") -> Arm:
        today = self._ask.today
        changed = {key: value for key, value in settings.items() if key not in today or today[key] != value}
        name = Candidate(tuple(changed.items())).name if changed else "today's settings"
        return self._ask.arm_of(mark + name, settings)


def _least_ratio(judged: Judged) -> float:
    """Return the best that a candidate seems to do, as a whole or in one scenario; 1 for what is no gain as a whole."""
    if judged.found is None or judged.found.ratio >= 1:
        return 1.0
    return min([judged.found.ratio, *(each.ratio for each in judged.scenarios.values())])


def _way_out(seconds: float) -> str:
    """Return what to do where a budget is too small and so many seconds would do; with infinity, none would."""
    if math.isinf(seconds):
        return "no budget would do: end what else is running here, then tune with --fresh"
    return f"--budget {int(seconds / 60) + 1}m would do; it goes on with the {FIRST_ROWS} builds that are timed"
