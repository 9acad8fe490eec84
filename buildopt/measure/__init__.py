"""Statistics and verdicts over what was measured. Pure: values in, values out."""

from __future__ import annotations

from buildopt.measure.budgets import BudgetVerdict, judge, plain_duration
from buildopt.measure.pairs import Pairs, compare_pairs, order_of_arms, pairs_of

__all__ = ["BudgetVerdict", "Pairs", "compare_pairs", "judge", "order_of_arms", "pairs_of", "plain_duration"]
