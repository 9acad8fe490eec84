"""What cannot be vouched for when a cache is saved: inputs of unknown age, and units that may have read something else."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from buildopt.cache.freshness.inventory import Inventory
from buildopt.cache.freshness.outside import Found
from buildopt.cache.freshness.packages import Owners
from buildopt.cache.freshness.place import Place
from buildopt.cache.freshness.units import Unit
from buildopt.cache.freshness.untold import Read, may_read, reads_of
from buildopt.host.trees import Status

__all__ = ["Doubt", "Receipt"]

Receipt = Mapping[str, tuple[int, int, int]]
"""By path, the mtime, ctime and inode of what `restore` has given its time."""


class Doubt:
    """Judges inputs and units, with the build directory, the receipt of the last restore and the clock of the file system."""

    def __init__(
        self, place: Place, inventory: Inventory, files: Mapping[str, Status], receipt: Receipt, now: int
    ) -> None:
        self._place = place
        self._inventory = inventory
        self._files = files
        self._receipt = receipt
        self._now = now
        self._owners = Owners(place, (inventory.inputs,))

    def certain(self, units: Iterable[Unit]) -> dict[str, int]:
        """Return since when each input certainly has the content that it has; what is of unknown age is left out."""
        references = sorted(
            {self._files[path].mtime_ns for unit in units for path in unit.references if path in self._files}
        )
        found = {}
        for path, each in self._inventory.inputs.items():
            since = (
                None
                if each.digest is None or each.kind == "other"
                else self._certain_since(path, each.status, references)
            )
            if since is not None:
                found[path] = since
        return found

    def _certain_since(self, path: str, status: Status, references: list[int]) -> int | None:
        """Say it by the mtime, unless something was moved or copied here with an old one.

        Then the ctime, which nobody can set, is newer. That matters where a unit was built in between. Our own `restore`
        sets mtimes too: those are in the receipt.
        """
        mtime, ctime = status.mtime_ns, status.ctime_ns
        if not 0 <= mtime <= self._now:
            return None
        if ctime <= mtime or self._is_ours(path, status):
            return mtime
        between = bisect_left(references, mtime)
        if between < len(references) and references[between] <= ctime:
            return ctime + 1 if ctime <= self._now else None
        return mtime

    def _is_ours(self, path: str, status: Status) -> bool:
        return self._receipt.get(path) == (status.mtime_ns, status.ctime_ns, status.inode)

    def _since(self, path: str, status: Status, certain: Mapping[str, int]) -> int:
        if path in certain:
            return certain[path]
        return status.mtime_ns if self._is_ours(path, status) else max(status.mtime_ns, status.ctime_ns)

    def units(
        self,
        units: Iterable[Unit],
        certain: Mapping[str, int],
        read: set[str],
        outside: Mapping[str, tuple[Found, set[str]]],
    ) -> set[str]:
        """Return the stamps of doubtful units; `read` are the inputs that any says it has read, `outside` what is none."""
        dated = _Dated(*self._dates(certain, read))
        doubtful: set[str] = set()
        built: dict[str, int] = {}
        for unit in units:
            times = [self._files[path].mtime_ns for path in unit.references if path in self._files]
            built[unit.stamp] = min(times, default=0)
            unknown = unit.opaque or (unit.local and unit.package not in self._place.homes)
            if (
                unknown
                or len(times) < len(unit.references)
                or max(times, default=0) > self._now
                or dated.after(unit, built[unit.stamp])
            ):
                doubtful.add(unit.stamp)
        for found, stamps in outside.values():
            since = max((self._since(path, status, certain) for path, status in found.statuses.items()), default=0)
            doubtful |= {stamp for stamp in stamps if since > built[stamp]}
        return doubtful

    def _dates(self, certain: Mapping[str, int], read: set[str]) -> tuple[dict[str, int], dict[Read, int]]:
        """Return when last something came or went in each package, and when last something changed that is read without a word."""
        moved: dict[str, int] = {}
        untold: dict[Read, int] = {}
        linked: set[str] = set()
        for path, each in self._inventory.inputs.items():
            since = self._since(path, each.status, certain)
            folder = each.kind == "folder"
            for package in (
                self._owners.of(path if folder else os.path.dirname(path)) if folder or each.kind == "link" else ()
            ):
                if folder:
                    moved[package] = max(moved.get(package, 0), since)
                else:
                    linked.add(package)
            if path not in read:
                for who in reads_of(self._owners, path, each.kind, came_or_went=folder):
                    untold[who] = max(untold.get(who, 0), since)
        anywhere = max(moved.values(), default=0)
        return moved | dict.fromkeys(linked, anywhere), untold


class _Dated(NamedTuple):
    moved: Mapping[str, int]
    untold: Mapping[Read, int]

    def after(self, unit: Unit, built: int) -> bool:
        """Return whether something changed after a unit was built that Cargo would not see.

        Of a package, Cargo may only know the newest file; what is removed, or comes with an old mtime, leaves its trace in the
        directory. And a macro may have read what no unit tells.
        """
        if unit.whole:
            return self.moved.get(unit.package, 0) > built
        return unit.local and any(self.untold.get(read, 0) > built for read in may_read(unit.stamp, unit.package))
