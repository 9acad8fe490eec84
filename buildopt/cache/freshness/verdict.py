"""What a manifest says of a tree as it is now: which inputs are unchanged, and which units nobody can vouch for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from buildopt.cache.freshness.inventory import Inventory
from buildopt.cache.freshness.manifest import Manifest
from buildopt.cache.freshness.packages import Owners
from buildopt.cache.freshness.place import Place
from buildopt.cache.freshness.units import RUN, find_stamps, hashes_in, package_of
from buildopt.cache.freshness.untold import Read, may_read, reads_of
from buildopt.host import Host
from buildopt.host.trees import Status, digests

__all__ = ["Compared", "Damage", "compare", "compare_built", "unseen_by_cargo"]

_SECOND = 1_000_000_000


class Compared(NamedTuple):
    """The inputs, by path."""

    same: Mapping[str, int]
    """What has the content that it had, and since when it certainly had that."""
    changed: frozenset[str]
    new: frozenset[str]
    removed: frozenset[str]
    rewired: frozenset[str]
    """Of these, what is a symlink now or was one: what is below it is elsewhere."""


def compare(manifest: Manifest, inventory: Inventory) -> Compared:
    """Compare the inputs, by content."""
    same: dict[str, int] = {}
    changed: set[str] = set()
    new: set[str] = set()
    rewired: set[str] = set()
    for path, found in inventory.inputs.items():
        known = manifest.inputs.get(path)
        if known is not None and found.digest is not None and (known.kind, known.digest) == (found.kind, found.digest):
            same[path] = known.mtime_ns
            continue
        (new if known is None else changed).add(path)
        if "link" in (found.kind, known and known.kind):
            rewired.add(path)
    removed = manifest.inputs.keys() - inventory.inputs.keys()
    return Compared(same, frozenset(changed), frozenset(new), frozenset(removed), frozenset(rewired))


class Damage(NamedTuple):
    """The build directory, as far as it is not what was saved."""

    heal: Mapping[str, int]
    """Files with the content that they had and another mtime, and the one that they had."""
    stamps: frozenset[str]
    """Stamps of units of which something is missing, or other, or not known at all."""
    younger: bool
    """Whether any file looks newer than it is: units may look fresh that are not."""


def compare_built(host: Host, place: Place, manifest: Manifest, files: Mapping[str, Status]) -> Damage:
    """Compare the build directory, where the mtime says nothing by content."""
    top = os.fspath(place.build)
    heal: dict[str, int] = {}
    doubted: dict[str, Status] = {}
    bad: set[str] = {path for path in files.keys() - manifest.built.keys() if hashes_in(path)}
    for path, built in manifest.built.items():
        status = files.get(path)
        if status is None or status.size != built.size or (status.kind == "link") != (built.digest == "link"):
            bad.add(path)
        elif status.mtime_ns != built.mtime_ns:
            heal[path] = built.mtime_ns
            if status.mtime_ns != built.mtime_ns // _SECOND * _SECOND:
                doubted[path] = status
    found = digests({f"{top}{os.sep}{path}": each for path, each in doubted.items() if each.kind != "link"}, host.cores)
    for path, status in doubted.items():
        if status.kind != "link" and found.get(f"{top}{os.sep}{path}") != manifest.built[path].digest:
            bad.add(path)
            del heal[path]
    return Damage(
        heal, _stamps_of(bad, manifest, files), any(files[path].mtime_ns > mtime for path, mtime in heal.items())
    )


def _stamps_of(bad: Iterable[str], manifest: Manifest, files: Mapping[str, Status]) -> frozenset[str]:
    """Return the stamps of the units that files of the build directory belong to; all, where a file does not say its unit."""
    stamps = list(find_stamps(files))
    unknown = {stamp for stamp in stamps if stamp not in manifest.built}
    hashes: set[str] = set()
    for path in bad:
        named = hashes_in(path)
        if not named and path in files:
            return frozenset(stamps)
        hashes |= named
    return frozenset(unknown | {stamp for stamp in stamps if not hashes.isdisjoint(hashes_in(stamp))})


def unseen_by_cargo(place: Place, manifest: Manifest, inventory: Inventory, compared: Compared) -> set[str]:
    """Return the stamps of units that Cargo would find fresh although a file is other that they may have read."""
    owners = Owners(place, (inventory.inputs, manifest.inputs))
    altered: set[str] = set()
    untold: set[Read] = set()
    for path in (*compared.changed, *compared.new, *compared.removed):
        altered |= owners.of(path) | owners.of(os.path.dirname(path))
        known = manifest.inputs.get(path)
        kind = known.kind if known is not None else inventory.inputs[path].kind
        if kind != "folder" and not (known is not None and known.read):
            untold |= {*reads_of(owners, path, kind, came_or_went=path not in compared.changed)}
    if compared.changed or compared.new or compared.removed:  # behind a symlink, a file of a package is anywhere
        altered |= {name for path, each in inventory.inputs.items() if each.kind == "link" for name in owners.of(path)}
    scripts = {stamp for stamp in manifest.whole if os.path.basename(stamp).startswith(RUN)}
    stale = {stamp for stamp in manifest.whole if package_of(stamp) in altered}
    stale |= scripts if place.commit != manifest.commit else set()
    if untold:
        stale |= {stamp for stamp in manifest.built if not untold.isdisjoint(may_read(stamp, package_of(stamp)))}
    return stale
