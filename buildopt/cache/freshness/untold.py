"""Files that a macro may have read without telling Cargo: `include_dir!`, embedded assets and migrations, saved queries.

Cargo's own freshness is blind to them. A build in a fresh checkout was not, because it built everything: so a file of a package
that no unit says it has read counts as read by all of the package, unless it is of a kind that nobody embeds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Literal, NamedTuple

from buildopt.cache.freshness.packages import Owners
from buildopt.cache.freshness.units import RUN

__all__ = ["Read", "may_read", "reads_of"]

_TESTS = frozenset({"tests", "benches", "examples"})
_TEST_STAMPS = ("test-", "bench-", "example-")
_TOOLS = frozenset({".cargo", ".config", ".github", ".gitlab", ".idea", ".vscode"})
_PROSE = (".md", ".lock", "Cargo.toml")
_PROSE_STARTS = (".", "LICENSE", "LICENCE", "COPYING", "UNLICENSE", "README", "CHANGELOG", "NOTICE", "AUTHORS")
_LITTER = (".profraw", ".profdata", ".snap.new", ".pending-snap", ".orig", ".rej", ".log", ".swp", "~")

_SHARED = frozenset({".sqlx", "migrations"})
"""Directories beside the packages that macros of any of them read; other files that belong to no package are read by none."""

Readers = Literal["all", "tests"]


class Read(NamedTuple):
    """One way in which something may have been read."""

    package: str
    by: Readers


def reads_of(owners: Owners, path: str, kind: str, *, came_or_went: bool) -> Iterator[Read]:
    """Yield who may have read the file, symlink or directory at `path` without a word.

    A source file that is only changed is read by those who say so; one that came or went may be one of those that a macro lists.
    """
    homes = owners.homes_of(path if kind == "folder" else os.path.dirname(path))
    if not homes and not _SHARED.isdisjoint(path.split(os.sep)):
        yield from (Read(package, "all") for package in owners.everyone)
    for home, package in homes:
        by = _readers(path[len(home) + 1 :], kind, came_or_went)
        if by is not None:
            yield Read(package, by)


def may_read(stamp: str, package: str) -> tuple[Read, ...]:
    """Return the ways in which a unit may have read something; none for the run of a build script, which declares it."""
    name = os.path.basename(stamp)
    if name.startswith(RUN):
        return ()
    every = Read(package, "all")
    return (every, Read(package, "tests")) if name.startswith(_TEST_STAMPS) else (every,)


def _readers(relative: str, kind: str, came_or_went: bool) -> Readers | None:
    parts = relative.split(os.sep)
    name = parts[-1]
    if not relative or parts[0] in _TOOLS or name.endswith(_LITTER):
        return None
    if len(parts) == 1 and kind != "folder" and (name.endswith(_PROSE) or name.startswith(_PROSE_STARTS)):
        return None
    if parts[0] in _TESTS:
        return None if name.endswith(".rs") or len(parts) == 1 else "tests"
    if parts[:2] == ["src", "bin"] or (name.endswith(".rs") and not came_or_went):
        return None
    return "all"
