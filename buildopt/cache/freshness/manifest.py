"""What `save` wrote down: one file in the build directory, with a version, a digest of itself, and where it is good for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.host.files import digest

__all__ = [
    "Built",
    "Known",
    "Manifest",
    "Outside",
    "Unusable",
    "read_manifest",
    "read_receipt",
    "write_manifest",
    "write_receipt",
]

MANIFEST = ".buildopt-freshness"
RECEIPT = ".buildopt-restored"
CONSUMED = ".buildopt-freshness.used"
PROCESSOR = "processor"
"""A part of the identity that only counts where units were built for the processor at hand."""
_HEAD = b"buildopt freshness 1 "
_LARGEST = 256 << 20
_NS_END = 1 << 63


class Unusable(Exception):
    """Nothing is known of the sources that the target directory was built from; the text says why."""


class Known(NamedTuple):
    """An input as it was when the cache was saved."""

    kind: str
    digest: str
    mtime_ns: int
    """When its content was certainly the one of the digest: what was built later has read that."""
    read: bool
    """Whether a unit says that it has read it."""


class Built(NamedTuple):
    """A file of the build directory."""

    size: int
    mtime_ns: int
    digest: str


class Outside(NamedTuple):
    """What units have read that is not among the inputs."""

    content: str
    stamps: tuple[str, ...]


class Manifest(NamedTuple):
    """Everything that `restore` has to know."""

    identity: Mapping[str, str]
    commit: str
    inputs: Mapping[str, Known]
    """By path, absolute. What is not here was not known for certain."""
    skipped: frozenset[str]
    built: Mapping[str, Built]
    """By path, relative to the build directory."""
    doubtful: frozenset[str]
    """Stamps of units that may have read something else than what is there."""
    whole: frozenset[str]
    """Stamps of units that have read nobody knows what of their package."""
    outside: Mapping[str, Outside]


def write_manifest(host: Host, build: Path, manifest: Manifest) -> None:
    """Write the manifest into the build directory, flushed to the disk, in one step."""
    _write(host, build / MANIFEST, {**manifest._asdict(), **{name: sorted(getattr(manifest, name)) for name in _SETS}})


def read_manifest(host: Host, build: Path) -> Manifest:
    """Return the manifest in the build directory; Unusable when there is none, or it is not whole."""
    found = _read(host, build / MANIFEST)
    try:
        manifest = Manifest(
            identity={_str(key): _str(value) for key, value in found["identity"].items()},
            commit=_str(found["commit"]),
            inputs={
                _str(path): Known(_str(k), _str(d), _time(m), r is True)
                for path, (k, d, m, r) in found["inputs"].items()
            },
            skipped=frozenset(map(_str, found["skipped"])),
            built={_str(path): Built(_int(s), _time(m), _str(d)) for path, (s, m, d) in found["built"].items()},
            doubtful=frozenset(map(_str, found["doubtful"])),
            whole=frozenset(map(_str, found["whole"])),
            outside={_str(path): Outside(_str(c), tuple(map(_str, s))) for path, (c, s) in found["outside"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unusable("its manifest is damaged") from error
    return manifest


def write_receipt(host: Host, build: Path, stamps: Mapping[str, tuple[int, int, int]]) -> None:
    """Note which inputs got their time from us: mtime, ctime and inode of each, as they are now."""
    _write(host, build / RECEIPT, stamps)


def read_receipt(host: Host, build: Path) -> dict[str, tuple[int, int, int]]:
    """Return what `write_receipt` noted; empty when there is nothing, or it is not whole."""
    try:
        return {_str(path): (_int(m), _int(c), _int(i)) for path, (m, c, i) in _read(host, build / RECEIPT).items()}
    except (Unusable, ValueError, TypeError, AttributeError):
        return {}


_SETS = ("skipped", "doubtful", "whole")


def _write(host: Host, path: Path, value: Mapping[str, Any]) -> None:
    text = json.dumps(value, separators=(",", ":")).encode()
    host.files.write(path, _HEAD + digest(text).encode() + b"\n" + text)


def _read(host: Host, path: Path) -> Any:
    stamp = host.files.stamp(path)
    if stamp is None:
        raise Unusable("it has no manifest (buildopt cache save writes one)")
    if stamp[0] > _LARGEST:
        raise Unusable(f"its manifest is larger than {_LARGEST >> 20} MiB")
    try:
        head, _, text = (host.files.read(path) or b"").partition(b"\n")
    except MachineRefused as error:
        raise Unusable(f"its manifest cannot be read ({error.message})") from error
    if not head.startswith(_HEAD):
        raise Unusable("its manifest is of another version, or damaged")
    if head != _HEAD + digest(text).encode():
        raise Unusable("its manifest is damaged")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unusable("its manifest is damaged") from error


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _int(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(value)
    return value


def _time(value: Any) -> int:
    if not 0 <= _int(value) < _NS_END:
        raise ValueError(value)
    return cast("int", value)
