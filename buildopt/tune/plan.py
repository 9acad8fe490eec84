"""What a tuning will do within its budget, how long that takes, and what it can tell apart. Pure.

A row is one way to build, measured once: a clean build and a few edits after it. A pair is two ways, side by side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from buildopt.measure.screening import design
from buildopt.tune.candidates import Candidate

__all__ = [
    "FIRST_ROWS",
    "Costs",
    "Plan",
    "block_seconds",
    "guard_seconds",
    "look_seconds",
    "make_plan",
    "pairs_within",
    "rows_of_design",
    "seconds_of",
]

FIRST_ROWS = 3
"""Rows of today's settings before anything else: what a build costs here, and how much equal builds differ."""

_FEWEST_SCREENED = 3  # one or two candidates are settled by pairs with less than a design takes
_MOST_SCREENED = 18  # the largest design has columns for no more beside its placebos
_COARSEST = 0.25  # an effect that is larger needs no tuner
_EDITS = 3
_APART = 1.7  # what a row apart takes of a usual one: it is there because its effect may be large
_REPEATS = 4  # of a block in which nothing clean is to be had
_WIDTH = 1.96
_MEDIAN = 1.25  # how much wider a median spreads than a mean


class Costs(NamedTuple):
    """What was measured before planning; seconds are wall time with all that belongs to them."""

    clean_seconds: float
    """A build from nothing, which a row and each new arm begins with."""
    sample_seconds: Mapping[str, float]
    """By scenario: one more sample."""
    edits: tuple[str, ...]
    """The scenarios of them that a row repeats: those that cost little."""
    noise: float
    """Standard deviation of the logarithm of equal rows."""
    beside_seconds: float = 0.0
    """What a row takes beside its samples."""
    tests_seconds: float = 0.0
    """The tests, built and run."""
    busy: bool = False
    """Whether other processes disturbed every row: then samples of pairs are repeated in vain before they count."""


class Plan(NamedTuple):
    """One way to spend the budget."""

    screened: tuple[Candidate, ...]
    """Tried together, in a design."""
    apart: tuple[Candidate, ...]
    """Tried by a row of their own, then by pairs."""
    dropped: tuple[Candidate, ...]
    """Not tried: there is no time."""
    folded: bool
    edits: int
    """How often a row repeats each edit; the fastest counts."""
    doubtful: int
    """How many candidates are settled by pairs, at most."""
    doubtful_pairs: int
    pairs: int
    """Of the confirmation, in each scenario."""
    lines: int
    """How many of the settings that are found are also measured alone, in the confirmation."""
    seconds: float
    """All of it from now on."""

    @property
    def rows(self) -> int:
        """Return the rows of the design."""
        return rows_of_design(len(self.screened), folded=self.folded) if self.screened else 0

    def resolves(self, noise: float) -> float:
        """Return the smallest effect of one setting (0.05: 5 %) that the plan tells from nothing."""
        design = 2 / math.sqrt(self.rows) if self.rows else math.inf
        pairs = _MEDIAN * math.sqrt(2 / max(self.doubtful_pairs, 1))
        return math.expm1(_WIDTH * noise * (design if self.screened else pairs))


class _Way(NamedTuple):
    folded: bool
    edits: int
    doubtful: int
    doubtful_pairs: int
    pairs: int
    lines: int


# From what is wished to what is still worth doing. A row tells something of every candidate, a pair only of its own.
_WAYS = (
    _Way(True, _EDITS, 4, 6, 8, 4),
    _Way(True, _EDITS, 4, 6, 8, 0),
    _Way(True, _EDITS, 2, 6, 6, 0),
    _Way(True, _EDITS, 1, 5, 5, 0),
    _Way(True, _EDITS, 0, 0, 5, 0),
    _Way(False, _EDITS, 2, 5, 6, 0),
    _Way(False, _EDITS, 1, 5, 5, 0),
    _Way(False, 2, 0, 0, 5, 0),
    _Way(False, 1, 0, 0, 5, 0),
)


def rows_of_design(factors: int, *, folded: bool) -> int:
    """Return how many rows the design for so many factors takes."""
    return len(design(factors, folded=folded, seed=0).rows)


