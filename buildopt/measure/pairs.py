"""Comparison of two arms, A and B, measured side by side in pairs. Pure.

On a shared machine the wall time of one and the same build has a coefficient of variation of 64 %, and it drifts. Runs
in the order A B B A share that drift between both arms; the ratio within a pair is then the sample. A sequential
comparison (all A, then all B) with a t-test raised a false alarm in 13-21 % of the cases, this rule in about 1 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = ["PairVerdict", "Pairs", "compare_pairs", "order_of_arms", "pairs_of"]

PairVerdict = Literal["faster", "slower", "equal", "unresolved"]

_FEWEST = 5  # with fewer pairs the interval is too narrow to mean 95 %
_MOST_PLANNED = 500


class Pairs(NamedTuple):
    """What pairs say about B against A."""

    verdict: PairVerdict
    """`faster`: B needs less than A. `equal`: the interval lies within the smallest effect that matters."""
    pairs: int
    ratio: float
    """Median of B / A."""
    low: float
    """Lower end of the 95 % interval of that median."""
    high: float
    """Upper end."""
    more_pairs: int
    """About how many further pairs would settle it; 0 unless `unresolved`."""
    words: str
    """As `0.89 (0.87 to 0.92) of the time: faster`."""


def compare_pairs(
    pairs: Sequence[tuple[float, float]],
    *,
    smallest_effect: float = 0.03,
    placebo_ratio: float = 1.0,
    seed: int = 0,
    resamples: int = 2000,
) -> Pairs:
    """Return what `pairs` of (A, B), in seconds, say: median ratio, bootstrap interval, verdict.

    `faster` and `slower` need an interval that excludes 1 and a median effect above `smallest_effect` and above that of
    `placebo_ratio` (the ratio that A against itself showed). Equal input gives equal output: the bootstrap is seeded.
    Raises ValueError for no pairs and for times that are not above zero.
    """
    if not pairs:
        raise ValueError("expected at least one pair")
    if not all(math.isfinite(a) and math.isfinite(b) and a > 0 and b > 0 for a, b in pairs):
        raise ValueError("expected times above zero in every pair")
    logs = sorted(math.log(b / a) for a, b in pairs)
    middle = _median(logs)
    low, high = _interval(logs, seed, resamples)
    threshold = math.log1p(smallest_effect)
    needed = max(threshold, abs(math.log(placebo_ratio)))
    verdict = _verdict(len(logs), middle, low, high, threshold, needed)
    more = _more_pairs(len(logs), middle, low, high, needed) if verdict == "unresolved" else 0
    words = f"{math.exp(middle):.2f} ({math.exp(low):.2f} to {math.exp(high):.2f}) of the time: "
    words += (
        f"not resolved, needs about {more} more pair{'' if more == 1 else 's'}" if verdict == "unresolved" else verdict
    )
    return Pairs(verdict, len(logs), math.exp(middle), math.exp(low), math.exp(high), more, words)


def order_of_arms(pairs: int, *, seed: int = 0) -> str:
    """Return the order to run the arms in, two letters a pair: blocks of `ABBA` or `BAAB`, drawn at random."""
    import random  # noqa: PLC0415 - costs 10 ms, and most starts do not measure

    chance = random.Random(seed)  # noqa: S311 - an experiment, not a secret
    blocks = "".join(chance.choice(("ABBA", "BAAB")) for _ in range((pairs + 1) // 2))
    return blocks[: 2 * pairs]


def pairs_of(order: str, seconds: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Return the (A, B) pairs of times that were measured in `order`; a last pair that is not complete is left out."""
    found = []
    for first in range(0, min(len(order), len(seconds)) - 1, 2):
        one, two = seconds[first], seconds[first + 1]
        found.append((one, two) if order[first] == "A" else (two, one))
    return tuple(found)


def _interval(logs: Sequence[float], seed: int, resamples: int) -> tuple[float, float]:
    """Return the 2.5th and 97.5th percentile of the medians of resamples (percentile bootstrap)."""
    import random  # noqa: PLC0415 - costs 10 ms, and most starts do not measure

    chance = random.Random(seed)  # noqa: S311 - an experiment, not a secret
    count = len(logs)
    medians = sorted(_median(sorted(chance.choices(logs, k=count))) for _ in range(resamples))
    edge = int(0.025 * resamples)
    return medians[edge], medians[-1 - edge]


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _verdict(count: int, middle: float, low: float, high: float, threshold: float, needed: float) -> PairVerdict:
    if count < _FEWEST:
        return "unresolved"
    if (low > 0 or high < 0) and abs(middle) > needed:
        return "slower" if middle > 0 else "faster"
    return "equal" if -threshold < low and high < threshold else "unresolved"


def _more_pairs(count: int, middle: float, low: float, high: float, needed: float) -> int:
    """Estimate the further pairs: the interval narrows with the square root of their number."""
    half_width = (high - low) / 2
    goal = abs(middle) if abs(middle) > needed else needed - abs(middle)
    wished = _MOST_PLANNED if goal <= 0 else min(_MOST_PLANNED, math.ceil(count * (half_width / goal) ** 2))
    return max(1, _FEWEST - count, wished - count)
