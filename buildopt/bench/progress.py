"""What a long measurement tells while it goes on."""

from __future__ import annotations

from typing import NamedTuple

from buildopt.measure import plain_duration

__all__ = ["Progress", "about"]


class Progress(NamedTuple):
    """Where a measurement stands."""

    text: str
    """As `leaf/build: debug=0 against default, pair 4 of at most 20`."""
    seconds_left: float | None = None
    """About how long all of it still takes; None while nothing is known of that."""
    stays: bool = False
    """Whether it is a line to keep, as a verdict, and not only what is done right now."""


def about(seconds: float) -> str:
    """Return a duration as roughly as it is known: `about 40s`, `about 12m`, `about 1h20m`."""
    if seconds < 55:
        return f"about {max(5, 5 * round(seconds / 5))}s"
    minutes = round(seconds / 60)
    return f"about {plain_duration(60.0 * (minutes if minutes < 60 else 5 * round(minutes / 5)))}"
