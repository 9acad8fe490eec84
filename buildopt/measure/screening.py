"""Many settings in few builds: Plackett-Burman designs, and the effects read out of them. Pure.

Every build sets all factors at once, each at one of two levels, so that every build informs every factor. Placebo columns
set nothing at all: the effect that they seem to have is the floor below which no effect is to be believed.
Of the procedures tried on simulated noisy builds this one came closest to the best settings for its number of builds.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Design", "Effect", "design", "effects", "placebo_floor"]

_FIRST_ROWS = {
    # R. L. Plackett and J. P. Burman, The design of optimum multifactorial experiments, Biometrika 33 (1946), 305-325;
    # the other rows are its rotations, and one of all minus
    8: "+++-+--",
    12: "++-+++---+-",
    16: "++++-+-++--+---",
    20: "++--++++-+-+----++-",
    24: "+++++-+-++--++--+-+----",
}
_HUBER = 1.345  # residuals beyond this many standard deviations count less: 95 % efficient where nothing is wrong
_ROUNDS = 50


class Design(NamedTuple):
    """Which factor is on in which build."""

    rows: tuple[tuple[int, ...], ...]
    """In the order to build: +1 or -1 for each factor, then for each placebo."""
    blocks: tuple[int, ...]
    """The half of the experiment that each row belongs to: the machine may change between them."""
    factors: int
    """How many of the columns are real; the rest are placebos."""


class Effect(NamedTuple):
    """What one column seems to do."""

    ratio: float
    """Cost with it on, by cost with it off."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end."""
    placebo: bool


def design(factors: int, *, placebos: int = 2, folded: bool, seed: int) -> Design:
    """Return the smallest design that has a column for each factor and placebo; equal arguments give equal designs.

    `folded` adds every row's mirror image: twice the builds, and no effect of one factor is mixed up with what two others
    do together. Each half is a block of its own, in an order drawn by `seed`. Raises ValueError for more columns than 23
    (22 where not folded), and for none.
    """
    import random  # noqa: PLC0415 - costs 10 ms, and most starts do not measure

    columns = factors + placebos
    # Not folded, one column halves the experiment, and a fit of all factors and a placebo must leave something for noise.
    needed = columns + 1 if folded else max(columns + 2, factors + 3 + bool(placebos))
    if factors < 1 or placebos < 0 or needed > max(_FIRST_ROWS):
        raise ValueError(f"no design for {factors} factors and {placebos} placebos")
    runs = min(size for size in _FIRST_ROWS if size >= needed)
    plain = _plackett_burman(runs)
    if folded:
        halves = [plain, [tuple(-level for level in row) for row in plain]]
    else:  # a column that is not used halves the experiment: all others are balanced in both halves
        halves = [[row for row in plain if row[-1] == side] for side in (1, -1)]
    chance = random.Random(seed)  # noqa: S311 - an experiment, not a secret
    rows: list[tuple[int, ...]] = []
    blocks: list[int] = []
    for number, half in enumerate(halves):
        rows += chance.sample([row[:columns] for row in half], len(half))
        blocks += [number] * len(half)
    return Design(tuple(rows), tuple(blocks), factors)


def effects(design: Design, responses: Sequence[float | None]) -> tuple[Effect, ...]:
    """Return the effect of each column on costs above zero, `responses` in the order of the rows, None where a build failed.

    Logarithms, least squares with Huber's weights and a level for each half. The noise is estimated with the placebos taken
    for what they are, nothing; each placebo's own effect comes from a fit that has it as one more factor.
    Raises ValueError when too few builds are left to tell the factors apart.
    """
    kept = [index for index, response in enumerate(responses) if response is not None]
    logs = [math.log(response) for response in responses if response is not None]
    levels = sorted({design.blocks[index] for index in kept})

    def fit(columns: Sequence[int]) -> list[tuple[float, float]]:
        matrix = [
            [float(design.blocks[i] == level) for level in levels] + [float(design.rows[i][c]) for c in columns]
            for i in kept
        ]
        return _huber(matrix, logs)[len(levels) :]

    factors = list(range(design.factors))
    found = fit(factors)
    placebos = [fit([*factors, column])[-1] for column in range(design.factors, len(design.rows[0]))]
    return tuple(
        Effect(
            math.exp(2 * middle), math.exp(2 * (middle - half)), math.exp(2 * (middle + half)), index >= design.factors
        )
        for index, (middle, half) in enumerate([*found, *placebos])
    )


