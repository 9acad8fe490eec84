"""Pairs measured side by side settle a comparison however often one looks, or say how many more it takes."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.measure.sequential import FEWEST_PAIRS, decide

seconds = st.floats(0.01, 1000)
some_pairs = st.lists(st.tuples(seconds, seconds), min_size=1, max_size=12)


def samples(count: int, ratio: float, spread: float, seed: int) -> list[tuple[float, float]]:
    chance = random.Random(seed)
    return [(chance.lognormvariate(0, spread), ratio * chance.lognormvariate(0, spread)) for _ in range(count)]


def looked_at_after_every_block(ratio: float, seed: int, most: int = 20) -> tuple[str, int]:
    pairs, same = samples(most, ratio, 0.05, seed), samples(most // 2, 1.0, 0.05, seed + 1_000_000)
    for count in range(2, most + 1, 2):
        found = decide(pairs[:count], aa=same[: count // 2], final=count == most, planned=most)
        if found.verdict != "unresolved":
            return found.verdict, count
    return "unresolved", most


def test_a_clear_difference_is_settled() -> None:
    faster = decide(samples(12, 0.8, 0.04, seed=1))
    assert faster.verdict == "faster"
    assert faster.low < 0.8 < faster.high
    assert faster.more_pairs == 0
    assert decide(samples(12, 1.25, 0.04, seed=1)).verdict == "slower"


def test_a_difference_too_small_to_matter_is_equal_not_unresolved() -> None:
    assert decide(samples(20, 1.005, 0.01, seed=2)).verdict == "equal"


def test_a_sure_effect_below_the_smallest_that_matters_is_not_called_slower() -> None:
    pairs = [(1.0, 1.02 + n / 10_000) for n in range(12)]
    assert decide(pairs).verdict == "equal"
    assert decide(pairs, smallest_effect=0.01).verdict == "slower"


def test_an_effect_no_larger_than_that_of_the_baseline_on_itself_is_not_settled() -> None:
    pairs = [(1.0, 0.93 + n / 1000) for n in range(12)]
    assert decide(pairs, aa=[(1.0, 1.0)] * 6).verdict == "faster"
    assert decide(pairs, aa=[(1.0, 1.1)] * 6).verdict == "unresolved"
    assert decide(pairs, aa=[(1.1, 1.0)] * 6).verdict == "unresolved"


def test_pairs_that_agree_by_chance_are_held_against_the_scatter_of_the_baseline() -> None:
    pairs = [(1.0, 0.93 + n / 1000) for n in range(6)]
    quiet = decide(pairs, aa=[(1.0, 1.01), (1.01, 1.0), (1.0, 1.0)], final=True)
    restless = decide(pairs, aa=[(1.0, 1.3), (1.3, 1.0), (1.0, 1.0)], final=True)
    assert (quiet.verdict, restless.verdict) == ("faster", "unresolved")


def test_an_early_look_asks_for_more_than_the_last_one() -> None:
    pairs = samples(8, 0.93, 0.04, seed=5)
    early, last = decide(pairs), decide(pairs, final=True)
    assert (early.verdict, last.verdict) == ("unresolved", "faster")
    assert early.low < last.low < last.ratio < last.high < early.high


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_handful_of_pairs_settles_nothing(count: int) -> None:
    found = decide([(1.0, 0.5)] * count, final=True)
    assert found.verdict == "unresolved"
    assert found.more_pairs == FEWEST_PAIRS - count
    assert f"needs about {found.more_pairs} more pair" in found.words
    assert found.words.endswith("pair" if found.more_pairs == 1 else "pairs")


def test_an_effect_far_beyond_the_noise_is_settled_at_the_first_look() -> None:
    assert decide(samples(4, 3.0, 0.07, seed=6)).verdict == "slower"


def test_a_small_effect_waits_for_more_pairs_however_well_a_few_agree() -> None:
    pairs = [(1.0, 1.047 + n / 1000) for n in range(20)]
    assert decide(pairs[:6]).verdict == "unresolved", "six builds of one thing did so in a real run"
    assert decide(pairs[:6], final=True).verdict == "slower"
    assert decide(pairs[:14]).verdict == "slower"


def test_wide_noise_asks_for_more_pairs_than_narrow_noise() -> None:
    wide, narrow = decide(samples(10, 1.04, 0.5, seed=3)), decide(samples(10, 1.04, 0.1, seed=3))
    assert wide.verdict == narrow.verdict == "unresolved"
    assert wide.more_pairs > narrow.more_pairs > 0


def test_the_words_carry_the_figures() -> None:
    assert decide([(1.0, 0.9)] * 6).words == "0.90 (0.90 to 0.90) of the time: faster"


def test_looking_after_every_block_seldom_raises_a_false_alarm_and_finds_ten_percent() -> None:
    same = Counter(looked_at_after_every_block(1.0, seed)[0] for seed in range(500))
    assert same["faster"] + same["slower"] <= 10, same  # 2 %; with 95 % intervals it would be 60
    found = [looked_at_after_every_block(1.1, seed) for seed in range(200)]
    assert sum(verdict == "slower" for verdict, _ in found) >= 170, "normal noise of 5 % is more than is usual"
    assert all(verdict in ("slower", "unresolved") for verdict, _ in found)
    assert sum(count for _, count in found) / len(found) < 15


def test_looking_on_beyond_the_usual_pairs_stays_honest() -> None:
    same = Counter(looked_at_after_every_block(1.0, seed, most=40)[0] for seed in range(500))
    assert same["faster"] + same["slower"] <= 10, same


def test_the_more_looks_are_planned_the_more_an_early_one_asks_for() -> None:
    pairs = samples(20, 0.94, 0.06, seed=5)
    few, usual, many = (decide(pairs, planned=planned) for planned in (5, 20, 80))
    assert few == usual
    assert many.high / many.low > usual.high / usual.low
    assert decide(pairs, planned=80, final=True) == decide(pairs, final=True)


@given(some_pairs, some_pairs)
def test_the_order_of_the_pairs_does_not_matter(
    pairs: list[tuple[float, float]], aa: list[tuple[float, float]]
) -> None:
    found = decide(pairs, aa=aa)
    assert found == decide(pairs[::-1], aa=aa[::-1])
    assert found.low <= found.ratio * 1.000001
    assert found.ratio <= found.high * 1.000001


@given(some_pairs, some_pairs)
def test_exchanging_the_arms_turns_everything_over(
    pairs: list[tuple[float, float]], aa: list[tuple[float, float]]
) -> None:
    there, back = decide(pairs, aa=aa), decide([(b, a) for a, b in pairs], aa=[(b, a) for a, b in aa])
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert there.low == pytest.approx(1 / back.high)
    assert {there.verdict, back.verdict} in ({"faster", "slower"}, {"equal"}, {"unresolved"})


@given(st.lists(st.floats(0.5, 2.0), min_size=3, max_size=15))
def test_the_standard_error_is_that_of_resamples(ratios: list[float]) -> None:
    chance = random.Random(1)
    count = len(ratios)
    logs = [math.log(ratio) for ratio in ratios]

    def median(values: list[float]) -> float:
        ordered = sorted(values)
        return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2

    drawn = [median(chance.choices(logs, k=count)) for _ in range(500)]
    if count < FEWEST_PAIRS:
        return
    found = decide([(1.0, ratio) for ratio in ratios], final=True)
    mean = sum(drawn) / len(drawn)
    deviation = math.sqrt(sum((each - mean) ** 2 for each in drawn) / len(drawn))
    half = (math.log(found.high) - math.log(found.low)) / 2 / 2.7
    # Of an even number the two in the middle are taken as one each, which is a little more than their mean scatters.
    assert 0.85 * deviation - 0.01 <= half <= 1.5 * deviation + 0.01


@pytest.mark.parametrize("pairs", [[], [(0.0, 1.0)], [(1.0, -1.0)], [(1.0, math.nan)], [(math.inf, 1.0)]])
def test_what_cannot_be_compared_is_refused(pairs: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="expected"):
        decide(pairs)
