"""`report --slow`: joins the record with what Cargo says of the packages."""

from __future__ import annotations

from collections.abc import Callable

from buildopt.cargo.crate_graph import CrateGraph, query_crates
from buildopt.cargo.model import Package
from buildopt.errors import BuildoptError
from buildopt.generate.features import dependency_of
from buildopt.profile.model import Profile
from buildopt.record import Record
from buildopt.report.slow import Surroundings, view_slow
from buildopt.report.slow_units import find_build
from buildopt.report.slow_view import SlowView
from buildopt.verbs.context import Context

__all__ = ["look_slow"]


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
        around = Surroundings(graph, members, _gated(profile), _modified(context), _again(profile))
        return view_slow(record, build, around, notes)


def _gated(profile: Profile | None) -> dict[str, set[str]]:
    tables = profile.features if profile is not None else {}
    return {
        package: {name for items in features.values() for item in items if (name := dependency_of(item))}
        for package, features in tables.items()
    }


def _again(profile: Profile | None) -> str:
    if profile is None or not profile.stages:
        return "buildopt init, then buildopt dev-quick"
    stages = profile.stages
    stage = next((name for name in stages if {"build", "test"} & set(stages[name].run)), next(iter(stages)))
    return f"CARGO_TARGET_DIR=target/slow buildopt run {stage} --only --scope workspace"


def _modified(context: Context) -> Callable[[str], float | None]:
    """Return what tells when a file was last written; the names come from the record, and are only looked at."""

    def modified(name: str) -> float | None:
        stamp = None if "\0" in name else context.host.files.stamp(context.root / name)
        return None if stamp is None else stamp[1] / 1e9

    return modified
