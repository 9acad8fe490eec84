"""Which content of which package has passed which stage. Pure.

The content of a package is told by the files that differ from the start of the watch and reach it. A file that is put back
differs no more, so an undo leads to a content that is known, whatever the graph looked like in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

from buildopt.cargo.affected import Reached
from buildopt.watch.tree import Edit

__all__ = ["Contents", "Ledger"]

_WORKSPACE = "*"


Contents = Mapping[str, int]
"""By package id, what tells its content; comparable within one ledger."""


class Ledger:
    """The differing files, and what has passed."""

    def __init__(self, packages: Iterable[str], reach: Callable[[str], Reached]) -> None:
        self._first: dict[str, str | None] = {}
        self._now: dict[str, str | None] = {}
        self._passed: set[tuple[str, str, int]] = set()
        self.use(packages, reach)

    def use(self, packages: Iterable[str], reach: Callable[[str], Reached]) -> None:
        """Take a new graph: `packages` are the ids of the members, `reach` says what a file affects."""
        self._packages = tuple(packages)
        self._reach = reach
        self._all = 0
        self._own: dict[str, int] = dict.fromkeys((*self._packages, _WORKSPACE), 0)
        for path in self._differing():
            self._toggle(path, self._now[path])

    def take(self, edits: Iterable[Edit]) -> frozenset[str]:
        """Note edits and return the ids of the members that they affect."""
        affected: set[str] = set()
        for edit in edits:
            known = edit.path in self._first
            before = self._now[edit.path] if known else edit.before
            self._first.setdefault(edit.path, edit.before)
            if known and before != self._first[edit.path]:
                self._toggle(edit.path, before)
            self._now[edit.path] = edit.after
            if edit.after != self._first[edit.path]:
                self._toggle(edit.path, edit.after)
            reached = self._reach(edit.path)
            affected.update(reached.packages if reached.everything is None else self._packages)
        return frozenset(affected.intersection(self._packages))

    def contents(self, packages: Iterable[str] | None = None) -> Contents:
        """Return the contents of `packages` as they are now; of the workspace as a whole when absent."""
        return {each: self._all ^ self._own[each] for each in ((_WORKSPACE,) if packages is None else packages)}

    def pending(self, stage: str, *, whole: bool) -> tuple[str, ...]:
        """Return the members whose content has not passed `stage`; for a `whole` stage these are all or none."""
        if whole:
            return () if self._has_passed(stage, _WORKSPACE) else self._packages
        return tuple(each for each in self._packages if not self._has_passed(stage, each))

    def passed(self, stage: str, contents: Contents) -> None:
        """Note that `contents` has passed `stage`."""
        self._passed.update((stage, each, content) for each, content in contents.items())

    def retract(self, stage: str, contents: Contents) -> None:
        """Take back that `contents` has passed `stage`."""
        self._passed.difference_update((stage, each, content) for each, content in contents.items())

    def forget(self, stage: str, packages: Iterable[str]) -> None:
        """Let `packages`, as they are now, run `stage` again; a stage over the whole workspace too."""
        for each in (*packages, _WORKSPACE):
            self._passed.discard((stage, each, self._all ^ self._own[each]))

    def _has_passed(self, stage: str, package: str) -> bool:
        return (stage, package, self._all ^ self._own[package]) in self._passed

    def _differing(self) -> tuple[str, ...]:
        return tuple(path for path, now in self._now.items() if now != self._first[path])

    def _toggle(self, path: str, content: str | None) -> None:
        """Add a differing file to what it reaches, or take it out again: the sum of a set is order-free and its own inverse."""
        mark = _mark(path, content)
        reached = self._reach(path)
        if reached.everything is not None:
            self._all ^= mark
            return
        for package in reached.packages:
            if package in self._own:
                self._own[package] ^= mark
        if reached.packages:
            self._own[_WORKSPACE] ^= mark


def _mark(path: str, content: str | None) -> int:
    text = f"{path}\0{content if content is not None else ''}\0{content is None}".encode(errors="surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest())
