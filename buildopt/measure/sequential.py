"""The decision about two arms while their pairs come in, valid however often one looks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from buildopt.measure.pairs import PairVerdict, compare_pairs

__all__ = ["Decision", "decide"]


class Decision(NamedTuple):
    """What the pairs so far say about B against A."""

    verdict: PairVerdict
    """`unresolved` until the interval decides."""
    pairs: int
    ratio: float
    """Median of B / A."""
    low: float
    """Lower end of the interval of that median."""
    high: float
    """Upper end."""
    more_pairs: int
    """About how many further pairs would settle it; 0 unless `unresolved`."""
    words: str
    """As `0.89 (0.87 to 0.92) of the time: faster`."""


def decide(
    pairs: Sequence[tuple[float, float]],
    *,
    aa: Sequence[tuple[float, float]] = (),
    smallest_effect: float = 0.03,
    final: bool = False,
    seed: int = 0,
) -> Decision:
    """Return what `pairs` of (A, B), in seconds, say so far."""
    del aa, final
    found = compare_pairs(pairs, smallest_effect=smallest_effect, seed=seed)
    return Decision(*found)
