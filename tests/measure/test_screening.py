"""Many settings in few builds: the designs are balanced, and the effects that come out are those that went in."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildopt.measure.screening import Design, design, effects, placebo_floor

SIZES = st.tuples(st.integers(1, 20), st.integers(0, 2), st.booleans(), st.integers(0, 1000))


def costs(
    plan: Design, ratios: Sequence[float], *, noise: float = 0.0, drift: float = 1.0, seed: int = 0
) -> list[float]:
    """Return what each build would cost; the second half of them on a machine that has become slower by `drift`."""
    chance = random.Random(seed)
    return [
        math.prod(ratio for ratio, level in zip(ratios, row, strict=False) if level > 0)
        * math.exp(chance.gauss(0, noise))
        * drift**block
        for row, block in zip(plan.rows, plan.blocks, strict=True)
    ]


@given(SIZES)
def test_each_column_is_balanced_in_itself_in_each_half_and_against_all_others(
    sizes: tuple[int, int, bool, int],
) -> None:
    factors, placebos, folded, seed = sizes
    plan = design(factors, placebos=placebos, folded=folded, seed=seed)
    columns = list(zip(*plan.rows, strict=True))
    assert len(columns) == factors + placebos
    for number, column in enumerate(columns):
        assert sum(column) == 0
        for half in (0, 1):
            assert sum(level for level, block in zip(column, plan.blocks, strict=True) if block == half) == 0
        for other in columns[:number]:
            assert sum(a * b for a, b in zip(column, other, strict=True)) == 0
    assert plan == design(factors, placebos=placebos, folded=folded, seed=seed)
    assert list(plan.blocks) == sorted(plan.blocks)


def test_the_design_is_the_smallest_that_will_do() -> None:
    assert [len(design(n, folded=False, seed=0).rows) for n in (1, 4, 5, 8, 9, 12, 13, 20)] == [
        8, 8, 12, 12, 16, 16, 20, 24,
    ]  # fmt: skip
    assert len(design(5, folded=True, seed=0).rows) == 16
    assert len(design(9, folded=True, seed=0).rows) == 24


@pytest.mark.parametrize(
    ("factors", "placebos", "folded"), [(0, 2, True), (22, 2, True), (21, 2, False), (3, -1, True)]
)
def test_what_no_design_can_hold_is_refused(factors: int, placebos: int, folded: bool) -> None:
    with pytest.raises(ValueError, match="no design"):
        design(factors, placebos=placebos, folded=folded, seed=0)


@settings(max_examples=20)
@given(SIZES, st.lists(st.floats(0.2, 5), min_size=20, max_size=20), st.floats(0.5, 2))
def test_without_noise_the_effects_are_exact_whatever_the_machine_does_between_the_halves(
    sizes: tuple[int, int, bool, int], ratios: list[float], drift: float
) -> None:
    factors, placebos, folded, seed = sizes
    plan = design(factors, placebos=placebos, folded=folded, seed=seed)
    found = effects(plan, costs(plan, ratios[:factors], drift=drift))
    assert [effect.ratio for effect in found[:factors]] == pytest.approx(ratios[:factors])
    assert [effect.placebo for effect in found] == [False] * factors + [True] * placebos
    assert placebo_floor(found) == pytest.approx(0.0, abs=1e-9)


def test_the_interval_holds_the_truth_and_the_placebos_show_the_noise() -> None:
    ratios = [0.7, 1.2, 1.0, 1.0, 0.97, 1.0, 1.0, 0.9, 1.0]
    inside, floors = 0, []
    for seed in range(15):
        plan = design(len(ratios), folded=True, seed=seed)
        found = effects(plan, costs(plan, ratios, noise=0.03, seed=seed))
        inside += sum(e.low <= ratio <= e.high for e, ratio in zip(found, ratios, strict=False))
        floors.append(placebo_floor(found))
    assert inside / (15 * len(ratios)) > 0.92
    assert 0.005 < sorted(floors)[7] < 0.04


def test_one_build_that_went_wrong_does_not_carry_the_effects_away() -> None:
    plan = design(9, folded=True, seed=4)
    measured = costs(plan, [0.8] + [1.0] * 8, noise=0.01, seed=4)
    measured[5] *= 3
    found = effects(plan, measured)
    assert found[0].ratio == pytest.approx(0.8, rel=0.02)
    assert all(effect.ratio == pytest.approx(1.0, rel=0.03) for effect in found[1:])


def test_builds_that_failed_are_left_out_until_too_few_are_left() -> None:
    plan = design(4, folded=True, seed=1)
    measured: list[float | None] = list(costs(plan, [0.5, 1, 1, 2]))
    measured[3] = measured[9] = None
    assert [effect.ratio for effect in effects(plan, measured)] == pytest.approx([0.5, 1, 1, 2, 1, 1])
    with pytest.raises(ValueError, match="builds"):
        effects(plan, [*measured[:3], *[None] * 13])
