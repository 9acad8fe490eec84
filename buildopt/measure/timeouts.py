"""Timeouts that follow what a stage took before. Pure."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["LONGEST_SECONDS", "SAMPLES", "follow"]

SAMPLES = 50
"""How many of the last successes are looked at."""

LONGEST_SECONDS = 3600.0
"""The most that a stage is given; that much too while nothing is known of it."""

_SHORTEST_SECONDS = 60.0
_FACTOR = 3


def follow(seconds: Sequence[float]) -> float:
    """Return the timeout in seconds after successes that took `seconds`: three times their 95th percentile, within bounds.

    The percentile is the nearest rank, so that with fewer than twenty samples it is the longest.
    """
    if not seconds:
        return LONGEST_SECONDS
    ordered = sorted(seconds)
    percentile = ordered[-(-95 * len(ordered) // 100) - 1]
    return min(LONGEST_SECONDS, max(_SHORTEST_SECONDS, _FACTOR * percentile))
