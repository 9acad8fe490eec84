"""The small settings together: the rows of a design, and what they say of each."""

from __future__ import annotations

from collections.abc import Sequence

from buildopt.measure.screening import Design, design
from buildopt.tune.candidates import Candidate
from buildopt.tune.judge import Judged, Row, judge_rows
from buildopt.tune.levels import candidates_of, combined, suspects
from buildopt.tune.plan import Costs, Plan, seconds_of
from buildopt.tune.question import Clock, Question
from buildopt.tune.trials import Trials

__all__ = ["Screen"]

_MOST_ROUNDS = 4


class Screen:
    """One screening: `run` measures and judges; `changes` says what was done otherwise than planned."""

    def __init__(self, trials: Trials, question: Question, plan: Plan, costs: Costs, clock: Clock) -> None:
        self.changes: list[str] = []
        self._trials = trials
        self._ask = question
        self._plan = plan
        self._costs = costs
        self._clock = clock
        self._layout = Design((), (), len(plan.screened))
        self._rows: list[Row] = []
        self._broken: tuple[Candidate, ...] = ()
        self._tried: list[tuple[tuple[Candidate, ...], bool]] = []

    def run(self, apart: Sequence[Judged]) -> list[Judged]:
        """Measure the rows of the plan, and more of them while that leaves time for all else and something is in doubt.

        `apart` is what is known of the candidates that are not screened: pairs may be wanted for them too.
        """
        if not self._plan.screened:
            return []
        factors = len(self._plan.screened)
        self._measure(design(factors, folded=self._plan.folded, seed=self._ask.seed))
        judged = self._judge()
        for number in range(1, _MOST_ROUNDS):
            both = design(factors, folded=True, seed=self._ask.seed + number)
            more = [index for index, block in enumerate(both.blocks) if block == number % 2]
            half = Design(tuple(both.rows[index] for index in more), (0,) * len(more), factors)
            left = seconds_of(self._plan, self._costs, rows=len(more), doubtful=self._pairs_wanted([*judged, *apart]))
            if not any(each.outcome == "doubtful" for each in judged) or not self._clock.has_room(left):
                break
            self._measure(half)
            judged = self._judge()
        return judged

    def _pairs_wanted(self, judged: list[Judged]) -> int:
        worth = 1 - self._ask.smallest_effect
        doubtful = [each for each in judged if each.outcome == "doubtful" and each.found and each.found.ratio < worth]
        return min(self._plan.doubtful, len(doubtful))

    def _measure(self, more: Design) -> None:
        """Measure the rows of a design; of two halves the second is left out when time is short."""
        known, first = len(self._rows), max(self._layout.blocks, default=-1) + 1
        total = known + len(more.rows)
        for number, signs in enumerate(more.rows):
            left = seconds_of(self._plan, self._costs, rows=len(more.rows) - number)
            second_half = number and more.blocks[number] > more.blocks[0]
            if second_half and (self._plan.folded or known) and self._clock.is_late(left):
                self.changes.append(
                    f"the mirror images were left out after row {known + number}: builds took longer than planned"
                )
                return
            self._row(f"row {known + number + 1} of {total}", signs, left)
            self._layout = Design(
                (*self._layout.rows, signs), (*self._layout.blocks, first + more.blocks[number]), self._layout.factors
            )

    def _row(self, label: str, signs: tuple[int, ...], left: float) -> None:
        chosen = tuple(each for each in candidates_of(signs, self._plan.screened) if each not in self._broken)
        name = "+".join(each.name for each in chosen) or "today's settings"
        row = self._trials.row(label, name, combined(self._ask.today, chosen), edits=self._plan.edits, left=left)
        self._rows.append(row)
        self._tried.append((chosen, row.failed is None))
        suspected = suspects(self._tried)
        if len(suspected) == 1:
            self._broken = (*self._broken, *suspected)
            self._tried = [each for each in self._tried if suspected[0] not in each[0]]
            self.changes.append(f"{suspected[0].name} does not build here: {row.failed or 'no row with it did'}")

    def _judge(self) -> list[Judged]:
        try:
            judged = judge_rows(
                self._plan.screened, self._layout, self._rows, self._ask.weights, self._ask.smallest_effect
            )
        except ValueError as error:
            self.changes.append(f"the screening says nothing: {error}")
            return []
        fails = {*self._broken, *suspects(self._tried)}
        return [
            each._replace(outcome="fails", found=None, why="does not build here") if each.candidate in fails else each
            for each in judged
        ]
