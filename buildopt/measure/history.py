"""What the history of one thing leads one to expect, and where it changed. Pure."""

from __future__ import annotations

import itertools
import math
from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["FEWEST", "Usual", "change_points", "usual"]

FEWEST = 8
"""With fewer runs nothing is expected: budgets only."""

_SIGMAS = 4.0
_NORMAL = 1.4826  # times the median absolute deviation: the standard deviation of a normal distribution
_LEAST_SPREAD = 0.01  # of the median: a history of equal values still has noise to come
_EFFECT = 1.10
_LONGEST = 240  # values that change points are looked for in: the newest
_PRICE = 2.5  # times noise and logarithm of the length: of 300 histories of 60 values with independent noise, none showed a step
_STEP = 0.05  # of the level before: a smaller step explains nothing


class Usual(NamedTuple):
    """What a history leads one to expect."""

    median: float
    spread: float
    """Standard deviation, from the median absolute deviation, at least 1 % of the median."""
    low: float
    """Below this is an improvement: 4 standard deviations, and at least a tenth."""
    runs: int


def usual(history: Sequence[float]) -> Usual | None:
    """Return what `history` leads one to expect, or None when it has fewer than `FEWEST` values."""
    if len(history) < FEWEST:
        return None
    median = _median(history)
    spread = max(_NORMAL * _median([abs(value - median) for value in history]), _LEAST_SPREAD * median)
    return Usual(median, spread, min(median - _SIGMAS * spread, median / _EFFECT), len(history))


def change_points(values: Sequence[float], *, min_length: int = 3) -> tuple[int, ...]:
    """Return the positions in `values`, oldest first, where the level changes for good: each the first of its level.

    Least absolute deviations from a step function, each step paid for with the noise of neighbours (as asv does); levels
    shorter than `min_length` and steps under 5 % are not seen. Only the newest 240 values are looked at.
    """
    start = max(0, len(values) - _LONGEST)
    recent = values[start:]
    if len(recent) < 2 * min_length:
        return ()
    jumps = [abs(after - before) for before, after in itertools.pairwise(recent)]
    # The median difference of two normal values is 0.954 standard deviations.
    noise = max(_median(jumps) / 0.954, _LEAST_SPREAD * abs(_median(recent)))
    steps = _cheapest_steps(recent, min_length, _PRICE * noise * math.log(len(recent)))
    return tuple(start + step for step in _clear(recent, steps, min_length))


def _cheapest_steps(values: Sequence[float], min_length: int, price: float) -> list[int]:
    count = len(values)
    best = [math.inf] * (count + 1)
    came_from = [0] * (count + 1)
    best[0] = -price
    for first in range(count - min_length + 1):
        if best[first] == math.inf:
            continue
        ordered: list[float] = sorted(values[first : first + min_length - 1])
        for end in range(first + min_length, count + 1):
            insort(ordered, values[end - 1])
            half = len(ordered) // 2
            cost = best[first] + price + sum(ordered[len(ordered) - half :]) - sum(ordered[:half])
            if cost < best[end]:
                best[end], came_from[end] = cost, first
    steps: list[int] = []
    at = came_from[count]
    while at > 0:
        steps.append(at)
        at = came_from[at]
    return steps[::-1]


def _clear(values: Sequence[float], steps: list[int], min_length: int) -> list[int]:
    """Return the steps without those that are small or rest on a few spikes, the smallest dropped first."""
    while steps:
        edges = [0, *steps, len(values)]
        levels = [values[a:b] for a, b in itertools.pairwise(edges)]
        sizes = [_size_of_step(before, after, min_length) for before, after in itertools.pairwise(levels)]
        least = min(range(len(sizes)), key=sizes.__getitem__)
        if sizes[least] >= _STEP:
            break
        del steps[least]
    return steps


def _size_of_step(before: Sequence[float], after: Sequence[float], min_length: int) -> float:
    """Return how far `after` lies from `before`, as a part of it; 0.0 when too few values of either lie on their own side."""
    low, high = _median(before), _median(after)
    middle = (low + high) / 2
    for level, centre in ((before, low), (after, high)):
        own = sum((value > middle) == (centre > middle) for value in level)
        if own < max(min_length, 2 / 3 * len(level)):
            return 0.0
    return abs(high - low) / max(abs(low), 1e-12)


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
