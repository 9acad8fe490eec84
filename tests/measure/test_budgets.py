"""A budget is kept, exceeded, or nothing can be said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.measure import judge, plain_duration
from buildopt.units import parse_duration


@pytest.mark.parametrize(
    ("seconds", "budget", "verdict", "percent", "words"),
    [
        (4.2, 5.0, "ok", 84, "4.2s of 5s"),
        (5.0, 5.0, "ok", 100, "5.0s of 5s"),
        (0.0, 5.0, "ok", 0, "0.00s of 5s"),
        (6.1, 5.0, "over", 122, "6.1s of 5s, 22 % over"),
        (5.001, 5.0, "over", 100, "5.0s of 5s, less than 1 % over"),
        (400.0, 90.0, "over", 444, "6m40s of 1m30s, 344 % over"),
        (None, 5.0, "unknown", None, "no time known, budget 5s"),
        (4.2, None, "unknown", None, "4.2s, no budget"),
        (None, None, "unknown", None, "no time known"),
    ],
)
def test_a_verdict_comes_with_its_words(
    seconds: float | None, budget: float | None, verdict: str, percent: int | None, words: str
) -> None:
    found = judge(seconds, budget)
    assert (found.verdict, found.percent, found.words) == (verdict, percent, words)


def test_a_time_that_was_not_the_builds_own_proves_nothing_when_it_is_over() -> None:
    assert judge(40.0, 5.0, doubt="waited for a lock").words == "40.0s of 5s, but waited for a lock"
    assert judge(40.0, 5.0, doubt="waited for a lock").verdict == "unknown"
    assert judge(4.0, 5.0, doubt="waited for a lock").verdict == "ok", "kept in spite of it"


@given(seconds=st.floats(0, 1e6), budget=st.floats(0.001, 1e6))
def test_a_verdict_says_the_same_as_the_comparison(seconds: float, budget: float) -> None:
    found = judge(seconds, budget)
    assert found.verdict == ("ok" if seconds <= budget else "over")
    assert ("over" in found.words) == (found.verdict == "over")


@pytest.mark.parametrize("text", ["5s", "90s", "2m", "1h30m", "0.5s", "0.25s", "4.2s", "1h", "2h05m", "10m"])
def test_a_budget_is_shown_as_a_person_writes_it(text: str) -> None:
    seconds = parse_duration(text)
    assert parse_duration(plain_duration(seconds)) == seconds
    assert plain_duration(seconds) == ("1m30s" if text == "90s" else text)
