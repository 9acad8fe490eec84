"""Files that change faster than a stage takes. Pure.

An editor that saves with every key must not keep the stages from ever ending; a build that writes into its own sources must not
start itself again and again.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Restless"]

_CANCELS = 5
_TIMES = 3


class Restless:
    """Counts how often edits came while a stage ran."""

    def __init__(self) -> None:
        self._cancels = 0
        self._same: frozenset[str] = frozenset()
        self._times = 0
        self._muted: set[str] = set()

    def cancelled(self) -> None:
        """Note that an edit ended a stage."""
        self._cancels += 1

    def lets_finish(self) -> bool:
        """Return whether the running stage goes on in spite of an edit: too many were ended before, one after the other."""
        return self._cancels >= _CANCELS

    def finished(self, meanwhile: Iterable[str]) -> tuple[str, ...]:
        """Note the end of a stage and what changed while it ran; return the paths that from now on start nothing.

        These are files that changed during three stages in a row: the build writes them.
        """
        self._cancels = 0
        paths = frozenset(meanwhile) - self._muted
        self._times = self._times + 1 if paths and paths == self._same else min(len(paths), 1)
        self._same = paths
        if self._times < _TIMES:
            return ()
        self._muted |= paths
        return tuple(sorted(paths))

    def starts_nothing(self, path: str) -> bool:
        """Return whether `path` is a file that the build writes."""
        return path in self._muted

    def touched_at_rest(self, paths: Iterable[str]) -> None:
        """Note edits that came while nothing ran: these are a person's."""
        self._muted.difference_update(paths)
        self._times = 0
