"""What a check finds."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Fault"]


class Fault(NamedTuple):
    """One thing that is wrong: its key, what is wrong, what to do."""

    path: tuple[str, ...]
    message: str
    hint: str | None = None
    absent: bool = False
    """Whether something is not there, which a file that could not be read may have."""
