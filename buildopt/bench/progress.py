"""What a long measurement tells while it goes on."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Progress"]


class Progress(NamedTuple):
    """Where a measurement stands."""

    text: str
    """As `leaf/build: debug=0 against default, pair 4 of at most 20`."""
    seconds_left: float | None = None
    """About how long all of it still takes; None while nothing is known of that."""
    stays: bool = False
    """Whether it is a line to keep, as a verdict, and not only what is done right now."""
