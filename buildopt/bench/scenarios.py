"""Scenarios: what is done to a workspace, and what is built after it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

from buildopt.cargo.model import Package, Workspace
from buildopt.errors import ArgumentError, Problem, ProfileError
from buildopt.profile.bench_tables import Bench
from buildopt.profile.wording import did_you_mean, shown

__all__ = ["EDITS", "Action", "Scenario", "Targets", "Task", "choose_targets", "parse_scenario", "source_of"]

Action = Literal["clean", "warm-cache", "leaf", "hub", "binary", "no-change", "branch-switch", "second-tree", "release"]
Task = Literal["check", "clippy", "build", "test-no-run", "test", "cycle"]

EDITS: tuple[Action, ...] = ("leaf", "hub", "binary")
_LIBRARIES = frozenset(("lib", "rlib", "dylib", "cdylib", "staticlib"))
_MACROS = frozenset(("proc-macro",))


class Scenario(NamedTuple):
    """What is done to the workspace, and what is built then."""

    action: Action
    task: Task

    @property
    def name(self) -> str:
        """Return it as people write it: `leaf/build`."""
        return f"{self.action}/{self.task}"


def parse_scenario(text: str) -> Scenario:
    """Return the scenario that people write as `leaf/build`. Raises ArgumentError, with the nearest one there is."""
    actions, tasks = get_args(Action), get_args(Task)
    action, _, task = text.strip().partition("/")
    if action in actions and task in tasks:
        return Scenario(cast("Action", action), cast("Task", task))
    near = did_you_mean(text, [f"{one}/{other}" for one in actions for other in tasks])
    hint = near or f"write ACTION/TASK; actions: {', '.join(actions)}; tasks: {', '.join(tasks)}"
    raise ArgumentError(f"--scenario: there is no scenario {shown(text)}", hint=hint)


class Targets(NamedTuple):
    """The packages that are edited."""

    leaf: Package
    hub: Package
    binary: Package | None


def choose_targets(workspace: Workspace, bench: Bench) -> Targets:
    """Return the packages to edit: those that the profile names, else by how many other members need them.

    The leaf is the library that the fewest need, the hub the one that the most need; where there is no library, it is a
    procedural macro or any other member. Raises ProfileError for a name that no member has, and for a binary in a package without one.
    """
    members = workspace.members
    above = _needed_by(workspace)
    able = [package for package in members if _root_file(package, _LIBRARIES) is not None]
    able = able or [package for package in members if _root_file(package, _MACROS) is not None] or list(members)
    if not able:
        raise ProfileError("the workspace has no member that could be edited", hint="add a package to it")
    ordered = sorted(able, key=lambda package: (above[package.id], package.name, package.id))
    binaries = [package for package in members if _root_file(package, ("bin",)) is not None]
    binary = min(binaries, key=lambda package: (above[package.id], package.directory != workspace.root), default=None)
    if bench.binary is not None:
        binary = _named(members, bench.binary, "bench.binary")
        if binary not in binaries:
            names = ", ".join(package.name for package in binaries) or "no member has one"
            raise _no_package("bench.binary", f"{shown(bench.binary)} has no binary", f"with a binary: {names}")
    leaf = ordered[0] if bench.leaf is None else _named(members, bench.leaf, "bench.leaf")
    hub = ordered[-1] if bench.hub is None else _named(members, bench.hub, "bench.hub")
    return Targets(leaf, hub, binary)


def source_of(package: Package, *, binary: bool) -> Path:
    """Return the file that the library of a package begins with, or its binary where asked for or where it has no library."""
    kinds: tuple[Iterable[str], ...] = (_LIBRARIES, _MACROS, ("bin",))
    for wanted in (("bin",), *kinds) if binary else kinds:
        found = _root_file(package, wanted)
        if found is not None:
            return found
    return Path(package.targets[0].src_path)


def _needed_by(workspace: Workspace) -> dict[str, int]:
    """Return by id how many members need each member, directly or through others; what only tests need does not count."""
    above: dict[str, set[str]] = {package.id: set() for package in workspace.members}
    for package in workspace.members:
        waiting, seen = [package.id], {package.id}
        while waiting:
            for below, kinds in workspace.edges.get(waiting.pop(), ()):
                if below not in seen and any(kind != "dev" for kind in kinds):
                    seen.add(below)
                    waiting.append(below)
                    above.setdefault(below, set()).add(package.id)
    return {id_: len(others) for id_, others in above.items()}


def _root_file(package: Package, kinds: Iterable[str]) -> Path | None:
    wanted = frozenset(kinds)
    return next((Path(target.src_path) for target in package.targets if wanted.intersection(target.kinds)), None)


def _named(members: tuple[Package, ...], name: str, key: str) -> Package:
    for package in members:
        if package.name == name:
            return package
    names = [package.name for package in members]
    raise _no_package(
        key, f"no member is called {shown(name)}", did_you_mean(name, names) or f"members: {', '.join(names[:20])}"
    )


def _no_package(key: str, message: str, hint: str) -> ProfileError:
    return ProfileError(
        "the profile names a package that cannot be edited", problems=(Problem(message, key=key, hint=hint),)
    )
