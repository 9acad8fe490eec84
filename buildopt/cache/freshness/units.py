"""The units in a build directory as Cargo's fingerprints tell them: where each stands, and which files it has read.

A fingerprint is a pair of files: `NAME` with a hash, and `NAME.json`, which says what Cargo will look at. Without the
first, called its stamp here, Cargo builds the unit again, but not what depends on it. For that, the file must be gone that
Cargo compares inputs with: `dep-NAME`, or what a build script printed.
This holds for Cargo's present layout and for `build-dir-new-layout`; nothing here knows where things lie.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.host.trees import Status

__all__ = ["Unit", "find_stamps", "find_units", "hashes_in", "package_of", "traces_of"]

_HASH_BYTES = 16
_HASHED = re.compile(r"(?:^|[-./])([0-9a-f]{16})(?=$|[-./])")
_NAMED = re.compile(r"(.+)-[0-9a-f]{16}")
_BARE = re.compile(r"[0-9a-f]{16}")
_NEWEST_FILE = re.compile(r"\d+\.\d+s \(")
_FINGERPRINT = re.compile(r"(?:^|/)(?:\.fingerprint/[^/]+|[0-9a-f]{16}/fingerprint)/[^/.]+$")
"""The places of stamps: one whose `.json` is missing counts for Cargo all the same."""
_MAGIC = b"\x01\x00\x00\x00\xff\x01"
_LARGEST = 64 << 20
_PRINTED = frozenset({"output", "stdout"})
RUN = "run-build-script"
"""How the stamp of a build script's run begins; others belong to what is compiled."""
_SHAPES = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, UnicodeError, MachineRefused)


class Unit(NamedTuple):
    """One unit that Cargo may find fresh."""

    stamp: str
    """The file that holds its hash, relative to the build directory."""
    package: str
    """The name of its package."""
    references: tuple[str, ...]
    """The files that Cargo compares inputs with: what is newer than these makes the unit stale."""
    reads: tuple[str, ...]
    """The files and directories that it has read, absolute where that is known, else relative to its package."""
    whole: bool
    """Whether Cargo only knows the newest file of its package: build scripts that declare nothing, and documentation."""
    local: bool
    """Whether its package is on this disk, and not one that was published: Cargo then looks at its files."""
    native: bool
    """Whether it was built for the processor at hand."""
    opaque: bool
    """Whether its fingerprint cannot be understood."""


def find_stamps(files: Mapping[str, Status]) -> Iterator[str]:
    """Yield the stamps of all units in the build directory, sorted."""
    for path in sorted(files):
        if files[path].size == _HASH_BYTES and (f"{path}.json" in files or _FINGERPRINT.search(path)):
            yield path


def find_units(host: Host, build: str, files: Mapping[str, Status]) -> Iterator[Unit]:
    """Yield every unit in the build directory `build`, in which there are `files`."""
    for stamp in find_stamps(files):
        try:
            yield _unit(host, build, stamp, files)
        except _SHAPES:
            yield Unit(stamp, package_of(stamp), (), (), whole=False, local=False, native=False, opaque=True)


def traces_of(stamps: Iterable[str], files: Iterable[str]) -> list[str]:
    """Return which `files` to remove so that Cargo builds the units of `stamps` again, and all that depend on them.

    The stamps come last: a unit without one is only built itself.
    """
    last = sorted(stamps)
    runs = {each for stamp in last if os.path.basename(stamp).startswith(RUN) for each in hashes_in(stamp)}
    compared = {os.path.join(os.path.dirname(stamp), f"dep-{os.path.basename(stamp)}") for stamp in last}
    first = [
        path
        for path in files
        if path in compared or (os.path.basename(path) in _PRINTED and not runs.isdisjoint(hashes_in(path)))
    ]
    return [*sorted(first), *last]


def package_of(path: str) -> str:
    """Return the name of the package whose unit a file in the build directory belongs to; empty when it does not say."""
    parts = path.split(os.sep)
    for at in range(len(parts) - 2, -1, -1):
        named = _NAMED.fullmatch(parts[at])
        if named is not None:
            return named[1]
        if at and _BARE.fullmatch(parts[at]):
            return parts[at - 1]
    return ""


def hashes_in(path: str) -> set[str]:
    """Return the hashes of units that the path of a file in the build directory names."""
    return set(_HASHED.findall(path.replace(os.sep, "/")))


def _unit(host: Host, build: str, stamp: str, files: Mapping[str, Status]) -> Unit:
    if files[f"{stamp}.json"].size > _LARGEST:
        raise ValueError("too large")
    found = json.loads(host.files.read(f"{build}{os.sep}{stamp}.json") or b"")
    references = [f"{stamp}.json"]
    reads: list[str] = []
    whole = local = False
    for each in found["local"]:
        [(kind, value)] = each.items()
        match kind:
            case "CheckDepInfo" if files[value["dep_info"]].size <= _LARGEST:
                references.append(value["dep_info"])
                names = [*_dep_info(host.files.read(f"{build}{os.sep}{value['dep_info']}") or b"", build)]
                # Of a published package, Cargo leaves the package's own files out.
                local = local or not all(map(os.path.isabs, names))
                reads += names
            case "RerunIfChanged":
                references.append(value["output"])
                reads += [_text(path) for path in value["paths"]]
            case "Precalculated":
                whole = whole or _NEWEST_FILE.match(_text(value)) is not None
            case "RerunIfEnvChanged":
                pass
            case _:
                raise ValueError(kind)
    package = package_of(stamp)
    native = any("target-cpu=native" in _text(flag) for flag in found["rustflags"])
    return Unit(stamp, package, tuple(references), tuple(reads), whole, whole or local, native, opaque=not package)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _dep_info(content: bytes, build: str) -> Iterator[str]:
    """Yield the files in Cargo's own form of dep-info: `dep-lib-NAME` and the like; ValueError when it is another form."""
    if not content.startswith(_MAGIC):
        raise ValueError("another form")
    at = len(_MAGIC)

    def take(length: int) -> bytes:
        nonlocal at
        piece = content[at : at + length]
        if len(piece) != length:
            raise ValueError("cut off")
        at += length
        return piece

    for _ in range(int.from_bytes(take(4), "little")):
        in_build = take(1)[0]
        path = os.fsdecode(take(int.from_bytes(take(4), "little")))
        if take(1)[0]:  # with a checksum: the size and the digest
            take(8)
            take(int.from_bytes(take(4), "little"))
        if in_build > 1:
            raise ValueError("another root")
        yield os.path.join(build, path) if in_build else path
