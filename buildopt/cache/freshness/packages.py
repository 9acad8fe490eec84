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
        self.everyone = tuple(place.homes)
        """The names of all packages."""
        self._tops = frozenset(place.trees)
        self._found: dict[str, frozenset[tuple[str, str]]] = {}

    def of(self, path: str) -> frozenset[str]:
        """Return the names of the packages that the directory `path` belongs to."""
        return frozenset(name for _, name in self.homes_of(path))

    def homes_of(self, path: str) -> frozenset[tuple[str, str]]:
        """Return the directories and names of the packages that the directory `path` belongs to."""
        if path not in self._found:
            homes = {self._home(path, listed) for listed in self._lists}
            self._found[path] = frozenset((home, name) for home in homes for name in self._names.get(home, ()))
        return self._found[path]

    def _home(self, path: str, listed: Container[str]) -> str:
        while f"{path}{os.sep}Cargo.toml" not in listed:
            parent = os.path.dirname(path)
            if path in self._tops or parent == path:
                return ""
            path = parent
        return path
