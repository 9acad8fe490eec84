"""Which package a file belongs to, as Cargo sees it: the one with the nearest manifest above."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Container, Iterable

from buildopt.cache.freshness.place import Place

__all__ = ["Owners"]


class Owners:
    """Says whose a path is, by one or more lists of what is there: before and after, a package may have come or gone."""

    def __init__(self, place: Place, lists: Iterable[Container[str]]) -> None:
        self._lists = tuple(lists)
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        for name, homes in place.homes.items():
            for home in homes:
                self._names[home].add(name)
        self._tops = frozenset(place.trees)
        self._found: dict[str, frozenset[str]] = {}

    def of(self, path: str) -> frozenset[str]:
        """Return the names of the packages that a directory, or the directory of a file, belongs to."""
        return frozenset().union(*(self._of(path, listed) for listed in self._lists))

    def _of(self, path: str, listed: Container[str]) -> frozenset[str]:
        while True:
            if os.path.join(path, "Cargo.toml") in listed:
                return frozenset(self._names.get(path, ()))
            parent = os.path.dirname(path)
            if path in self._tops or parent == path:
                return frozenset()
            path = parent
