"""`restore`: in a fresh checkout, give each unchanged input the time that it had, so that Cargo finds fresh what is fresh.

Nothing here makes an input look older than it certainly is, and what is doubtful is built again. The order of the writes
holds that at every moment: units are invalidated and changed inputs touched first, then the manifest is taken away, then
times are put back. A process that is killed in between leaves a build that takes longer.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from buildopt.cache.freshness.inventory import Inventory, take_inventory
from buildopt.cache.freshness.manifest import (
    CONSUMED,
    MANIFEST,
    PROCESSOR,
    RECEIPT,
    Manifest,
    Unusable,
    read_manifest,
    write_receipt,
)
from buildopt.cache.freshness.outside import UNKNOWN, look_at
from buildopt.cache.freshness.place import Place, built_files, clock_of
from buildopt.cache.freshness.units import Unit, find_stamps, find_units, traces_of
from buildopt.cache.freshness.verdict import compare, compare_built, unseen_by_cargo
from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.host.trees import Status, status_of

__all__ = ["Restored", "restore"]


class Restored(NamedTuple):
    """What was found and done. Inputs are files and symlinks."""

    why: str | None
    """Why the cache could not be used; None when it was."""
    unchanged: int = 0
    changed: int = 0
    new: int = 0
    removed: int = 0
    invalidated_units: int = 0


def restore(host: Host, place: Place) -> Restored:
    """Make the build directory good for the sources as they are now; where that cannot be, Cargo rebuilds all of them.

    Raises MachineRefused when a file can be neither read nor stamped; the workspace is rebuilt then.
    """
    files = built_files(place.build)
    if not any(find_stamps(files)):
        _forget(host, place)
        return Restored("there is no build in it yet")
    now = clock_of(host, place.build)
    try:
        manifest = read_manifest(host, place.build)
        _check(manifest, place, now)
    except Unusable as reason:
        return _rebuild_all(host, place, files, str(reason))
    try:
        return _use(host, place, manifest, files)
    except MachineRefused:
        _rebuild_all(host, place, files, "")
        raise


def _check(manifest: Manifest, place: Place, now: int) -> None:
    for name, value in place.identity.items():
        if manifest.identity.get(name) != value:
            raise Unusable(f"it was saved with another {name}")
    if PROCESSOR in manifest.identity and not place.processor == manifest.identity[PROCESSOR] != "":
        raise Unusable("it was built for the processor of another machine (target-cpu=native)")
    latest = max((each.mtime_ns for table in (manifest.inputs, manifest.built) for each in table.values()), default=0)
    if latest >= now:
        raise Unusable("it was saved by a clock that is ahead of the one here")


def _use(host: Host, place: Place, manifest: Manifest, files: Mapping[str, Status]) -> Restored:
    top = os.fspath(place.build)
    inventory = take_inventory(host, place.trees, place.never)
    compared = compare(manifest, inventory)
    damage = compare_built(host, place, manifest, files)
    there = set(find_stamps(files))
    stale = manifest.doubtful | damage.stamps | unseen_by_cargo(place, manifest, inventory, compared)
    stale_outside, receipt = _compare_outside(host, place, manifest)
    stale |= stale_outside
    if compared.rewired:
        stale |= {unit.stamp for unit in find_units(host, top, files) if _passes(place, unit, compared.rewired)}
    stale &= there
    _invalidate(host, place, files, stale)
    expected = {path: found.status for path, found in inventory.inputs.items() if path in compared.same}
    if damage.younger:
        expected = _touch_all(host, inventory, expected)
    for path in (*compared.changed, *compared.new, *(inventory.skipped - manifest.skipped)):
        host.files.touch(path)
    _forget(host, place)
    for path, mtime in damage.heal.items():
        host.files.set_mtime(f"{top}{os.sep}{path}", mtime)
    receipt |= _pin(host, expected, compared.same)
    write_receipt(host, place.build, receipt)
    counts = {
        name: sum(table[path].kind != "folder" for path in paths)
        for name, paths, table in (
            ("unchanged", compared.same, inventory.inputs),
            ("changed", compared.changed, inventory.inputs),
            ("new", compared.new, inventory.inputs),
            ("removed", compared.removed, manifest.inputs),
        )
    }
    return Restored(None, **counts, invalidated_units=len(stale))


def _touch_all(host: Host, inventory: Inventory, expected: Mapping[str, Status]) -> dict[str, Status]:
    """Touch every input, for what was built looks newer than it is; return the status of those that were as expected."""
    after: dict[str, Status] = {}
    for path in inventory.inputs:
        found = status_of(path)
        host.files.touch(path)
        touched = status_of(path)
        if found is not None and found == expected.get(path) and touched is not None:
            after[path] = touched
    return after


def _pin(host: Host, expected: Mapping[str, Status], times: Mapping[str, int]) -> dict[str, tuple[int, int, int]]:
    """Put back the times of inputs that are still as expected, directories last; return the receipt.

    What has changed meanwhile, and what is on a file system that does not keep the time as given, is touched.
    """
    pinned: dict[str, tuple[int, int, int]] = {}
    for path in sorted(expected, key=lambda path: expected[path].kind == "folder"):
        found = status_of(path)
        if found == expected[path] and found is not None:
            if found.mtime_ns != times[path]:
                host.files.set_mtime(path, times[path])
                found = status_of(path)
            if found is not None and found.mtime_ns == times[path]:
                pinned[path] = (found.mtime_ns, found.ctime_ns, found.inode)
                continue
        host.files.touch(path)
    return pinned


def _rebuild_all(host: Host, place: Place, files: Mapping[str, Status], why: str) -> Restored:
    """Invalidate every unit of the workspace, and what has read files that nobody vouches for; touch all inputs."""
    top = os.fspath(place.build)
    stale = {
        unit.stamp
        for unit in find_units(host, top, files)
        if unit.opaque or unit.local or unit.package in place.homes or any(map(os.path.isabs, unit.reads))
    }
    _invalidate(host, place, files, stale)
    _forget(host, place)
    inventory = take_inventory(host, place.trees, place.never)
    for path in (*inventory.inputs, *inventory.skipped):
        host.files.touch(path)
    counted = sum(found.kind != "folder" for found in inventory.inputs.values())
    return Restored(why, changed=counted, invalidated_units=len(stale))


def _invalidate(host: Host, place: Place, files: Iterable[str], stamps: Iterable[str]) -> None:
    for path in traces_of(stamps, files):
        host.files.remove(place.build / path)


def _forget(host: Host, place: Place) -> None:
    """Take the manifest away: after the next edit and build it would be wrong."""
    if host.files.stamp(place.build / MANIFEST) is not None:
        host.files.replace(place.build / MANIFEST, place.build / CONSUMED)
    host.files.remove(place.build / RECEIPT)
    with contextlib.suppress(MachineRefused):  # under that name, nobody reads it
        host.files.remove(place.build / CONSUMED)


def _compare_outside(host: Host, place: Place, manifest: Manifest) -> tuple[set[str], dict[str, tuple[int, int, int]]]:
    """Return the stamps of units that have read something outside that is other now, and the receipt for all that is not."""
    stale: set[str] = set()
    receipt: dict[str, tuple[int, int, int]] = {}
    for path, outside in manifest.outside.items():
        found = look_at(host, path, place.never)
        if found.content != outside.content or found.content == UNKNOWN:
            stale.update(outside.stamps)
        else:
            receipt |= {each: (s.mtime_ns, s.ctime_ns, s.inode) for each, s in found.statuses.items()}
    return stale, receipt


def _passes(place: Place, unit: Unit, rewired: frozenset[str]) -> bool:
    """Return whether anything that a unit has read lies at or below one of the paths `rewired`."""
    ways = {
        way
        for read in unit.reads
        for path in place.paths_of(unit.package, read)
        for way in (path, os.path.normpath(path))
    }
    below = tuple(f"{path}{os.sep}" for path in rewired)
    return any(way in rewired or way.startswith(below) for way in ways)