def placebo_floor(found: Sequence[Effect]) -> float:
    """Return the largest relative effect that a placebo seems to have, as 0.02 for 2 % either way; 0.0 without placebos."""
    return max((math.exp(abs(math.log(effect.ratio))) - 1 for effect in found if effect.placebo), default=0.0)


def _plackett_burman(runs: int) -> list[tuple[int, ...]]:
    first = [1 if sign == "+" else -1 for sign in _FIRST_ROWS[runs]]
    return [*(tuple(first[-turn:] + first[:-turn]) for turn in range(runs - 1)), (-1,) * (runs - 1)]


def _huber(matrix: Sequence[Sequence[float]], values: Sequence[float]) -> list[tuple[float, float]]:
    """Return each coefficient with half the width of its 95 % interval, from iteratively reweighted least squares."""
    count, unknowns = len(values), len(matrix[0])
    freedom = count - unknowns
    if freedom < 1:
        raise ValueError(f"{count} builds cannot tell {unknowns} unknowns apart")
    weights = [1.0] * count
    solution: list[float] = []
    scale = 0.0
    for _ in range(_ROUNDS):
        before = solution
        solution = _solve(matrix, values, weights)
        residuals = [
            value - sum(x * b for x, b in zip(row, solution, strict=True))
            for row, value in zip(matrix, values, strict=True)
        ]
        scale = _spread(residuals, unknowns)
        if scale < 1e-12 or (before and max(abs(a - b) for a, b in zip(solution, before, strict=True)) < 1e-10):
            break
        weights = [min(1.0, _HUBER * scale / max(abs(residual), 1e-300)) for residual in residuals]
    half = _student(freedom) * scale
    inverse = _inverse(_normal(matrix, weights))
    return [(solution[k], half * math.sqrt(max(inverse[k][k], 0.0))) for k in range(unknowns)]


def _spread(residuals: Sequence[float], unknowns: int) -> float:
    """Return a robust standard deviation: the median of the residuals that a fit with `unknowns` leaves free."""
    ordered = sorted(abs(residual) for residual in residuals)[unknowns - 1 :]
    middle = len(ordered) // 2
    return 1.4826 * (ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2)


def _student(freedom: int) -> float:
    """Return the 97.5th percentile of Student's t (Cornish-Fisher; the first three from the table)."""
    if freedom <= 3:
        return (12.706, 4.303, 3.182)[freedom - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _normal(matrix: Sequence[Sequence[float]], weights: Sequence[float]) -> list[list[float]]:
    columns = list(zip(*matrix, strict=True))
    weighted = [list(map(operator.mul, column, weights)) for column in columns]
    return [[sum(map(operator.mul, a, b)) for b in columns] for a in weighted]


def _solve(matrix: Sequence[Sequence[float]], values: Sequence[float], weights: Sequence[float]) -> list[float]:
    right = [
        sum(w * row[i] * value for w, row, value in zip(weights, matrix, values, strict=True))
        for i in range(len(matrix[0]))
    ]
    return [sum(a * b for a, b in zip(row, right, strict=True)) for row in _inverse(_normal(matrix, weights))]


def _inverse(square: Sequence[Sequence[float]]) -> list[list[float]]:
    """Return the inverse (Gauss-Jordan with pivots); raises ValueError for a singular matrix."""
    size = len(square)
    rows = [[*row, *(float(i == j) for j in range(size))] for i, row in enumerate(square)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda i, c=column: abs(rows[i][c]))  # type: ignore[misc]
        if abs(rows[pivot][column]) < 1e-9:
            raise ValueError("the builds that succeeded cannot tell the settings apart")
        rows[column], rows[pivot] = rows[pivot], rows[column]
        lead = rows[column][column]
        rows[column] = [value / lead for value in rows[column]]
        for i in range(size):
            if i != column and rows[i][column]:
                factor = rows[i][column]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[column], strict=True)]
    return [row[size:] for row in rows]
