"""From the rows of a design to settings, and from the effects of its columns back to candidates. Pure.

A setting with two levels takes two columns: where both are on, the later level holds. With `a` and `b` the effects of the two
columns, the first level then has the effect 2a and the second a + b.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildopt.tune.candidates import Candidate

__all__ = ["Found", "candidates_of", "combined", "found_in", "suspects"]


class Found(NamedTuple):
    """What one setting does, as a ratio to doing without it."""

    ratio: float
    low: float
    """Lower end of the 95 % interval."""
    high: float


def combined(today: Mapping[str, Any], candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Return the settings of today with those of `candidates` over them, later ones over earlier ones."""
    found = dict(today)
    for candidate in candidates:
        found.update(candidate.settings)
    return found


def candidates_of(signs: Sequence[int], candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the candidates that hold in a row: those that are on, but for a level that a later one replaces."""
    chosen = {candidate.key: candidate for sign, candidate in zip(signs, candidates, strict=False) if sign > 0}
    return tuple(candidate for candidate in candidates if chosen.get(candidate.key) is candidate)


def found_in(columns: Sequence[Found], candidates: Sequence[Candidate]) -> tuple[Found, ...]:
    """Return what each candidate does, out of the effects of its column and of the other level's column."""
    first: dict[str, int] = {}
    twice = {c.key for c in candidates if sum(other.key == c.key for other in candidates) > 1}
    found = []
    for position, candidate in enumerate(candidates):
        own = columns[position]
        if candidate.key not in twice:
            found.append(own)
        elif candidate.key not in first:
            first[candidate.key] = position
            found.append(_widened(2 * math.log(own.ratio), 2 * _half_width(own)))
        else:
            other = columns[first[candidate.key]]
            width = math.hypot(_half_width(own), _half_width(other))
            found.append(_widened(math.log(own.ratio) + math.log(other.ratio), width))
    return tuple(found)


def suspects(rows: Sequence[tuple[tuple[Candidate, ...], bool]]) -> tuple[Candidate, ...]:
    """Return the candidates that are in every row that failed and in none that succeeded; `rows` are (candidates, succeeded)."""
    failed = [set(row) for row, succeeded in rows if not succeeded]
    if not failed:
        return ()
    cleared = {candidate for row, succeeded in rows if succeeded for candidate in row}
    common = set.intersection(*failed) - cleared
    return tuple(candidate for candidate in dict.fromkeys(c for row, _ in rows for c in row) if candidate in common)


def _half_width(found: Found) -> float:
    return (math.log(found.high) - math.log(found.low)) / 2


def _widened(middle: float, half_width: float) -> Found:
    return Found(math.exp(middle), math.exp(middle - half_width), math.exp(middle + half_width))
