"""What CI will store, against what its host keeps: an estimate from what was built on this machine. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from buildopt.generate.ci.lanes import Lane
from buildopt.report.layout import columns
from buildopt.units import format_size

__all__ = ["Built", "Entry", "Forecast", "as_json", "as_lines", "folder_of", "forecast", "weigh"]

_UNIT = re.compile(r"(?:lib)?(?P<name>.+)-(?P<hash>[0-9a-f]{16})(?:\..+)?", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{16}", re.ASCII)
_LOADED = (".so", ".dylib", ".dll")
_LINKED = (".rlib", ".a", ".lib")


class Built(NamedTuple):
    """What one Cargo profile has left on this machine, in bytes; what rustc keeps for incremental builds is left out."""

    check: int = 0
    """Of dependencies, what `check` needs: metadata, procedural macros, build scripts."""
    build: int = 0
    """Of dependencies, what `build` needs."""
    own_check: int = 0
    """Of the workspace's own crates, likewise."""
    own_build: int = 0


class Entry(NamedTuple):
    """One key of the cache."""

    key: str
    writer: str
    """Lane that stores it."""
    copies: int
    """For how many runner images it is stored."""
    size: int | None
    """Bytes on this machine; None for what was not built here."""
    stored: int | None
    """Bytes in the cache, compressed: an estimate."""


class Forecast(NamedTuple):
    """What is stored for one `Cargo.lock` and one toolchain."""

    mode: str
    entries: tuple[Entry, ...]
    crates: int
    """Bytes of downloaded crates, which stand in every entry."""
    total: int
    """Bytes of all entries of which the size is known."""
    limit: int

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return the keys of what was not built here."""
        return tuple(entry.key for entry in self.entries if entry.stored is None)


def weigh(files: Iterable[tuple[str, int, bool]], own: frozenset[str]) -> Built:
    """Return what the files of one Cargo profile's folder weigh, as (path with `/`, bytes, whether it is a program).

    `own` are the names of the workspace's packages and targets, with `_`. What is known of Cargo's layout is that the name
    of a unit and its hash stand together, in one part of the path or in two.
    """
    units: dict[tuple[str, str], list[tuple[str, int, bool]]] = {}
    for path, size, program in files:
        if path.split("/", 1)[0] != "incremental":
            units.setdefault(_unit(path), []).append((path, size, program))
    sums = {"check": 0, "build": 0, "own_check": 0, "own_build": 0}
    for (name, _), parts in units.items():
        prefix = "own_" if not name or name.replace("-", "_") in own else ""
        size = sum(part[1] for part in parts)
        for step in _steps(parts):
            sums[f"{prefix}{step}"] += size
    return Built(**sums)


def folder_of(key: str) -> str:
    """Return the folder in the target directory that a key such as `dev-build` speaks of."""
    name = key.rpartition("-")[0]
    return {"dev": "debug"}.get(name, name)


def forecast(
    lanes: Sequence[Lane],
    mode: str,
    built: Mapping[str, Built],
    *,
    platforms: int,
    crates: int,
    ratio: float,
    limit: int,
) -> Forecast:
    """Return what the lanes store; `mode` is `ci.cache`, `built` is by folder, `ratio` is what compressing leaves, sizes are bytes."""
    whole = mode == "workspace"
    keys = {lane.name: lane.cached.key for lane in lanes if lane.kind == "stage" and lane.cached is not None}
    entries: list[Entry] = []
    for lane in lanes if whole or mode == "dependencies" else ():
        if lane.cached is None or not lane.cached.writes:
            continue
        key = lane.cached.key
        like = key if lane.kind in ("stage", "tests") else keys.get(lane.stage or "", key)
        size = _size(built.get(folder_of(like)), check=like.endswith("-check"), whole=whole)
        stored = None if size is None else round(size * ratio) + crates
        entries.append(Entry(key, lane.name, platforms if lane.kind == "platform" else 1, size, stored))
    total = sum(entry.copies * entry.stored for entry in entries if entry.stored is not None)
    return Forecast(mode, tuple(entries), crates, total, limit)


def as_json(found: Forecast) -> dict[str, Any]:
    """Return the forecast as the one document that `buildopt ci caches --json` prints."""
    entries = [entry._asdict() for entry in found.entries]
    facts = {"mode": found.mode, "entries": entries, "crates": found.crates, "total": found.total, "limit": found.limit}
    return {"version": 1, "caches": {**facts, "fits": found.total <= found.limit, "unknown": list(found.unknown)}}


def as_lines(found: Forecast, width: int) -> list[str]:
    """Return the forecast for a person: a line for each key, the sum, and what to do where it is too much."""
    if not found.entries:
        why = {
            "sccache": "sccache keeps single units in the storage of [cache]",
            "none": "nothing is kept between jobs",
        }
        return [f"ci.cache is {found.mode!r}: {why.get(found.mode, 'no lane compiles anything')}"]
    rows = [("key", "written by", "here", "stored, about")]
    for entry in found.entries:
        here = "not built" if entry.size is None else format_size(entry.size)
        stored = "unknown" if entry.stored is None else format_size(entry.stored)
        rows.append((entry.key, entry.writer, here, stored if entry.copies == 1 else f"{entry.copies} of {stored}"))
    lines = columns(rows, right=(2, 3), width=width)
    if found.crates:
        lines.append(f"  in each of them: downloaded crates, {format_size(found.crates)}")
    return [*lines, _sum(found), *_advice(found)]


def _sum(found: Forecast) -> str:
    limit = f"ci.cache-limit, {format_size(found.limit)}"
    each = f"about {format_size(found.total)} for one Cargo.lock, toolchain and image"
    if found.total > found.limit:
        return f"{each}: more than {limit}"
    times = found.limit // found.total if found.total else 0
    return f"{each}; {limit}, holds {times} of that" if times else each


def _advice(found: Forecast) -> list[str]:
    if found.total > found.limit:
        less = 'ci.cache = "dependencies", ' if found.mode == "workspace" else ""
        return [
            f"then one job throws away what the next one needs: {less}fewer Cargo profiles in stages, or a higher limit"
        ]
    if found.unknown:
        return [f"not counted: {', '.join(found.unknown)}; run their stages once on this machine"]
    return []


def _size(built: Built | None, *, check: bool, whole: bool) -> int | None:
    """Return the bytes of an entry; None for what was not built."""
    if built is None:
        return None
    needed, own = (built.check, built.own_check) if check else (built.build, built.own_build)
    return None if needed + own == 0 else needed + own if whole else needed


def _unit(path: str) -> tuple[str, str]:
    """Return name and hash of the unit that a file belongs to; no name for what is no unit's."""
    parts = path.split("/")
    for before, part in zip(("", *parts), parts, strict=False):
        if _HASH.fullmatch(part):
            return before, part
        if found := _UNIT.fullmatch(part):
            return found["name"], found["hash"]
    return "", ""


def _steps(parts: Sequence[tuple[str, int, bool]]) -> tuple[str, ...]:
    """Return which of `check` and `build` need a unit, by what it consists of; what macros depend on counts as built only."""
    if any(path.startswith("build/") or path.endswith(_LOADED) for path, _, _ in parts):
        return ("check", "build")
    return ("build",) if any(program or path.endswith(_LINKED) for path, _, program in parts) else ("check",)
