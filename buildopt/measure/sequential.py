"""The decision about two arms while their pairs come in: right however often one looks. Pure.

On a shared machine the wall time of one and the same build has a coefficient of variation of 64 %, and it drifts. Runs in
the order A B B A share that drift between both arms; the ratio within a pair is then the sample, and the median of the
ratios what is reported, as one pair in ten is far off.

How sure that median is, the bootstrap says: the standard deviation of the medians of resamples. It is computed, not drawn:
how likely each place in the sorted ratios is to be the median of a resample follows from the binomial distribution (Maritz
and Jarrett 1978). Median over standard error has nearly the same distribution for all noise tried (normal, Laplace, Student,
bursts, drifts; recorded builds), so that one critical value serves: 2.7 where one looks once, more the earlier one looks
(O'Brien and Fleming 1979). `benchmarks/honesty.py` shows how often that is wrong.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

__all__ = ["FEWEST_PAIRS", "Decision", "PairVerdict", "decide"]

PairVerdict = Literal["faster", "slower", "equal", "unresolved"]

FEWEST_PAIRS = 4
"""With fewer pairs nothing is decided."""

_CRITICAL = 2.7  # standard errors: with no difference, exceeded in about 1 % of comparisons
_LATER = 3.1  # the same, while looking on beyond the pairs that were planned
_PLANNED = 20
_MOST_PLANNED = 500
_EXACT = 64  # binomial probabilities up to this many draws, the normal distribution above


class Decision(NamedTuple):
    """What the pairs so far say about B against A."""

    verdict: PairVerdict
    """`faster`: B needs less than A. `equal`: the interval lies within the smallest effect that matters."""
    pairs: int
    ratio: float
    """Median of B / A."""
    low: float
    """Lower end of the interval of that median: 99 % for one look, wider for an early one. The extremes below 4 pairs."""
    high: float
    """Upper end."""
    more_pairs: int
    """About how many further pairs would settle it; 0 unless `unresolved`."""
    words: str
    """As `0.89 (0.87 to 0.92) of the time: faster`."""
    error: float = math.nan
    """Standard error of the logarithm of the median: what the interval is a multiple of; NaN below 4 pairs."""


def decide(
    pairs: Sequence[tuple[float, float]],
    *,
    aa: Sequence[tuple[float, float]] = (),
    smallest_effect: float = 0.03,
    final: bool = False,
    planned: int = _PLANNED,
) -> Decision:
    """Return what `pairs` of (A, B), in seconds, say so far; to be called as often as one likes while they come in.

    `aa` are pairs of the baseline with itself: an effect must exceed theirs, and the interval is no narrower than their
    scatter makes likely. `final` says that no later look is meant: the interval then need not allow for one. `planned` pairs
    are meant at most: the more looks there are to come, the more each asks for; fewer than 20 count as 20.
    `faster` and `slower` need an interval without 1 and a median effect above `smallest_effect`; an early look asks for
    more of it, as much more as pairs are still to come: neighbours on the machine may fall in step with a few blocks.
    Raises ValueError for no pairs and for times that are not above zero.
    """
    if not pairs:
        raise ValueError("expected at least one pair")
    ratios, same = _logs(pairs), _logs(aa)
    count, middle, error = len(ratios), _median(ratios), math.nan
    threshold = math.log1p(smallest_effect)
    floor = max(threshold, abs(_median(same)) if same else 0.0)
    if count < FEWEST_PAIRS:
        low, high, more = ratios[0], ratios[-1], FEWEST_PAIRS - count
        verdict: PairVerdict = "unresolved"
    else:
        error = _standard_error(ratios, same)
        half = error * _critical(count, final, max(planned, _PLANNED))
        low, high = middle - half, middle + half
        early = 1.0 if final else max(1.0, _PLANNED / count)
        verdict = _verdict(middle, half, threshold, max(floor, threshold * early))
        more = _more_pairs(count, middle, error, floor) if verdict == "unresolved" else 0
    words = f"{math.exp(middle):.2f} ({math.exp(low):.2f} to {math.exp(high):.2f}) of the time: "
    words += (
        f"not decided, needs about {more} more pair{'' if more == 1 else 's'}" if verdict == "unresolved" else verdict
    )
    return Decision(verdict, count, math.exp(middle), math.exp(low), math.exp(high), more, words, error)


def _logs(pairs: Sequence[tuple[float, float]]) -> list[float]:
    if not all(math.isfinite(a) and math.isfinite(b) and a > 0 and b > 0 for a, b in pairs):
        raise ValueError("expected times above zero in every pair")
    return sorted(math.log(b / a) for a, b in pairs)


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _critical(count: int, final: bool, planned: int) -> float:
    if final:
        return _CRITICAL
    return _LATER if count > planned else _CRITICAL * math.sqrt(planned / count)


def _verdict(middle: float, half: float, threshold: float, needed: float) -> PairVerdict:
    if abs(middle) > max(half, needed):
        return "slower" if middle > 0 else "faster"
    return "equal" if abs(middle) + half < threshold else "unresolved"


def _more_pairs(count: int, middle: float, error: float, floor: float) -> int:
    """Estimate the further pairs: the standard error shrinks with the square root of their number."""
    goal = abs(middle) if abs(middle) > floor else floor - abs(middle)
    wished = _MOST_PLANNED if goal <= 0 else min(_MOST_PLANNED, math.ceil(count * (_CRITICAL * error / goal) ** 2))
    return max(1, wished - count)


def _standard_error(ratios: Sequence[float], same: Sequence[float]) -> float:
    """Return the bootstrap's standard error of the median of `ratios`, or that of the same number of all scatter there is.

    The larger counts: few pairs may agree by chance, and a candidate may scatter more than the baseline.
    """
    count, middle = len(ratios), _median(ratios)
    own = _deviation(ratios, count)
    if len(same) < 2:
        return own
    middle_of_same = _median(same)
    scatter = sorted([ratio - middle for ratio in ratios] + [ratio - middle_of_same for ratio in same])
    return max(own, _deviation(scatter, count))


def _deviation(ordered: Sequence[float], draws: int) -> float:
    """Return the standard deviation of the median of `draws` drawn from `ordered`, with replacement."""
    weights = _weights(len(ordered), draws)
    mean = sum(w * value for w, value in zip(weights, ordered, strict=True))
    return math.sqrt(sum(w * (value - mean) ** 2 for w, value in zip(weights, ordered, strict=True)))


@lru_cache(maxsize=256)
def _weights(size: int, draws: int) -> tuple[float, ...]:
    """Return how likely each of `size` ordered values is to be the median of `draws` of them.

    Of an even number, the two in the middle count half each.
    """
    ranks = (draws // 2, draws // 2 + 1) if draws % 2 == 0 else (draws // 2 + 1,)
    reached = [sum(_at_least(rank, draws, place / size) for rank in ranks) / len(ranks) for place in range(size + 1)]
    return tuple(after - before for before, after in itertools.pairwise(reached))


def _at_least(wanted: int, draws: int, chance: float) -> float:
    """Return how likely at least `wanted` of `draws` succeed."""
    if chance in (0.0, 1.0):
        return chance
    if draws <= _EXACT:
        return sum(math.comb(draws, k) * chance**k * (1 - chance) ** (draws - k) for k in range(wanted, draws + 1))
    spread = math.sqrt(draws * chance * (1 - chance))
    return 0.5 * math.erfc((wanted - 0.5 - draws * chance) / (spread * math.sqrt(2)))
