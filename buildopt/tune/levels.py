"""Candidates over the settings of today, and those that a row of a design has on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from buildopt.tune.candidates import Candidate

__all__ = ["Found", "candidates_of", "combined", "suspects"]


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
    """Return the candidates that a row has on; its placebos, which come last, set nothing."""
    return tuple(candidate for sign, candidate in zip(signs, candidates, strict=False) if sign > 0)


def suspects(rows: Sequence[tuple[tuple[Candidate, ...], bool]]) -> tuple[Candidate, ...]:
    """Return the candidates that are in every row that failed and in none that succeeded; `rows` are (candidates, succeeded)."""
    failed = [set(row) for row, succeeded in rows if not succeeded]
    if not failed:
        return ()
    cleared = {candidate for row, succeeded in rows if succeeded for candidate in row}
    common = set.intersection(*failed) - cleared
    return tuple(candidate for candidate in dict.fromkeys(c for row, _ in rows for c in row) if candidate in common)
