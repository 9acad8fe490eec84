"""Pairs measured side by side settle a comparison, or say how many more it takes."""

from __future__ import annotations

import math
import random
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.measure import compare_pairs, order_of_arms, pairs_of

seconds = st.floats(0.01, 1000)
some_pairs = st.lists(st.tuples(seconds, seconds), min_size=1, max_size=12)


def samples(count: int, ratio: float, spread: float, seed: int) -> list[tuple[float, float]]:
    chance = random.Random(seed)
    return [(chance.lognormvariate(0, spread), ratio * chance.lognormvariate(0, spread)) for _ in range(count)]


def test_a_clear_difference_is_settled() -> None:
    faster = compare_pairs(samples(12, 0.8, 0.04, seed=1))
    assert faster.verdict == "faster"
    assert faster.low < 0.8 < faster.high
    assert faster.more_pairs == 0
    assert compare_pairs(samples(12, 1.25, 0.04, seed=1)).verdict == "slower"


def test_a_difference_too_small_to_matter_is_equal_not_unresolved() -> None:
    assert compare_pairs(samples(20, 1.005, 0.01, seed=2)).verdict == "equal"


def test_a_sure_effect_below_the_smallest_that_matters_is_not_called_slower() -> None:
    pairs = [(1.0, 1.02 + n / 10_000) for n in range(12)]
    assert compare_pairs(pairs).verdict == "equal"
    assert compare_pairs(pairs, smallest_effect=0.01).verdict == "slower"


def test_an_effect_no_larger_than_that_of_a_placebo_is_not_settled() -> None:
    pairs = [(1.0, 0.93 + n / 1000) for n in range(12)]
    assert compare_pairs(pairs).verdict == "faster"
    assert compare_pairs(pairs, placebo_ratio=1.1).verdict == "unresolved"
    assert compare_pairs(pairs, placebo_ratio=1 / 1.1).verdict == "unresolved"


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_handful_of_pairs_settles_nothing(count: int) -> None:
    found = compare_pairs([(1.0, 0.5)] * count)
    assert found.verdict == "unresolved"
    assert found.more_pairs >= 5 - count
    assert f"needs about {found.more_pairs} more pair" in found.words
    assert found.words.endswith("pair" if found.more_pairs == 1 else "pairs")


def test_wide_noise_asks_for_more_pairs_than_narrow_noise() -> None:
    wide, narrow = compare_pairs(samples(10, 1.04, 0.5, seed=3)), compare_pairs(samples(10, 1.04, 0.1, seed=3))
    assert wide.verdict == narrow.verdict == "unresolved"
    assert wide.more_pairs > narrow.more_pairs > 0


def test_the_words_carry_the_figures() -> None:
    assert compare_pairs([(1.0, 0.9)] * 6).words == "0.90 (0.90 to 0.90) of the time: faster"


def test_a_false_alarm_is_rare_and_a_real_effect_is_mostly_found() -> None:
    same = Counter(compare_pairs(samples(10, 1.0, 0.07, seed), resamples=400).verdict for seed in range(300))
    assert same["faster"] + same["slower"] <= 15, same  # 5 %
    slower = Counter(compare_pairs(samples(10, 1.25, 0.07, seed), resamples=400).verdict for seed in range(100))
    assert slower["slower"] >= 95
    assert slower["faster"] == 0


@given(some_pairs)
def test_equal_input_gives_equal_output(pairs: list[tuple[float, float]]) -> None:
    found = compare_pairs(pairs, resamples=50)
    assert found == compare_pairs(list(reversed(pairs)), resamples=50)
    assert found.low <= found.high
    assert math.isfinite(found.ratio)


@given(some_pairs)
def test_exchanging_the_arms_turns_the_ratio_over(pairs: list[tuple[float, float]]) -> None:
    there, back = compare_pairs(pairs, resamples=50), compare_pairs([(b, a) for a, b in pairs], resamples=50)
    assert there.ratio == pytest.approx(1 / back.ratio)


@pytest.mark.parametrize("pairs", [[], [(0.0, 1.0)], [(1.0, -1.0)], [(1.0, math.nan)], [(math.inf, 1.0)]])
def test_what_cannot_be_compared_is_refused(pairs: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="expected"):
        compare_pairs(pairs)


@given(st.integers(1, 60), st.integers())
def test_each_pair_holds_both_arms_and_each_block_is_balanced(pairs: int, seed: int) -> None:
    order = order_of_arms(pairs, seed=seed)
    assert len(order) == 2 * pairs
    assert all(set(order[first : first + 2]) == {"A", "B"} for first in range(0, len(order), 2))
    assert all(order[first : first + 4] in ("ABBA", "BAAB") for first in range(0, len(order) - 3, 4))
    assert order == order_of_arms(pairs, seed=seed)


def test_times_are_paired_by_arm_and_not_by_place() -> None:
    assert pairs_of("ABBABA", [1.0, 2.0, 20.0, 10.0, 200.0]) == ((1.0, 2.0), (10.0, 20.0))


def test_forty_pairs_are_compared_in_under_50_ms() -> None:
    pairs = samples(40, 0.95, 0.1, seed=4)
    before = time.process_time()
    compare_pairs(pairs)
    assert time.process_time() - before < 0.05
