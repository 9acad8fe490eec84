"""Files that units have read and that are not among the inputs: outside of the source trees, or behind a symlink."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from buildopt.cache.freshness.inventory import Inventory
from buildopt.cache.freshness.place import Place
from buildopt.host import Host
from buildopt.host.files import digest
from buildopt.host.trees import Status, digests, status_of

__all__ = ["UNKNOWN", "Finder", "Found", "look_at"]

UNKNOWN = "unknown"
"""The description of what is too much to look at, or cannot be read: it never counts as unchanged."""
_MOST_FILES = 5000
_MOST_LINKS = 40


class Found(NamedTuple):
    """What is at a path."""

    content: str
    """One line, which is another one when there is other content, or the path leads elsewhere."""
    statuses: Mapping[str, Status]
    """All that this depends on, by path: symlinks on the way, and what is at its end."""


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


def look_at(host: Host, path: str, never: Iterable[str]) -> Found:
    """Return what is at `path`; a directory with one of `never` in it, or with symlinks, is too much to look at."""
    statuses, real = _way(path)
    status = status_of(real)
    if status is None:
        return Found(f"nothing at {real}", statuses)
    statuses[real] = status
    if status.kind in ("file", "program"):
        found = digests({real: status}, 1).get(real)
        return Found(f"{status.kind} {found} at {real}" if found else UNKNOWN, statuses)
    if status.kind == "folder":
        return _look_into(host, real, frozenset(never), statuses)
    return Found(UNKNOWN, statuses)


def _way(path: str) -> tuple[dict[str, Status], str]:
    """Return the symlinks on the way to `path`, and where it leads; as far as that goes."""
    links: dict[str, Status] = {}
    here = os.sep
    ahead = [part for part in reversed(path.split(os.sep)) if part not in ("", ".")]
    followed = 0
    while ahead:
        part = ahead.pop()
        if part == "..":
            here = os.path.dirname(here)
            continue
        here = os.path.join(here, part)
        status = status_of(here)
        if status is not None and status.kind == "link":
            links[here] = status
            followed += 1
            if followed > _MOST_LINKS:
                return links, here
            target = os.readlink(here)
            here = os.sep if os.path.isabs(target) else os.path.dirname(here)
            ahead += [part for part in reversed(target.split(os.sep)) if part not in ("", ".")]
    return links, here


def _look_into(host: Host, top: str, never: frozenset[str], statuses: dict[str, Status]) -> Found:
    lines: list[str] = [f"at {top}"]
    files: dict[str, Status] = {}
    seen = 0
    for directory, folders, names in os.walk(top):
        seen += len(folders) + len(names)
        if directory in never or os.path.basename(directory) == ".git" or seen > _MOST_FILES:
            return Found(UNKNOWN, statuses)
        for name in (*folders, *names):
            path = os.path.join(directory, name)
            status = status_of(path)
            if status is None or status.kind in ("link", "other"):
                return Found(UNKNOWN, statuses)
            statuses[path] = status
            lines.append(f"{status.kind} {path}")
            if status.kind != "folder":
                files[path] = status
    found = digests(files, host.cores)
    if len(found) != len(files):
        return Found(UNKNOWN, statuses)
    lines += [f"{found[path]} {path}" for path in files]
    return Found("folder " + digest("\0".join(sorted(lines)).encode(errors="surrogateescape")), statuses)
