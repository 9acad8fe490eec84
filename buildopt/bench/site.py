"""One copy of the workspace, and what is done to its files: edits and switches, each taken back."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from buildopt.bench.edits import Place, body_places, edited, signature_place
from buildopt.bench.revision import Switch
from buildopt.bench.scenarios import source_of
from buildopt.bench.tree import Tree
from buildopt.cargo.model import Package, Workspace
from buildopt.errors import UnsafePath
from buildopt.host import Host
from buildopt.host.files import inside

__all__ = ["SWITCHED", "Site", "Spot"]

SWITCHED = "a switch of the branch"
"""The mark of the files of a branch, beside those that edits leave."""

_CLOCK_SECONDS = 0.5  # two clocks never go quite alike
_OTHERS = frozenset(("bin", "tests", "benches", "examples"))
"""Folders of other targets."""
_PLACES_A_FILE = 3
_PLACES = 12


class Spot(NamedTuple):
    """Where a package is edited."""

    path: Path
    place: Place


class Site:
    """A copy of the workspace. `marks` counts the changes of each file: Cargo rebuilds after every one of them."""

    def __init__(self, host: Host, tree: Tree, workspace: Workspace) -> None:
        self.tree = tree
        self.workspace = workspace
        self.marks: dict[str, int] = {}
        self._host = host
        self._counter = itertools.count(1)
        self._looked = host.monotonic()
        self._latest = host.now()
        """What the clock would say by now if nobody had set it back."""

    def spots(self, package: Package, kind: Literal["body", "signature"], *, binary: bool) -> Iterator[Spot]:
        """Yield where the package may be edited, best first; whether the compiler takes it there, a build has to say.

        A body is looked for in the file that the target begins with, then in those beside it; where there is none, one
        more public function is the edit.
        """
        first = source_of(package, binary=binary)
        if kind == "body":
            spots = (
                Spot(path, place)
                for path in self._sources(package, first)
                for place in body_places(self._text(path))[:_PLACES_A_FILE]
            )
            yield from itertools.islice(spots, _PLACES)
        yield Spot(first, signature_place(self._text(first)))

    @contextmanager
    def edit(self, spot: Spot, number: int, lines: int) -> Iterator[None]:
        """Have the edit `number` in the file for the length of a with block; then the file has its own bytes again.

        Raises UnsafePath for a file that a symlink puts outside of the copy: it may be the user's own.
        """
        path = self._real(spot.path)
        original = self._host.files.read(path) or b""
        text = edited(original.decode(), spot.place, number, lines)
        mode = self._host.files.mode(path) or 0o644
        try:
            self._host.files.write(path, text.encode(), mode, flush=False)
            self._stamp(path)
            self._mark(str(path))
            yield
        finally:
            self._host.files.write(path, original, mode, flush=False)
            self._stamp(path)
            self._mark(str(path))

    def apply(self, changes: Sequence[Switch], *, there: bool) -> None:
        """Write the files of one side of a switch."""
        for change in changes:
            path = inside(self.tree.top, change.path)
            side = change.there if there else change.here
            if side is None:
                self._host.files.remove(path)
            else:
                self._host.files.make_directory(path.parent)
                self._host.files.write(path, *side, flush=False)
                self._stamp(path)
        self._mark(SWITCHED)

    def _sources(self, package: Package, first: Path) -> Iterator[Path]:
        """Yield the file that a target begins with, then those beside and below it that are of no other target."""
        yield first
        others = {Path(target.src_path) for target in package.targets}
        for path in sorted(first.parent.rglob("*.rs")):
            if path not in others and not _OTHERS.intersection(path.relative_to(first.parent).parts):
                yield path

    def _text(self, path: Path) -> str:
        try:
            return (self._host.files.read(self._real(path)) or b"").decode()
        except (UnicodeDecodeError, UnsafePath):
            return ""

    def _real(self, path: Path) -> Path:
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self.tree.top):
            raise UnsafePath(f"{path} leads out of the copy, to {real}")
        return real

    def _stamp(self, path: Path) -> None:
        """Let a file be newer than every build before it, also where the clock was set back: Cargo goes by that alone."""
        now, looked = self._host.now(), self._host.monotonic()
        self._latest = max(now, self._latest + looked - self._looked)
        self._looked = looked
        if now < self._latest - _CLOCK_SECONDS:
            self._host.files.set_mtime(path, int(self._latest * 1e9))

    def _mark(self, name: str) -> None:
        self.marks[name] = next(self._counter)
