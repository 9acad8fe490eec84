"""`.cargo/buildopt.toml`: the Cargo profiles, for every colleague the same. Committed; no time, version or machine in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from buildopt.cargo.model import Toolchain
from buildopt.cargo.settings import find_setting, refused
from buildopt.generate.toml import key_text, value_text
from buildopt.profile.model import CargoProfile, Profile

__all__ = ["HEADER", "HOST_NAME", "MARK", "Settings", "has_host_file", "render", "render_body", "settings"]

HOST_NAME = "buildopt.host.toml"
MARK = "# Written by buildopt"
HEADER = f"""\
{MARK} from buildopt.toml; `buildopt sync` writes it again, so edit buildopt.toml instead.
# Cargo reads it through the `include` in its configuration beside this file, whose own values win over these.
# To remove it: delete this file and its name in that `include`.
"""

Key = tuple[str, ...]


class Settings(NamedTuple):
    """What the file holds, and what was left out of it."""

    tables: Mapping[Key, Mapping[str, Any]]
    notes: tuple[str, ...]


def has_host_file(profile: Profile) -> bool:
    """Whether the profile asks for anything that depends on the machine (whether or not this one has it)."""
    cargo = profile.cargo
    return cargo is not None and (
        bool(cargo.linker and cargo.linker.prefer) or cargo.jobs is not None or cargo.memory_per_job is not None
    )


def settings(profile: Profile, toolchain: Toolchain) -> Settings:
    """Return the Cargo profiles of a profile, without what this Cargo would ignore or refuse."""
    declared = dict(sorted(profile.cargo.profile.items())) if profile.cargo else {}
    tables: dict[Key, dict[str, Any]] = {}
    notes: list[str] = []
    for name, cargo_profile in declared.items():
        for key, table in _tables(("profile", name), cargo_profile):
            tables[key] = _accepted(key, table, toolchain, notes)
    if profile.incremental is not None and (profile.incremental.ci or not profile.incremental.local):
        # On here and off in CI is what Cargo does by itself since 1.99, and what `run` sees to before.
        tables.setdefault(("profile", "dev"), {}).setdefault("incremental", profile.incremental.local)
    return Settings({key: tables[key] for key in sorted(tables) if tables[key]}, tuple(notes))


def render(found: Settings, *, include_host: bool) -> str | None:
    """Return the text of the file, or None when it would hold nothing."""
    if not found.tables and not include_host:
        return None
    include = (
        f'\n# What depends on the machine; git ignores it.\ninclude = [{{ path = "{HOST_NAME}", optional = true }}]\n'
    )
    return HEADER + (include if include_host else "") + render_body(found)


def render_body(found: Settings) -> str:
    """Return the tables alone, each after an empty line."""
    lines: list[str] = []
    for key, table in found.tables.items():
        lines += [
            "",
            f"[{key_text(*key)}]",
            *(f"{key_text(name)} = {value_text(value)}" for name, value in table.items()),
        ]
    return "".join(f"{line}\n" for line in lines)


def _tables(key: Key, profile: CargoProfile) -> Iterator[tuple[Key, dict[str, Any]]]:
    table: dict[str, Any] = {}
    for field in profile.__dataclass_fields__:
        value = getattr(profile, field)
        if value is not None and field not in ("build_override", "package"):
            table[field.replace("_", "-")] = value
    yield key, table
    if profile.build_override is not None:
        yield from _tables((*key, "build-override"), profile.build_override)
    for package, override in sorted(profile.package.items()):
        yield from _tables((*key, "package", package), override)


def _accepted(key: Key, table: dict[str, Any], toolchain: Toolchain, notes: list[str]) -> dict[str, Any]:
    """Return the keys of a table that this Cargo honours where it stands; the others become notes."""
    place = {2: "profile", 3: "build-override", 4: "package"}[len(key)]
    kept = {}
    for name, value in table.items():
        setting = find_setting(*key, name)
        why = None if setting is None else refused(setting, toolchain, value)
        if setting is not None and setting.places and place not in setting.places:
            why = f"Cargo takes {name} for a whole Cargo profile only"
        if why is None:
            kept[name] = value
        else:
            notes.append(f"{key_text(*key, name)} is left out: {why}")
    return kept
