"""`save`: write down what the inputs are now, and when each was certainly so, beside what was built from them."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from buildopt.cache.freshness.inventory import Input, Inventory, take_inventory
from buildopt.cache.freshness.manifest import (
    MANIFEST,
    PROCESSOR,
    Built,
    Known,
    Manifest,
    Outside,
    read_receipt,
    write_manifest,
)
from buildopt.cache.freshness.outside import Finder, describe
from buildopt.cache.freshness.packages import Owners
from buildopt.cache.freshness.place import Place, built_files, clock_of, mends_itself
from buildopt.cache.freshness.units import Unit, find_units
from buildopt.host import Host
from buildopt.host.trees import Status, digests

__all__ = ["Saved", "save"]


class Saved(NamedTuple):
    """What was written down."""

    inputs: int
    """Files and symlinks, whatever is known of them."""
    unsure: int
    """Those of which it cannot be told when they got their content: they count as changed later."""
    units: int
    doubtful_units: int
    """Those that are built again, because they may have read something else than what is there."""


def save(host: Host, place: Place) -> Saved:
    """Write the manifest into the build directory.

    Raises MachineRefused when that cannot be written; no manifest is left then, and the next `restore` rebuilds all.
    """
    host.files.remove(place.build / MANIFEST)
    now = clock_of(host, place.build)
    files = built_files(place.build)
    units = list(find_units(host, os.fspath(place.build), files))
    inventory = take_inventory(host, place.trees, place.never)
    references = sorted({files[path].mtime_ns for unit in units for path in unit.references if path in files})
    receipt = read_receipt(host, place.build)
    known = {
        path: mtime
        for path, found in inventory.inputs.items()
        if (mtime := _certain_since(path, found, references, receipt, now)) is not None
    }
    outside, read = _sort_reads(place, inventory, units)
    described = describe(host, outside, place.never)
    doubtful = {unit.stamp for unit in units if _is_doubtful(place, unit, files, now)}
    doubtful |= _blind(place, inventory, known, units, files)
    write_manifest(
        host,
        place.build,
        Manifest(
            identity={**place.identity, **({PROCESSOR: place.processor} if any(u.native for u in units) else {})},
            inputs={
                path: Known(inventory.inputs[path].kind, inventory.inputs[path].digest or "", mtime, path in read)
                for path, mtime in known.items()
            },
            skipped=inventory.skipped,
            built=_digest_built(host, place, files),
            doubtful=frozenset(doubtful),
            whole=frozenset(unit.stamp for unit in units if unit.whole),
            outside={path: Outside(described[path], tuple(sorted(stamps))) for path, stamps in outside.items()},
        ),
    )
    counted = [path for path, found in inventory.inputs.items() if found.kind != "folder"]
    return Saved(len(counted), sum(path not in known for path in counted), len(units), len(doubtful))


def _certain_since(
    path: str, found: Input, references: list[int], receipt: Mapping[str, tuple[int, int, int]], now: int
) -> int | None:
    """Return since when an input certainly has the content that it has; None when that is not known.

    The mtime says it, unless something was moved or copied here with an old mtime: then the ctime, which nobody can set,
    is newer. That matters where a unit was built in between. Our own `restore` sets mtimes too: those are in the receipt.
    """
    mtime, ctime = found.status.mtime_ns, found.status.ctime_ns
    if found.digest is None or found.kind == "other" or not 0 <= mtime <= now:
        return None
    if ctime <= mtime or receipt.get(path) == (mtime, ctime, found.status.inode):
        return mtime
    between = bisect_left(references, mtime)
    if between < len(references) and references[between] <= ctime:
        return ctime + 1 if ctime <= now else None
    return mtime


def _sort_reads(place: Place, inventory: Inventory, units: Iterable[Unit]) -> tuple[dict[str, set[str]], set[str]]:
    """Return the paths outside of the inventory that units have read, each with their stamps, and the inputs that they have."""
    finder = Finder(place, inventory)
    outside: defaultdict[str, set[str]] = defaultdict(set)
    inputs: set[str] = set()
    found: dict[str, str | None] = {}
    for unit in units:
        for name in unit.reads:
            for path in place.paths_of(unit.package, name):
                if path not in found:
                    found[path] = finder.find(path)
                where = found[path]
                if where is None:
                    outside[path].add(unit.stamp)
                elif where:
                    inputs.add(where)
    return outside, inputs


def _is_doubtful(place: Place, unit: Unit, files: Mapping[str, Status], now: int) -> bool:
    if unit.opaque or (unit.local and unit.package not in place.homes):
        return True
    return any(path not in files or files[path].mtime_ns > now for path in unit.references)


def _blind(
    place: Place, inventory: Inventory, known: Mapping[str, int], units: Iterable[Unit], files: Mapping[str, Status]
) -> set[str]:
    """Return the stamps of units for which Cargo looks at the newest file of a package only, where another one may be gone.

    A file that is removed, or one with an old mtime that comes, leaves its trace in the directory.
    """
    owners = Owners(place, (inventory.inputs,))
    newest: dict[str, int] = {}
    for path, found in inventory.inputs.items():
        if found.kind == "folder":
            for package in owners.of(path):
                newest[package] = max(newest.get(package, 0), known.get(path, found.status.ctime_ns))
    return {
        unit.stamp
        for unit in units
        if unit.whole and newest.get(unit.package, 0) > files[f"{unit.stamp}.json"].mtime_ns
    }


def _digest_built(host: Host, place: Place, files: Mapping[str, Status]) -> dict[str, Built]:
    """Return what is in the build directory; a file with several names is read once."""
    top = os.fspath(place.build)
    kept = {path: status for path, status in files.items() if status.kind != "other" and not mends_itself(path)}
    one_name = {status.inode: path for path, status in kept.items() if status.kind != "link"}
    found = digests({f"{top}{os.sep}{path}": kept[path] for path in one_name.values()}, host.cores)
    return {
        path: Built(status.size, status.mtime_ns, found.get(f"{top}{os.sep}{one_name[status.inode]}", ""))
        if status.kind != "link"
        else Built(status.size, status.mtime_ns, "link")
        for path, status in kept.items()
    }
