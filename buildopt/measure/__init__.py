"""Statistics and verdicts over what was measured. Pure: values in, values out."""

from __future__ import annotations

from buildopt.measure.budgets import BudgetVerdict, judge, plain_duration

__all__ = ["BudgetVerdict", "judge", "plain_duration"]
