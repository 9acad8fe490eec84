"""Files that units have read and that are not among the inputs: outside of the source trees, or behind a symlink."""

from __future__ import annotations

import os
from collections.abc import Iterable

from buildopt.cache.freshness.inventory import Inventory
from buildopt.cache.freshness.place import Place
from buildopt.host import Host
from buildopt.host.files import digest
from buildopt.host.trees import digests, status_of

__all__ = ["UNKNOWN", "Finder", "describe"]

UNKNOWN = "unknown"
"""The description of what is too much to look at, or cannot be read: it never counts as unchanged."""
_MOST_FILES = 5000


class Finder:
    """Says of what units have read where it really is, and whether the inventory knows it."""

    def __init__(self, place: Place, inventory: Inventory) -> None:
        self._inventory = inventory
        self._fixed = tuple(os.path.join(path, "") for path in (*place.fixed, os.fspath(place.build)))
        self._real: dict[str, str] = {}

    def find(self, path: str) -> str | None:
        """Return the name of `path` among the inputs; None when it is outside, empty when it cannot change unseen."""
        plain = os.path.normpath(path)
        directory, name = os.path.split(plain)
        if directory not in self._real:
            self._real[directory] = os.path.realpath(directory)
        real = os.path.join(self._real[directory], name)
        if real.startswith(self._fixed):
            return ""
        if ".." in path and os.path.realpath(os.path.dirname(path)) != directory:
            return None
        return plain if real == plain and self._inventory.knows(plain) else None


def describe(host: Host, paths: Iterable[str], never: Iterable[str]) -> dict[str, str]:
    """Return, for each path, one line that is another one when what is there is other content."""
    places = frozenset(never)
    return {path: _describe(host, path, places) for path in paths}


def _describe(host: Host, path: str, never: frozenset[str]) -> str:
    real = os.path.realpath(path)
    status = status_of(real)
    if status is None:
        return f"nothing at {real}"
    if status.kind in ("file", "program"):
        found = digests({real: status}, 1).get(real)
        return f"{status.kind} {found} at {real}" if found else UNKNOWN
    if status.kind == "folder":
        return _describe_folder(host, real, never)
    return UNKNOWN


def _describe_folder(host: Host, top: str, never: frozenset[str]) -> str:
    lines: list[str] = [f"folder at {top}"]
    files = {}
    seen = 0
    for directory, folders, names in os.walk(top, followlinks=False):
        if directory in never or os.path.basename(directory) == ".git":
            return UNKNOWN
        seen += len(folders) + len(names)
        if seen > _MOST_FILES:
            return UNKNOWN
        for name in (*folders, *names):
            path = os.path.join(directory, name)
            status = status_of(path)
            if status is None or status.kind in ("link", "other"):
                return UNKNOWN
            if status.kind != "folder":
                files[path] = status
            lines.append(f"{status.kind} {path}")
    found = digests(files, host.cores)
    if len(found) != len(files):
        return UNKNOWN
    lines += [f"{found[path]} {path}" for path in files]
    return "folder " + digest("\0".join(sorted(lines)).encode(errors="surrogateescape"))