def make_plan(candidates: Sequence[Candidate], costs: Costs, budget_seconds: float) -> tuple[Plan | None, float]:
    """Return the best plan that fits into `budget_seconds`, and what the smallest one worth doing would take.

    Where nothing fits, the plan is None. Candidates are dropped last, from the end of the list: those apart first, then the milder
    levels of a setting, of which the last is the strongest.
    """
    least = math.inf
    ordered = _by_promise(candidates)
    for kept in range(len(ordered), 0, -1):
        for way in _WAYS:
            plan = _plan(ordered[:kept], tuple(ordered[kept:]), way, costs)
            if plan.resolves(costs.noise) > _COARSEST:
                continue
            least = min(least, plan.seconds)
            if plan.seconds <= budget_seconds:
                return plan, least
    return None, least


def _by_promise(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates, of each setting the strongest level first, then the milder ones, those apart last.

    Most of what is measured apart turns out to cost more.
    """
    strongest = {each.key: each for each in candidates if not each.apart}
    return sorted(candidates, key=lambda each: (each.apart, strongest.get(each.key) is not each))


def seconds_of(plan: Plan, costs: Costs, *, rows: int | None = None, doubtful: int | None = None) -> float:
    """Return what `plan` takes with `rows` rows still to be done, and `doubtful` candidates to be settled by pairs."""
    row = _row_seconds(plan.edits, costs)
    rows = plan.rows + math.ceil(_APART * len(plan.apart)) if rows is None else rows
    doubtful = plan.doubtful if doubtful is None else doubtful
    settle = _pairs_seconds(doubtful if plan.doubtful_pairs else 0, plan.doubtful_pairs, costs)
    return rows * row + settle + _pairs_seconds(1 + plan.lines, plan.pairs, costs) + guard_seconds(costs)


def look_seconds(costs: Costs) -> float:
    """Return what the rows of the first look take, at least."""
    return FIRST_ROWS * _row_seconds(_EDITS, costs)


def guard_seconds(costs: Costs) -> float:
    """Return what the guards take at the end."""
    return costs.clean_seconds + costs.tests_seconds


def block_seconds(costs: Costs) -> float:
    """Return by how much pairs may run over their time: a block of them that has begun is ended, with what it repeats."""
    return (_REPEATS if costs.busy else 2) * max(costs.sample_seconds.values(), default=0.0)


def pairs_within(seconds: float, costs: Costs) -> int:
    """Return how many pairs of two ways `seconds` have room for."""
    without, one = _pairs_seconds(1, 0, costs), _pairs_seconds(1, 1, costs) - _pairs_seconds(1, 0, costs)
    return max(0, int((seconds - without) / one))


def _row_seconds(edits: int, costs: Costs) -> float:
    return costs.clean_seconds + costs.beside_seconds + edits * sum(costs.sample_seconds[name] for name in costs.edits)


def _pairs_seconds(candidates: int, pairs: int, costs: Costs) -> float:
    """Return what pairs of some candidates with one baseline take; each of these ways is first built once."""
    if not candidates:
        return 0.0
    one = (2 * pairs + (_REPEATS if costs.busy else 0)) * sum(costs.sample_seconds.values())
    return candidates * one + (1 + candidates) * (costs.clean_seconds + costs.beside_seconds)


def _plan(candidates: Sequence[Candidate], dropped: tuple[Candidate, ...], way: _Way, costs: Costs) -> Plan:
    """Return the plan of one way; of the levels of one setting the first is screened, as the strongest, the others apart."""
    strongest = {each.key: each for each in reversed(candidates) if not each.apart}
    screened = [each for each in candidates if strongest.get(each.key) is each][:_MOST_SCREENED]
    if len(screened) < _FEWEST_SCREENED:
        screened = []
    apart = [each for each in candidates if each not in screened]
    plan = Plan(tuple(screened), tuple(apart), dropped, way.folded, *way[1:], 0.0)
    plan = plan._replace(doubtful=min(way.doubtful, len(candidates)), lines=min(way.lines, len(candidates)))
    if apart and not way.doubtful:
        plan = plan._replace(doubtful=1, doubtful_pairs=5)
    return plan._replace(seconds=seconds_of(plan, costs))
