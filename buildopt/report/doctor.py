"""The doctor: tools and versions, what is missing and how to get it, settings that fight each other."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from buildopt import __version__, cargo
from buildopt import profile as profiles
from buildopt.cache import Wrapper, prepare
from buildopt.cargo.model import CargoConfig
from buildopt.errors import BuildoptError, Problem, ToolMissing
from buildopt.host import Host
from buildopt.profile.model import Profile
from buildopt.record import Record
from buildopt.report.doctor_text import as_text
from buildopt.report.findings import Diagnosis, Finding, Severity, diagnose
from buildopt.report.machine import Machine, Tool, look_at

__all__ = [
    "Diagnosis",
    "Finding",
    "Machine",
    "Severity",
    "Tool",
    "as_json",
    "as_text",
    "diagnose",
    "examine",
    "look_at",
]


def examine(
    host: Host,
    root: Path,
    state: Path,
    profile: Profile | None,
    *,
    drift: Sequence[str] | None = None,
    trouble: BuildoptError | None = None,
) -> Diagnosis:
    """Look at this machine and at the workspace in `root`, and return what was found.

    `drift` are the generated files that are stale; None when nobody looked. `trouble` is why the profile, or what sync
    would write, is not known. Starts tools to ask for their versions, and
    for the trials of the linkers and of the compiler cache, whose results are kept.
    """
    machine = look_at(host, root, state)
    with Record.open(host, state) as record:
        health = record.health()
    config, broken = _config(host, root)
    return diagnose(
        machine,
        profile,
        health,
        unmet=_unmet(machine, profile),
        conflicts=[*broken, *_conflicts(host, root, machine, profile, config)],
        wrapper=_wrapper(host, root, state, machine, profile, config),
        drift=drift,
        trouble=trouble,
    )


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the diagnosis as the one document that `buildopt doctor --json` prints."""
    machine = diagnosis.machine
    return {
        "version": 1,
        "exit_code": diagnosis.exit_code,
        "tools": [_tool_json(tool) for tool in machine.tools],
        "linkers": [
            {**linker._asdict(), "path": linker.path and str(linker.path), "rustflags": list(linker.rustflags)}
            for linker in machine.linkers
        ],
        "machine": {
            "system": machine.system,
            "cores": machine.cores,
            "memory_bytes": machine.memory_bytes,
            "free_bytes": machine.free_bytes,
        },
        "findings": [finding._asdict() for finding in diagnosis.findings],
    }


def _unmet(machine: Machine, profile: Profile | None) -> Sequence[Problem]:
    """Return the requirements of the profile that do not hold. Without a toolchain that is the one thing to say."""
    if profile is None or machine.toolchain is None:
        return ()
    versions = {"buildopt": __version__, **{tool.name: tool.version for tool in machine.tools}}
    try:
        profiles.check_requires(profile, versions)
    except ToolMissing as error:
        return error.problems
    return ()


def _config(host: Host, root: Path) -> tuple[CargoConfig | None, Sequence[Finding]]:
    try:
        return cargo.load_config(host, root), ()
    except BuildoptError as error:
        message = "; ".join([error.message, *(str(problem) for problem in error.problems)])
        todo = error.hint or "mend the file; cargo refuses it too"
        return None, (Finding("problem", "Cargo configuration", message, todo),)


def _conflicts(
    host: Host, root: Path, machine: Machine, profile: Profile | None, config: CargoConfig | None
) -> Sequence[Finding]:
    if machine.toolchain is None or config is None:
        return ()
    manifest = _manifest_profiles(host, root)
    found = cargo.conflicts(profile, config, machine.toolchain, host.environ, manifest_profiles=manifest)
    return [Finding("warning", one.where, f"{one.what}: {one.why}", one.action) for one in found]


def _wrapper(
    host: Host, root: Path, state: Path, machine: Machine, profile: Profile | None, config: CargoConfig | None
) -> Wrapper | None:
    """Return how a run would use the compiler cache; None when it asks for none, or could not use one."""
    if profile is None or profile.cache is None or machine.toolchain is None:
        return None
    theirs = config.get("build", "rustc-wrapper", ours=False) if config else None
    configured = str(theirs.value) if theirs is not None and not theirs.where.startswith("$") else None
    return prepare(host, profile.cache, root, state, ci=host.in_ci, configured=configured)


def _manifest_profiles(host: Host, root: Path) -> tuple[str, ...]:
    """Return the names under `[profile]` in the root manifest; a manifest that is broken is for Cargo to judge."""
    try:
        manifest = tomllib.loads((host.files.read(root / "Cargo.toml") or b"").decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return ()
    profiles = manifest.get("profile")
    return tuple(profiles) if isinstance(profiles, dict) else ()


def _tool_json(tool: Tool) -> dict[str, Any]:
    status = "missing" if tool.version is None else "ok"
    return {
        "name": tool.name,
        "version": tool.version,
        "status": status,
        "path": tool.detail,
        "purpose": tool.purpose,
        "get": tool.get or None,
    }
