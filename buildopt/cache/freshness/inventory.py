"""What can be an input of a build: every file, directory and symlink of the source trees, with a digest of its content."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from buildopt.host import Host
from buildopt.host.files import digest
from buildopt.host.trees import Kind, Status, digests, status_of, walk

__all__ = ["Input", "Inventory", "take_inventory"]

_NEVER = frozenset({".git", ".hg", ".jj", ".svn", ".buildopt", ".nox", "node_modules", "__pycache__"})
_MARKS = ("CACHEDIR.TAG", "pyvenv.cfg")
"""A directory with one of these is made by a tool, and made again by it."""


class Input(NamedTuple):
    """One file, directory or symlink."""

    kind: Kind
    digest: str | None
    """Of a file its content, of a directory the names and kinds in it, of a symlink where it leads; None where unknown."""
    status: Status


class Inventory:
    """All inputs, by absolute path, and the places that were passed over."""

    def __init__(self, inputs: Mapping[str, Input], skipped: Iterable[str]) -> None:
        self.inputs = inputs
        self.skipped = frozenset(skipped)
        links = (path for path, found in inputs.items() if found.kind in ("link", "other"))
        self._open = frozenset(above for path in (*self.skipped, *links) for above in _above(path, inputs))

    def knows(self, path: str) -> bool:
        """Return whether all that a build can read at `path` is among the inputs: nothing passed over, no symlink."""
        found = self.inputs.get(path)
        return found is not None and found.kind not in ("link", "other") and path not in self._open


def take_inventory(host: Host, trees: Iterable[str], never: Iterable[str]) -> Inventory:
    """Return what is in `trees` now, without the directories in `never` and those that tools make for themselves."""
    tops = tuple(trees)
    out = {*never}
    skipped: set[str] = set()

    def enter(directory: str, found: Mapping[str, Status]) -> Mapping[str, Status] | None:
        if directory not in tops and any(mark in found for mark in _MARKS):
            skipped.add(directory)
            return None
        gone = [name for name in found if name in _NEVER or (out and f"{directory}{os.sep}{name}" in out)]
        skipped.update(f"{directory}{os.sep}{name}" for name in gone)
        return {name: status for name, status in found.items() if name not in gone} if gone else found

    folders = {directory: found for top in tops for directory, found in walk(top, enter)}
    statuses = {
        f"{directory}{os.sep}{name}": status
        for directory, found in folders.items()
        for name, status in found.items()
        if status.kind != "folder"
    }
    contents = digests({path: each for path, each in statuses.items() if each.kind in ("file", "program")}, host.cores)
    inputs: dict[str, Input] = {}
    for path, status in statuses.items():
        inputs[path] = Input(status.kind, _link(path) if status.kind == "link" else contents.get(path), status)
    for directory, found in folders.items():
        itself = status_of(directory)
        if itself is not None:
            inputs[directory] = Input("folder", _names(directory, found, skipped), itself)
    return Inventory(inputs, skipped)


def _names(directory: str, found: Mapping[str, Status], skipped: set[str]) -> str:
    kept = (
        f"{'file' if status.kind == 'program' else status.kind} {name}"
        for name, status in found.items()
        if not (status.kind == "folder" and f"{directory}{os.sep}{name}" in skipped)
    )
    return digest("\0".join(sorted(kept)).encode(errors="surrogateescape"))


def _link(path: str) -> str | None:
    try:
        return digest(os.fsencode(os.readlink(path)))
    except OSError:
        return None


def _above(path: str, inputs: Mapping[str, Input]) -> Iterator[str]:
    parent = os.path.dirname(path)
    while parent in inputs:
        yield parent
        parent = os.path.dirname(parent)
