"""The doctor: tools and versions, what is missing and how to get it, settings that fight each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from buildopt import __version__
from buildopt import profile as profiles
from buildopt.errors import Problem, ToolMissing
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
    host: Host, root: Path, state: Path, profile: Profile | None, *, drift: Sequence[str] | None = None
) -> Diagnosis:
    """Look at this machine and at the workspace in `root`, and return what was found.

    `drift` are the generated files that are stale; None when nobody looked. Starts tools only to ask for their versions,
    and for the trial links of the linkers, which are kept.
    """
    machine = look_at(host, root, state)
    with Record.open(host, state) as record:
        health = record.health()
    return diagnose(machine, profile, health, unmet=_unmet(machine, profile), conflicts=(), drift=drift)


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
