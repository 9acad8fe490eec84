"""Budgets: what was needed against what is allowed, with the words for people. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from buildopt.units import format_duration

__all__ = ["BudgetVerdict", "Verdict", "judge", "plain_duration"]

Verdict = Literal["ok", "over", "unknown"]


class BudgetVerdict(NamedTuple):
    """How wall seconds stand against a budget."""

    verdict: Verdict
    seconds: float | None
    budget_seconds: float | None
    percent: int | None
    """What was needed, in percent of the budget, rounded."""
    words: str
    """As `4.2s of 5s`."""


def judge(seconds: float | None, budget_seconds: float | None, *, doubt: str | None = None) -> BudgetVerdict:
    """Return how `seconds` of wall time stand against `budget_seconds`.

    `doubt` says why the time was not the build's own (`waited for a lock`): going over then proves nothing, and the
    verdict is `unknown`. It is `unknown` too without a time or a budget. Exactly the budget is still `ok`.
    """
    if seconds is None or budget_seconds is None or budget_seconds <= 0:
        return BudgetVerdict("unknown", seconds, budget_seconds, None, _words_without_verdict(seconds, budget_seconds))
    percent = round(100 * seconds / budget_seconds)
    used, allowed = format_duration(seconds), plain_duration(budget_seconds)
    if seconds <= budget_seconds:
        return BudgetVerdict("ok", seconds, budget_seconds, percent, f"{used} of {allowed}")
    if doubt:
        return BudgetVerdict("unknown", seconds, budget_seconds, percent, f"{used} of {allowed}, but {doubt}")
    over = _excess(seconds, budget_seconds)
    return BudgetVerdict("over", seconds, budget_seconds, percent, f"{used} of {allowed}, {over} over")


def plain_duration(seconds: float) -> str:
    """Return a duration as a person would have written it in the profile: `5s`, `2m`, `1h30m`, `0.5s`."""
    text = format_duration(seconds)
    for tail, short in ((".0s", "s"), ("m00s", "m"), ("h00m", "h")):
        if text.endswith(tail):
            return text.removesuffix(tail) + short
    return f"{text[:-2]}s" if text.endswith("0s") and "." in text else text


def _excess(seconds: float, budget_seconds: float) -> str:
    """Return how far over, without ever rounding it away."""
    percent = 100 * (seconds / budget_seconds - 1)
    if percent < 1:
        return "less than 1 %"
    return f"{round(percent)} %"


def _words_without_verdict(seconds: float | None, budget_seconds: float | None) -> str:
    if seconds is None:
        return "no time known" if budget_seconds is None else f"no time known, budget {plain_duration(budget_seconds)}"
    return f"{format_duration(seconds)}, no budget"
