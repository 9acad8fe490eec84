"""What the pairs of a confirmation come to: enough to adopt, enough not to, or not decided yet. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from buildopt.bench.results import Comparison
from buildopt.tune.judge import gains, weigh
from buildopt.tune.levels import Found

__all__ = ["MOST_PAIRS", "Confirmation", "confirmation_of"]

MOST_PAIRS = 40
"""In each scenario, over all calls: what so many pairs do not show is not worth a line."""


class Confirmation(NamedTuple):
    """What the pairs so far say about all that was chosen."""

    weighted: Found | None
    why_not: str | None
    """Why it is not to be adopted."""
    unfinished: bool = False
    """Whether more pairs may still show a gain: the same call goes on with them."""


def confirmation_of(
    found: Sequence[Comparison], weights: Mapping[str, float], smallest_effect: float, planned: int
) -> Confirmation:
    """Return what the pairs say; with fewer than `planned` of them, one that may yet be a gain is not given up."""
    overall = weigh(found, weights)
    deciding = [each for each in found if each.decides]
    slower = [each.scenario for each in deciding if each.verdict == "slower"]
    failure = next((each.failure for each in found if each.failure), None)
    if failure is not None:
        return Confirmation(overall, f"together they do not build: {failure}")
    if slower:
        return Confirmation(overall, f"together they are slower in {', '.join(slower)}")
    if overall is None:
        return Confirmation(
            overall, "the time was up before the confirmation was done: the same call goes on with it", unfinished=True
        )
    if gains(overall, found, 1 - smallest_effect):
        return Confirmation(overall, None)
    words = f"{overall.ratio:.2f} [{overall.low:.2f}, {overall.high:.2f}]"
    pairs = min((each.pairs for each in deciding if each.verdict == "unresolved"), default=MOST_PAIRS)
    hoped = overall.low if pairs < planned else overall.ratio
    if pairs < MOST_PAIRS and hoped <= 1 - smallest_effect:
        more = min(MOST_PAIRS - pairs, _more_pairs(overall, pairs, smallest_effect))
        why = f"not decided by {pairs} pairs, {words}: the same call goes on, about {more} more may tell"
        return Confirmation(overall, why, unfinished=True)
    return Confirmation(overall, f"the confirmation shows no gain beyond {100 * smallest_effect:.0f} %: {words}")


def _more_pairs(overall: Found, pairs: int, smallest_effect: float) -> int:
    """Estimate the further pairs: the interval shrinks with the square root of their number."""
    width = math.log(overall.high / overall.low) / 2
    effect = max(-math.log(overall.ratio), -math.log1p(-smallest_effect))
    return max(1, math.ceil(pairs * (width / effect) ** 2) - pairs)
