"""`report --slow`: joins the record with what Cargo says of the packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from buildopt.cargo.crate_graph import CrateGraph, query_crates
from buildopt.cargo.model import Package
from buildopt.errors import BuildoptError
from buildopt.generate.features import dependency_of
from buildopt.host.trees import Status, status_of, walk
from buildopt.profile.model import Profile
from buildopt.record import Record
from buildopt.report.slow import Surroundings, view_slow
from buildopt.report.slow_units import Build, find_build
from buildopt.report.slow_view import SlowView
from buildopt.verbs.context import Context

__all__ = ["look_slow"]

_LEAN = (0, False, "none", "line-directives-only", "line-tables-only")
_MOST_FILES = 20_000


def look_slow(context: Context, profile: Profile | None) -> SlowView:
    """Return why the last build took as long as it did; what Cargo refuses to tell becomes a note, never an error."""
    notes: list[str] = []
    with Record.open(context.host, context.state) as record:
        build = find_build(record)
        graph: CrateGraph = {}
        members: tuple[Package, ...] = ()
        if build is not None:
            try:
                graph = query_crates(context.host, context.root, context.toolchain.host, build.features)
                members = context.workspace.members
            except BuildoptError as error:
                todo = error.hint or "make cargo metadata work, then ask again"
                notes.append(f"what needs what is not known, so only single units are shown: {error.message} → {todo}")
        if record.note:
            notes.append(f"{record.note} → buildopt doctor shows more")
        around = Surroundings(graph, members, _gated(profile), _lean(profile, build), _newest(context), _again(profile))
        return view_slow(record, build, around, notes)


def _gated(profile: Profile | None) -> dict[str, set[str]]:
    tables = profile.features if profile is not None else {}
    return {
        package: {name for items in features.values() for item in items if (name := dependency_of(item))}
        for package, features in tables.items()
    }


def _lean(profile: Profile | None, build: Build | None) -> tuple[bool, bool]:
    """Return whether the profile asks for little debug info in members, and in other packages."""
    declared = profile.cargo.profile if profile is not None and profile.cargo is not None else {}
    name = build.cargo_profile if build is not None else None
    own: object = None
    others: object = None
    while name is not None and name in declared:
        found = declared[name]
        star = found.package.get("*")
        own = found.debug if own is None else own
        others = star.debug if others is None and star is not None else others
        name = found.inherits
    others = own if others is None else others
    return own in _LEAN, others in _LEAN


def _again(profile: Profile | None) -> str:
    if profile is None or not profile.stages:
        return "buildopt init, then buildopt dev-quick"
    stages = profile.stages
    stage = next((name for name in stages if {"build", "test"} & set(stages[name].run)), next(iter(stages)))
    return f"CARGO_TARGET_DIR=target/slow buildopt run {stage} --only --scope workspace"


def _newest(context: Context) -> Callable[[str], tuple[str, float] | None]:
    """Return what finds the file that was written last; the paths come from the record, and are only looked at."""

    def counted(_directory: str, found: Mapping[str, Status]) -> Mapping[str, Status] | None:
        if "CACHEDIR.TAG" in found:
            return None
        return {name: status for name, status in found.items() if not name.startswith(".") and name != "target"}

    def newest(path: str) -> tuple[str, float] | None:
        top = str(context.root / path)
        status = status_of(top)
        if status is None:
            return None
        files = [(status.mtime_ns, top)] if status.kind != "folder" else []
        for directory, found in walk(top, counted) if status.kind == "folder" else ():
            files += [(each.mtime_ns, f"{directory}/{name}") for name, each in found.items() if each.kind != "folder"]
            if len(files) > _MOST_FILES:
                return None
        when, file = max(files, default=(0, ""))
        return (file.removeprefix(f"{context.root}/"), when / 1e9) if file else None

    return newest
