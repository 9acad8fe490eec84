"""Why units were rebuilt, in few words: Cargo's many reasons, grouped by what a person can do about them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from buildopt.record import UnitRow

__all__ = ["RebuildGroup", "advice_for", "cause_of", "group_rebuilds"]

_CAUSES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"the dependency `?(?P<name>[\w.-]+)`? was rebuilt|dependency on `?(?P<other>[\w.-]+)`?"), "depends on {}"),
    (re.compile(r"the env(?:ironment)? variable `?(?P<name>\w+)`? changed"), "environment variable {}"),
    (re.compile(r"the environment variables changed"), "environment variables"),
    (re.compile(r"the file `.*` (?:has changed|is missing)|precalculated components changed"), "edited"),
    (re.compile(r"the toolchain changed|rustc .*changed"), "toolchain changed"),
    (re.compile(r"rustflags changed"), "compiler flags changed"),
    (re.compile(r"features changed"), "features changed"),
    (re.compile(r"profile configuration changed"), "Cargo profile changed"),
    (re.compile(r"config(?:uration)? (?:settings )?changed|compile kind changed"), "configuration changed"),
    (re.compile(r"rerun-if-changed|rerun-if-env-changed"), "build script instructions changed"),
    (re.compile(r"number of dependencies changed|name of dependency changed|dependency info changed"), "dependencies changed"),
    (re.compile(r"path to the source changed"), "source was moved"),
    (re.compile(r"^forced"), "forced"),
)  # fmt: skip
_NEW = "not built before with these settings"
_ADVICE = (
    ("environment variable", "{cause}: it differs from the run before; set it the same in every shell, editor and nox session"),
    ("compiler flags changed", "tools that share a target directory use other flags; buildopt doctor shows where they come from"),
    ("toolchain changed", "another toolchain was used since; a rust-toolchain.toml pins one for everybody"),
    ("features changed", "features differ between commands; give the stages the same `features`, so that one build serves them all"),
    ("build script", "a build script asks to be run again; `cargo:rerun-if-changed=` with a narrow path stops that"),
)  # fmt: skip


class RebuildGroup(NamedTuple):
    """Units that were rebuilt for the same cause."""

    cause: str
    """`edited`, `depends on core`, `environment variable CC`, `compiler flags changed`, …"""
    packages: tuple[str, ...]
    units: int
    seconds: float
    """What rebuilding them took, as the sum of their durations."""


def cause_of(reason: str | None) -> str:
    """Return the cause behind one of Cargo's reasons; what is not known stays in Cargo's words.

    Cargo says nothing for a unit that was never built with these settings.
    """
    if not reason or reason.startswith("fresh build"):
        return _NEW
    for pattern, cause in _CAUSES:
        found = pattern.search(reason)
        if found:
            name = next((group for group in found.groups() if group), "")
            return cause.format(name)
    return reason.split(" (", 1)[0]


def group_rebuilds(units: Iterable[UnitRow]) -> tuple[RebuildGroup, ...]:
    """Return the rebuilt ones of `units` grouped by cause: what was edited first, then what took longest."""
    by_cause: dict[str, list[UnitRow]] = {}
    for unit in units:
        if not unit.fresh:
            by_cause.setdefault(cause_of(unit.reason), []).append(unit)
    groups = [
        RebuildGroup(
            cause=cause,
            packages=tuple(sorted({unit.package for unit in found})),
            units=len(found),
            seconds=sum(unit.duration_seconds or 0.0 for unit in found),
        )
        for cause, found in by_cause.items()
    ]
    return tuple(sorted(groups, key=lambda group: (group.cause != "edited", -group.seconds, group.cause)))


def advice_for(groups: Sequence[RebuildGroup]) -> str | None:
    """Return what can be done about the most expensive cause that is not an edit; None when nothing can."""
    for group in sorted(groups, key=lambda group: -group.seconds):
        for start, text in _ADVICE:
            if group.cause.startswith(start):
                return text.format(cause=group.cause)
    return None
