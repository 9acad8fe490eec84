"""Files that change as fast as stages start. Pure.

An editor that saves with every key, or a build that writes another text into its own sources each time, would start and end
stages without a pause. What is stale is ended all the same; only the next start waits a little.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Restless"]

_TIMES = 10
_QUIET_SECONDS = 0.5
_FAST_SECONDS = 0.35  # between two edits: less is no person
_CALM_SECONDS = 2.0  # as long as that it does not go on; between the two, the machine may have been slow


class Restless:
    """Counts how often in a row, and fast, the same files were edited while a stage ran, or had just ended."""

    def __init__(self) -> None:
        self._paths: frozenset[str] = frozenset()
        self._times = 0
        self._last = 0.0

    def edited(self, paths: Iterable[str], now: float, *, at_work: bool) -> bool:
        """Note an edit at `now` (seconds); return whether this is the time to say that it goes on and on."""
        paths = frozenset(paths)
        before, since = self._times, now - self._last
        if not at_work:
            self._times = 0
        elif paths != self._paths or since >= _CALM_SECONDS + self.quiet_seconds:
            self._times = 1
        elif since < _FAST_SECONDS + self.quiet_seconds:
            self._times += 1
        self._paths, self._last = paths, now
        return before < self._times == _TIMES

    @property
    def quiet_seconds(self) -> float:
        """Return how long no edit may have come before the next stage starts."""
        return _QUIET_SECONDS if self._times >= _TIMES else 0.0
