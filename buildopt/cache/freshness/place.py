"""Where a build stands: its source trees, its build directory, and what in them tells one cache from another."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from buildopt.cache.freshness.units import hashes_in
from buildopt.host import Host
from buildopt.host.trees import Status, walk

__all__ = ["Place", "built_files", "clock_of", "mends_itself"]

_NOT_UNITS = frozenset({"doc", "tmp", "package"})


class Place(NamedTuple):
    """One work tree and what Cargo builds from it."""

    root: str
    trees: tuple[str, ...]
    """The workspace root, and the path dependencies outside of it; none inside another."""
    build: Path
    """Where Cargo keeps fingerprints: the target directory, unless `build.build-dir` says otherwise."""
    never: tuple[str, ...]
    """Directories that hold no inputs: target and build directory."""
    fixed: tuple[str, ...]
    """Directories whose content never changes under the same name: the unpacked packages of registries and of git."""
    homes: Mapping[str, tuple[str, ...]]
    """By name of a package on this disk, its directories."""
    identity: Mapping[str, str]
    """What has to be the same where the cache is used, by what people call it."""
    commit: str
    """The commit that is checked out; empty without git. Build scripts that declare nothing often ask for it."""
    processor: str
    """What the processor can do: that matters where code was built for the processor at hand. Empty when unknown."""

    def paths_of(self, package: str, read: str) -> Iterator[str]:
        """Yield where a file may be that a unit of `package` has read; a published package's own files are left out."""
        if os.path.isabs(read):
            yield read
        else:
            yield from (os.path.join(home, read) for home in self.homes.get(package, ()))


def built_files(build: Path) -> dict[str, Status]:
    """Return every file in the build directory but what incremental compilation keeps, by path relative to it."""
    top = os.fspath(build)

    def enter(directory: str, found: Mapping[str, Status]) -> Mapping[str, Status]:
        # The sessions of incremental compilation are checked by rustc, by content.
        out = {"incremental"} if ".cargo-lock" in found else _NOT_UNITS if directory == top else frozenset()
        return {name: status for name, status in found.items() if name not in out}

    start = len(top) + 1
    return {
        f"{directory}{os.sep}{name}"[start:]: status
        for directory, found in walk(top, enter)
        for name, status in found.items()
        if status.kind != "folder"
    }


def mends_itself(path: str) -> bool:
    """Return whether Cargo writes a file of the build directory again whatever is in it: all that belongs to no unit."""
    return not hashes_in(path) and os.path.basename(os.path.dirname(path)) != "deps"


def clock_of(host: Host, build: Path) -> int:
    """Return what the clock of the file system says that holds the build directory, in nanoseconds."""
    path = build / ".buildopt-clock"
    host.files.remove(path)
    host.files.write_new(path, b"", flush=False)
    try:
        stamp = host.files.stamp(path)
    finally:
        host.files.remove(path)
    return stamp[1] if stamp is not None else int(host.now() * 1e9)
