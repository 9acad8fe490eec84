"""What was measured is held against a budget and against its history; only what is certain fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.measure.gate import (
    RERUNS,
    Reading,
    accepted,
    changed_crates,
    fails,
    hold_budget,
    hold_history,
    last_change,
)

USUAL = [10.0, 10.2, 9.9, 10.1, 10.0, 9.8, 10.1, 10.0, 10.3, 9.9]
BUSY = "other processes used 60 % of the processors"
times = st.floats(0.01, 1e5)


def readings(*values: float, doubt: str | None = None, floor: float = 0.0) -> list[Reading]:
    return [Reading(value, doubt, floor) for value in values]


@pytest.mark.parametrize(
    ("found", "reruns", "verdict", "level", "failed"),
    [
        (readings(4.0), 0, "ok", "none", False),
        (readings(5.0), 0, "ok", "none", False),
        (readings(5.5), 0, "over", "warning", False),
        (readings(9.0), 0, "over", "critical", False),
        (readings(9.0, 8.0, 8.5), 2, "over", "critical", True),
        (readings(5.5, 5.6, 5.7), 2, "over", "warning", False),
        (readings(9.0, 4.0, 8.5), 2, "ok", "none", False),
        (readings(9.0, 8.0, 8.5, doubt=BUSY), 2, "over, but the machine was busy: not confirmed", "warning", False),
        (readings(9.0, doubt=BUSY, floor=7.0), 0, "over", "critical", True),
        (readings(9.0, doubt=BUSY, floor=4.0), 0, "over, but the machine was busy: not confirmed", "warning", False),
        ([], 0, "too few runs", "none", False),
    ],
)
def test_a_budget_fails_only_for_what_was_seen_again_or_what_no_neighbour_explains(
    found: list[Reading], reruns: int, verdict: str, level: str, failed: bool
) -> None:
    answer = hold_budget(found, 5.0, kind="wall", reruns=reruns)
    assert (answer.verdict, answer.level, fails(answer)) == (verdict, level, failed)


def test_one_reading_beyond_doubt_is_enough_to_be_over() -> None:
    found = [*readings(9.0, 8.0, doubt=BUSY), *readings(8.5)]
    assert hold_budget(found, 5.0, kind="wall", reruns=2).confirmed


def test_an_enforced_budget_fails_below_the_critical_level_too() -> None:
    answer = hold_budget(readings(5.5, 5.6, 5.7), 5.0, kind="wall", reruns=2)
    assert (fails(answer), fails(answer, enforce=True)) == (False, True)
    busy = hold_budget(readings(9.0, doubt=BUSY), 5.0, kind="wall")
    assert not fails(busy, enforce=True), "a neighbour never fails a gate"


@pytest.mark.parametrize(("kind", "value"), [("size", 2.0e9), ("count", 90.0)])
def test_what_is_counted_needs_no_second_look(kind: str, value: float) -> None:
    answer = hold_budget(readings(value), value / 2, kind=kind)
    assert answer.confirmed
    assert fails(answer)


def test_the_words_say_how_far_over_and_what_the_first_one_was() -> None:
    assert hold_budget(readings(6.1), 5.0, kind="wall").words == "6.1s of 5s, 22 % over; not confirmed: seen once"
    assert hold_budget(readings(6.1, 4.2, 4.3), 5.0, kind="wall", reruns=2).words == "4.2s of 5s; 6.1s at first"
    assert hold_budget(readings(3 * 2**20), 2**20, kind="size").words == "3.0 MiB of 1.0 MiB, 200 % over"
    assert hold_budget([], 90.0, kind="wall").words == "nothing measured, budget 1m30s"


@pytest.mark.parametrize("budget", [0.0, -1.0])
def test_a_budget_of_nothing_is_refused(budget: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        hold_budget(readings(1.0), budget, kind="wall")


@pytest.mark.parametrize(
    ("found", "history", "reruns", "verdict", "failed"),
    [
        (readings(10.4), USUAL, 0, "ok", False),
        (readings(12.5), USUAL, 0, "regression", False),
        (readings(12.5, 12.6, 12.4), USUAL, RERUNS, "regression", True),
        (readings(12.5, 10.1, 10.2), USUAL, RERUNS, "ok", False),
        (readings(12.5, 12.6, 12.4, 10.1, 10.2), USUAL, RERUNS, "ok", False),
        (readings(12.5, 12.6, 12.4, 10.1, 12.5), USUAL, RERUNS, "regression", True),
        (readings(7.0), USUAL, 0, "improved", False),
        (readings(99.0), USUAL[:7], RERUNS, "too few runs", False),
        ([], USUAL, 0, "too few runs", False),
    ],
)
def test_a_regression_fails_when_it_was_measured_again(
    found: list[Reading], history: list[float], reruns: int, verdict: str, failed: bool
) -> None:
    answer = hold_history(found, history, kind="cpu", reruns=reruns)
    assert (answer.verdict, fails(answer)) == (verdict, failed)


def test_a_doubt_excuses_wall_time_and_not_cpu_seconds() -> None:
    found = readings(12.5, 12.6, 12.4, doubt=BUSY)
    assert hold_history(found, USUAL, kind="wall", reruns=2).verdict == "over, but the machine was busy: not confirmed"
    assert hold_history(found, USUAL, kind="cpu", reruns=2).verdict == "regression"


@given(value=times, history=st.lists(times, min_size=8, max_size=40))
def test_what_is_no_more_than_usual_never_fails(value: float, history: list[float]) -> None:
    answer = hold_history(readings(value), history, kind="cpu", reruns=RERUNS)
    assert answer.usual is not None
    if value <= answer.usual:
        assert answer.verdict in ("ok", "improved")
    assert fails(answer) == (answer.verdict == "regression")


@given(value=times, budget=times, doubt=st.none() | st.just(BUSY), reruns=st.integers(0, 2))
def test_a_budget_that_is_kept_is_ok_and_one_that_is_not_never_is(
    value: float, budget: float, doubt: str | None, reruns: int
) -> None:
    answer = hold_budget(readings(value, doubt=doubt), budget, kind="wall", reruns=reruns)
    assert (answer.verdict == "ok") == (value <= budget)
    if doubt:
        assert not fails(answer, enforce=True)


def test_a_regression_that_stays_does_not_become_the_usual() -> None:
    history = USUAL + [13.0] * 40
    assert accepted(history) == USUAL
    assert hold_history(readings(13.0), history, kind="cpu", reruns=RERUNS).verdict == "regression"


@given(st.lists(times, max_size=60))
def test_the_accepted_values_are_a_part_of_the_history_in_its_order(history: list[float]) -> None:
    kept = accepted(history)
    rest = iter(history)
    assert all(any(value == other for other in rest) for value in kept)
    assert kept[:8] == history[:8]


def test_an_old_level_gives_way_to_a_better_one() -> None:
    history = [10.0, 10.1] * 10 + [7.0, 7.1] * 20
    answer = hold_history(readings(8.5), history, kind="cpu", reruns=RERUNS)
    assert answer.verdict == "regression", "the last thirty count"


def test_the_last_change_is_told_with_the_levels_around_it() -> None:
    assert last_change([10.0, 10.1, 9.9, 10.0, 10.1, 13.0, 13.1, 12.9, 13.0]) == (5, 10.0, 13.0)
    assert last_change(USUAL) is None
    assert last_change([]) is None


def test_the_crates_that_added_most_are_named() -> None:
    before = [{"core": 2.0, "api": 1.0, "app": 3.0}, {"core": 2.2, "api": 1.1}, {"core": 2.1, "api": 0.9, "app": 3.1}]
    found = changed_crates({"core": 4.1, "api": 1.1, "app": 3.0, "heavy": 1.5}, before)
    assert [(change.package, change.before_seconds) for change in found] == [("core", 2.1), ("heavy", None)]


@given(
    now=st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 100)),
    before=st.lists(st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 100)), max_size=5),
)
def test_only_crates_that_cost_more_are_named_and_five_at_most(
    now: dict[str, float], before: list[dict[str, float]]
) -> None:
    found = changed_crates(now, before)
    assert len(found) <= 5
    assert all(change.seconds > (change.before_seconds or 0.0) for change in found)
