"""What a unit spends its time on, and what can be done about that. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from buildopt.cargo.crate_graph import Crate
from buildopt.record import UnitRow
from buildopt.report.slow_units import label
from buildopt.report.slow_view import Bound, Kind

__all__ = ["UnitKey", "Where", "bound_of", "bounds", "todo_for"]

UnitKey = tuple[str, str, str]
"""Package, target, mode."""
_SHOWN_OF_A_KIND = 5
_LEAST_SECONDS = 0.3
_LEAST_SHARE = 0.02
_EXECUTABLES = ("bin", "test", "bench", "example")


class Where(NamedTuple):
    """What is known of a unit beside its times."""

    crate: Crate | None
    """Its package; None when the workspace has it no more."""
    waiting: int
    """How many units need it, directly or not."""
    fastest_seconds: float | None = None
    """The fastest of several rebuilds of the same executable: it links each time, and need not generate code."""
    lean: bool = False
    """Whether the profile already asks for little debug info here."""
    check_seconds: float | None = None
    """What a check of the same target took: that is the frontend alone."""


def bound_of(unit: UnitRow, where: Where) -> tuple[Kind, float]:
    """Return what a unit spends most on, and the share of that in its time."""
    total = unit.duration_seconds or 0.0
    if unit.target == "build-script":
        return "build script", 1.0
    if unit.mode in ("check", "doc"):
        return "frontend", 1.0
    if total <= 0:
        return "frontend", 0.0
    if unit.frontend_seconds is not None:
        frontend = min(unit.frontend_seconds, total)
        codegen = total - frontend if unit.codegen_seconds is None else min(unit.codegen_seconds, total - frontend)
        parts: dict[Kind, float] = {"frontend": frontend, "codegen": codegen, "link": total - frontend - codegen}
        kind = max(parts, key=lambda name: parts[name])
        return kind, parts[kind] / total
    if not _is_executable(unit):
        return "procedural macro", 1.0
    if where.fastest_seconds is None:
        return "executable", 1.0
    link = min(where.fastest_seconds, total)
    frontend = min(where.check_seconds or 0.0, total - link)
    parts = {"link": link, "frontend": frontend, "codegen": total - link - frontend}
    kind = max(parts, key=lambda name: parts[name])
    return kind, parts[kind] / total


def bounds(units: Sequence[UnitRow], places: Sequence[Where]) -> tuple[Bound, ...]:
    """Return the units that cost most, by what they spend it on; what is small beside the whole is left out."""
    work = sum(unit.duration_seconds or 0.0 for unit in units)
    by_kind: dict[Kind, list[Bound]] = {}
    for unit, where in zip(units, places, strict=True):
        seconds = unit.duration_seconds or 0.0
        if seconds >= max(_LEAST_SECONDS, _LEAST_SHARE * work):
            kind, share = bound_of(unit, where)
            by_kind.setdefault(kind, []).append(Bound(kind, label(unit), seconds, share, todo_for(unit, where, kind)))
    for found in by_kind.values():
        found.sort(key=lambda bound: (-bound.seconds * bound.share, bound.unit))
    kinds = sorted(by_kind, key=lambda kind: -sum(bound.seconds for bound in by_kind[kind]))
    return tuple(bound for kind in kinds for bound in by_kind[kind][:_SHOWN_OF_A_KIND])


def todo_for(unit: UnitRow, where: Where, kind: Kind) -> str:
    """Return what a person can do about the time that a unit spends on `kind`."""
    ours = where.crate is not None and where.crate.member
    spec = unit.package if where.crate is None else f"{unit.package}@{unit.version}"
    match kind:
        case "build script" if unit.mode == "run-custom-build":
            return f"see what it does: cargo build -vv --package {spec}"
        case "build script":
            return "give it fewer build-dependencies" if ours else f"cargo tree --invert {spec} shows who needs it"
        case "procedural macro":
            return f"what uses it waits for all of it: cargo tree --invert {spec} shows who does; drop it where little is derived"
        case "frontend" if ours:
            waiting = {0: "", 1: "1 unit waits for it: "}.get(where.waiting, f"{where.waiting} units wait for it: ")
            return f"{waiting}split it, so that what needs a part of it does not wait for the rest"
        case "frontend":
            return f"a lighter one, or fewer of its features: cargo tree --edges features --invert {spec}"
        case "codegen" if where.lean:
            return f"its debug info is lean already: cargo llvm-lines --package {spec} (a tool of its own) shows what generates most"
        case "codegen":
            return _measure("debug=line-tables-only" if ours else "package.*.debug=0", "clean/build")
        case "link":
            return f"{_measure('linker=NAME', 'leaf/build')}, NAME being one that buildopt doctor lists"
        case "executable":
            return "edit something it uses and build again: the record then tells linking from code generation"


def fastest_rebuilds(runs: Sequence[Sequence[UnitRow]]) -> tuple[Mapping[UnitKey, float], Mapping[UnitKey, float]]:
    """Return, over the units of several runs, the fastest rebuild of each executable that was rebuilt at least twice.

    And for each the seconds of its fastest check, under the key of the build.
    """
    built: dict[UnitKey, list[float]] = {}
    checked: dict[UnitKey, list[float]] = {}
    for units in runs:
        for unit in units:
            if not unit.fresh and unit.duration_seconds and _is_executable(unit):
                found = checked if unit.mode == "check" else built
                mode = "build" if unit.mode == "check" else unit.mode
                found.setdefault((unit.package, unit.target, mode), []).append(unit.duration_seconds)
    return (
        {key: min(found) for key, found in built.items() if len(found) > 1},
        {key: min(found) for key, found in checked.items()},
    )


def _measure(setting: str, scenario: str) -> str:
    return f"buildopt bench --compare current,{setting} --scenario {scenario} tells what that brings"


def _is_executable(unit: UnitRow) -> bool:
    return unit.target.partition(" ")[0] in _EXECUTABLES or unit.mode == "test"
