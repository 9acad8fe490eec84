"""What a history leads one to expect, and where it changed."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.measure.history import FEWEST, change_points, usual

times = st.floats(0.01, 1000)


def noise(count: int, seed: int, spread: float = 0.04, level: float = 1.0) -> list[float]:
    chance = random.Random(seed)
    return [level * chance.lognormvariate(0, spread) for _ in range(count)]


def test_a_short_history_says_nothing() -> None:
    assert usual([1.0] * (FEWEST - 1)) is None
    assert usual([1.0] * FEWEST) is not None


def test_a_quiet_history_has_a_least_spread_and_a_restless_one_its_own() -> None:
    quiet, restless = usual([2.0] * 12), usual([0.8, 0.9, 1.0, 1.1, 1.2] * 3)
    assert quiet == (2.0, pytest.approx(0.02), pytest.approx(2.0 / 1.1), 12)
    assert restless == (1.0, pytest.approx(0.14826), pytest.approx(1 - 4 * 0.14826), 15)


def test_one_outlier_moves_nothing() -> None:
    history = noise(30, seed=1)
    expected, spoilt = usual(history), usual([*history[:-1], 40.0])
    assert expected is not None
    assert spoilt is not None
    assert spoilt[:3] == pytest.approx(expected[:3], rel=0.1)


@given(st.lists(times, min_size=FEWEST, max_size=60), st.floats(0.1, 10))
def test_the_unit_does_not_matter(history: list[float], unit: float) -> None:
    one, other = usual(history), usual([value * unit for value in history])
    assert one is not None
    assert other is not None
    assert other[:3] == pytest.approx([value * unit for value in one[:3]])
    assert one.low < one.median


def test_a_change_is_found_where_it_is() -> None:
    for seed in range(20):
        values = noise(40, seed, 0.02) + noise(12, seed + 100, 0.02, level=1.25)
        assert change_points(values) == (40,)


def test_changes_that_come_and_go_are_both_found() -> None:
    values = noise(20, 1, 0.02) + noise(10, 2, 0.02, level=2.0) + noise(20, 3, 0.02)
    assert change_points(values) == (20, 30)


def test_noise_spikes_and_small_steps_are_no_changes() -> None:
    assert sum(bool(change_points(noise(60, seed))) for seed in range(50)) <= 1
    spiky = noise(60, 7, 0.02)
    spiky[10] = spiky[12] = spiky[40] = 5.0
    assert change_points(spiky) == ()
    assert change_points(noise(30, 5, 0.001) + noise(30, 6, 0.001, level=1.03)) == ()


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0], [0.0] * 20, [5.0] * 20])
def test_there_is_nothing_to_find_in(values: list[float]) -> None:
    assert change_points(values) == ()


@given(st.lists(st.floats(0, 1000), max_size=40), st.integers(1, 6))
def test_every_level_is_long_enough(values: list[float], min_length: int) -> None:
    points = change_points(values, min_length=min_length)
    edges = [0, *points, len(values)]
    assert not points or all(b - a >= min_length for a, b in itertools.pairwise(edges))


def test_only_the_newest_of_a_long_history_are_looked_at() -> None:
    values = noise(5000, 1, 0.02) + noise(100, 2, 0.02, level=1.5) + noise(100, 3, 0.02)
    assert change_points(values) == (5000, 5100)
