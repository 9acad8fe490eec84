"""`save`: write down what the inputs are now, and when each was certainly so, beside what was built from them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from buildopt.cache.freshness.doubt import Doubt
from buildopt.cache.freshness.inventory import Inventory, take_inventory
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
from buildopt.cache.freshness.outside import Finder, look_at
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
    doubt = Doubt(place, inventory, files, read_receipt(host, place.build), now)
    certain = doubt.certain(units)
    stamps, read = _sort_reads(place, inventory, units)
    outside = {path: (look_at(host, path, place.never), found) for path, found in stamps.items()}
    doubtful = doubt.units(units, certain, read, outside)
    write_manifest(
        host,
        place.build,
        Manifest(
            identity={**place.identity, **({PROCESSOR: place.processor} if any(u.native for u in units) else {})},
            commit=place.commit,
            inputs={
                path: Known(inventory.inputs[path].kind, inventory.inputs[path].digest or "", since, path in read)
                for path, since in certain.items()
            },
            skipped=inventory.skipped,
            built=_digest_built(host, place, files),
            doubtful=frozenset(doubtful),
            whole=frozenset(unit.stamp for unit in units if unit.whole),
            outside={path: Outside(found.content, tuple(sorted(by))) for path, (found, by) in outside.items()},
        ),
    )
    counted = [path for path, found in inventory.inputs.items() if found.kind != "folder"]
    return Saved(len(counted), sum(path not in certain for path in counted), len(units), len(doubtful))


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
    below = tuple(f"{path}{os.sep}" for path in inputs if inventory.inputs[path].kind == "folder")
    return outside, inputs | {path for path in inventory.inputs if below and path.startswith(below)}


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
