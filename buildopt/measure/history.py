"""A new value against the history of its kind: regressions, change points, many tests at once. Pure."""

from __future__ import annotations

import itertools
import math
from bisect import insort
from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = [
    "FEWEST",
    "Usual",
    "against_history",
    "benjamini_hochberg",
    "change_points",
    "is_regression",
    "tail_probability",
    "usual",
]

FEWEST = 8
"""With fewer runs nothing is called a regression: budgets only."""

_SIGMAS = 4.0
_NORMAL = 1.4826  # times the median absolute deviation: the standard deviation of a normal distribution
_LEAST_SPREAD = 0.01  # of the median: a history of equal values still has noise to come
_EFFECT = 1.10
_LONGEST = 240  # values that change points are looked for in: the newest
_PRICE = 2.5  # times noise and logarithm of the length: about one history in 200 of independent noise shows a step
_STEP = 0.05  # of the level before: a smaller step explains nothing


class Usual(NamedTuple):
    """What a history leads one to expect."""

    median: float
    spread: float
    """Standard deviation, from the median absolute deviation, at least 1 % of the median."""
    low: float
    """Below this is an improvement."""
    high: float
    """Above this is a regression."""
    runs: int


def usual(history: Sequence[float]) -> Usual | None:
    """Return what `history` leads one to expect, or None when it has fewer than `FEWEST` values.

    The limits are median ± 4 robust standard deviations, and at least 10 % away.
    """
    if len(history) < FEWEST:
        return None
    median = _median(history)
    spread = max(_NORMAL * _median([abs(value - median) for value in history]), _LEAST_SPREAD * median)
    high = max(median + _SIGMAS * spread, _EFFECT * median)
    low = min(median - _SIGMAS * spread, median / _EFFECT)
    return Usual(median, spread, low, high, len(history))


def is_regression(history: Sequence[float], value: float) -> bool:
    """Return whether `value` is above what `history` leads one to expect; never with too short a history."""
    expected = usual(history)
    return expected is not None and value > expected.high


def against_history(history: Sequence[float], value: float) -> Literal["ok", "regression", "improved", "too few runs"]:
    """Return how `value` stands against `history`, oldest first."""
    expected = usual(history)
    if expected is None:
        return "too few runs"
    if value > expected.high:
        return "regression"
    return "improved" if value < expected.low else "ok"


def tail_probability(history: Sequence[float], value: float) -> float:
    """Return about how often a history like this one brings a value as large as `value`: what many tests are ranked by.

    The tail is that of Student's t with 3 degrees of freedom, as heavy as build times are; 1.0 for too short a history.
    """
    expected = usual(history)
    if expected is None or expected.spread <= 0:
        return 1.0
    t = (value - expected.median) / (expected.spread * math.sqrt(3))
    return 0.5 - (t / (1 + t * t) + math.atan(t)) / math.pi


def benjamini_hochberg(probabilities: Sequence[float], *, rate: float = 0.05) -> tuple[bool, ...]:
    """Return which of many tests to believe, so that about `rate` of those believed are wrong (Benjamini & Hochberg 1995)."""
    ordered = sorted(probabilities)
    limit = max((p for rank, p in enumerate(ordered, 1) if p <= rate * rank / len(ordered)), default=-1.0)
    return tuple(p <= limit for p in probabilities)


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
