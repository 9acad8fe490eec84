"""`.cargo/buildopt.host.toml`: what depends on this machine. Ignored by git, included as optional."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from buildopt.cargo.model import CargoConfig, LinkerProbe, RustFlags
from buildopt.generate.cargo_config import MARK
from buildopt.generate.cfg import matches
from buildopt.generate.toml import key_text, value_text
from buildopt.profile.model import Cargo

__all__ = ["HEADER", "HostSettings", "flags_table", "host_settings", "render"]

HEADER = f"""\
{MARK} for this machine, from buildopt.toml and what was found here; `buildopt sync` writes it again.
# It is not committed. To remove it, delete it: Cargo does without.
"""
_HIDES = "# Cargo lets this hide any build.rustflags: when you add some, run `buildopt sync` again, and they join."


class HostSettings(NamedTuple):
    """What the file holds, and what was left out of it."""

    jobs: int | None
    flags_table: tuple[str, ...]
    flags: tuple[str, ...]
    notes: tuple[str, ...]


def host_settings(
    cargo: Cargo,
    *,
    config: CargoConfig,
    linkers: Mapping[str, LinkerProbe],
    triple: str,
    cores: int,
    memory_bytes: int | None,
) -> HostSettings:
    """Return what the host file should hold on this machine."""
    notes: list[str] = []
    jobs = _jobs(cargo, cores, memory_bytes)
    mine = config.get("build", "jobs", ours=False)
    if jobs is not None and mine is not None:
        notes.append(f"{mine.where} sets build.jobs itself, and wins")
    flags = _linker_flags(cargo, linkers, notes)
    table = flags_table(config, triple, notes) if flags else None
    return HostSettings(jobs, table or (), flags if table else (), tuple(notes))


def render(found: HostSettings) -> str | None:
    """Return the text of the file, or None when it would hold nothing."""
    tables: dict[tuple[str, ...], list[str]] = {}
    if found.jobs is not None:
        tables.setdefault(("build",), []).append(f"jobs = {found.jobs}")
    if found.flags:
        if found.flags_table[0] == "target":
            tables[found.flags_table] = [_HIDES]
        tables.setdefault(found.flags_table, []).append(f"rustflags = {value_text(list(found.flags))}")
    if not tables:
        return None
    return HEADER + "".join(
        f"\n[{key_text(*key)}]\n" + "".join(f"{x}\n" for x in lines) for key, lines in tables.items()
    )


def _jobs(cargo: Cargo, cores: int, memory_bytes: int | None) -> int | None:
    """Return how many rustc processes may run, or None for Cargo's own choice (one for each processor)."""
    jobs = cores if cargo.jobs is None else cargo.jobs if cargo.jobs > 0 else max(1, cores + cargo.jobs)
    if cargo.memory_per_job is not None and memory_bytes is not None:
        jobs = min(jobs, max(1, memory_bytes // cargo.memory_per_job))
    return None if cargo.jobs is None and jobs == cores else jobs


def _linker_flags(cargo: Cargo, linkers: Mapping[str, LinkerProbe], notes: list[str]) -> tuple[str, ...]:
    """Return the flags for the first preferred linker that works here; none for the one that is used anyway."""
    prefer = cargo.linker.prefer if cargo.linker else ()
    reasons = []
    for name in prefer:
        if name == "default":
            return ()
        probe = linkers.get(name)
        if probe is not None and probe.works:
            return () if probe.default else probe.rustflags
        reasons.append(probe.why if probe else f"{name} was not looked for")
    if prefer:
        notes.append(f"no preferred linker works here, so rustc's own is used: {'; '.join(reasons)}")
    return ()


def flags_table(config: CargoConfig, triple: str, notes: list[str]) -> tuple[str, ...] | None:
    """Return the table that our flags can join without hiding any of the user's; None when there is none.

    The `target` tables that match are joined, and hide `build.rustflags` as soon as one of them is not empty (Cargo 1.95).
    """
    theirs = [found for found in config.rustflags if found.flags and not found.ours]
    notes += [
        f"{found.where} hides every configured compiler flag, so the linker is not used while it is set"
        for found in theirs
        if found.table == "environment"
    ]
    target = [found for found in theirs if _applies(found, triple)]
    build = [found for found in theirs if found.table == "build"]
    key = ("build",) if build and not target else ("target", triple)
    text = next((found for found in theirs if _is_text_in(found, key)), None)
    if text is None:
        return key
    notes.append(
        f"the linker is left out: {text.where} has {text.table}.rustflags as one string, which Cargo cannot join with"
        " another file's list; write it as a list"
    )
    return None


def _applies(found: RustFlags, triple: str) -> bool:
    if not found.table.startswith("target."):
        return False
    platform = found.table.removeprefix("target.").strip("'")
    return platform == triple or (platform.startswith("cfg(") and matches(platform, triple))


def _is_text_in(found: RustFlags, key: tuple[str, ...]) -> bool:
    return found.form == "string" and not found.where.startswith("$") and found.table == ".".join(key)
