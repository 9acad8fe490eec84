"""Dependencies by what a build without them would save, and packages that are built more than once. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from buildopt.cargo.crate_graph import CrateGraph
from buildopt.cargo.model import Package
from buildopt.generate.features import enabled
from buildopt.generate.toml import key_text, quoted
from buildopt.record import UnitRow
from buildopt.report.slow_units import packages_by_unit
from buildopt.report.slow_view import Dependency, Duplicate

__all__ = ["Built", "dependencies", "duplicates", "only_through", "read_built"]

_SHOWN = 10
_SIMULATED = 30
_MOST_TABLES = 3
_SHOWN_SWITCHES = 3
_LEAST_SHARE = 0.01  # of all work


class Built(NamedTuple):
    """What a build was made of."""

    graph: CrateGraph
    roots: tuple[str, ...]
    """Members that it built, or found fresh."""
    dev: bool
    """Whether it built tests, benches or examples, which use dev-dependencies."""
    seconds: Mapping[str, float]
    """By package id, of all its units."""
    units: Mapping[str, tuple[int, ...]]
    """By package id, the indices of its units."""


def read_built(units: Sequence[UnitRow], all_units: Iterable[UnitRow], graph: CrateGraph) -> Built:
    """Return what the rebuilt `units` were made of; `all_units` are those that were fresh as well."""
    seconds: dict[str, float] = defaultdict(float)
    by_package: dict[str, list[int]] = defaultdict(list)
    for at, package in enumerate(packages_by_unit(units, graph)):
        if package is not None:
            seconds[package] += units[at].duration_seconds or 0.0
            by_package[package].append(at)
    everything = tuple(all_units)
    seen = {package for package in packages_by_unit(everything, graph) if package is not None}
    roots = tuple(sorted(package for package in seen if graph[package].member))
    dev = any(unit.mode == "test" or unit.target.startswith(("test ", "bench ", "example ")) for unit in everything)
    return Built(graph, roots, dev, seconds, {package: tuple(found) for package, found in by_package.items()})


def only_through(built: Built, cut: Collection[str], *, by_members: bool = True) -> set[str]:
    """Return the packages that nothing would pull in without `cut`, themselves included where that is so.

    With `by_members` only the members let go of it; else everything does.
    """
    return _reached(built, set(), by_members=True) - _reached(built, set(cut), by_members=by_members)


def dependencies(
    built: Built,
    members: Sequence[Package],
    gated: Mapping[str, Collection[str]],
    wall: Callable[[Collection[int]], float],
) -> tuple[Dependency, ...]:
    """Return the dependencies of `members` that would save most, the heaviest first.

    `gated` are the names that the profile already gates, by member; `wall` tells how much earlier the build would end without
    some of its units.
    """
    direct: dict[str, set[str]] = defaultdict(set)
    for root in built.roots:
        for edge in built.graph[root].edges:
            if not built.graph[edge.id].member and (built.dev or set(edge.kinds) != {"dev"}):
                direct[edge.id].add(root)
    weighed = []
    least = _LEAST_SHARE * sum(built.seconds.values())
    for package, declared_by in direct.items():
        only = only_through(built, (package,))
        work = sum(built.seconds.get(each, 0.0) for each in only)
        if work >= least:
            weighed.append((work, package, only, declared_by))
    weighed.sort(key=lambda row: (-row[0], row[1]))
    by_id = {member.id: member for member in members}
    found = []
    for work, package, only, declared_by in weighed[:_SIMULATED]:
        saved = wall([at for each in only for at in built.units.get(each, ())])
        declaring = [by_id[each] for each in sorted(declared_by) if each in by_id]
        crate = built.graph[package]
        gate, todo = _advice(crate.name, declaring, gated)
        inside = sorted(
            f"{built.graph[each].name} {built.graph[each].version}" for each in (only & built.units.keys()) - {package}
        )
        names = tuple(member.name for member in declaring)
        found.append(Dependency(crate.name, crate.version, work, saved, tuple(inside), names, gate, todo))
    return tuple(found[:_SHOWN])


def duplicates(built: Built, units: Sequence[UnitRow]) -> tuple[Duplicate, ...]:
    """Return the packages that were built in several versions, or in one version twice, the most expensive first."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for package in built.units:
        by_name[built.graph[package].name].append(package)
    found = [
        _versions(built, name, sorted(ids, key=lambda each: _version_key(built.graph[each].version)))
        for name, ids in by_name.items()
        if len(ids) > 1
    ]
    found += _twice(units)
    least = _LEAST_SHARE * sum(built.seconds.values())
    worth = (duplicate for duplicate in found if duplicate.work_seconds >= least)
    return tuple(sorted(worth, key=lambda duplicate: (-duplicate.work_seconds, duplicate.name))[:_SHOWN])


def _reached(built: Built, cut: set[str], *, by_members: bool) -> set[str]:
    seen = set(built.roots)
    todo = list(seen)
    while todo:
        crate = built.graph[todo.pop()]
        wanted = {"normal", "build", "dev"} if built.dev and crate.member else {"normal", "build"}
        for edge in crate.edges:
            is_cut = edge.id in cut and (crate.member or not by_members)
            if edge.id not in seen and not is_cut and wanted & set(edge.kinds):
                seen.add(edge.id)
                todo.append(edge.id)
    return seen


def _advice(
    name: str, declaring: Sequence[Package], gated: Mapping[str, Collection[str]]
) -> tuple[tuple[str, ...], str]:
    """Return the lines that gate a dependency, and what to do about it."""
    wanted: list[tuple[Package, str]] = []
    switched: list[str] = []
    for member in declaring:
        declared = [each for each in member.dependencies if each.package == name and each.kind != "dev"]
        gates = {*gated.get(member.name, ()), *gated.get("*", ())}
        always = {each.key for each in declared if not each.optional}
        wanted += [(member, key) for key in sorted(always - gates)]
        switched += [_switch(member, key) for key in sorted({each.key for each in declared} - always)]
        if always & gates:
            switched.append(f"buildopt.toml gates it in {member.name} already: buildopt sync makes it optional")
    lines = _gate_lines(wanted)
    todo = []
    if lines:
        names = [line.partition(" = ")[0] for line in lines if not line.startswith("[")]
        uses = " or ".join(f"#[cfg(feature = {quoted(name)})]" for name in dict.fromkeys(names))
        todo.append(f"gate it: these lines in buildopt.toml, then buildopt sync, and {uses} before what uses it")
    todo += dict.fromkeys(switched[:_SHOWN_SWITCHES])
    if not todo:
        who = ", ".join(member.name for member in declaring[:3]) + ("…" if len(declaring) > 3 else "")
        todo.append(
            f"only tests, benches and examples of {who} use it: move them to a package that quick stages leave out"
        )
    return tuple(lines), "; ".join(todo)


def _gate_lines(wanted: Sequence[tuple[Package, str]]) -> list[str]:
    """Return the tables of buildopt.toml that make a dependency optional: one for every member, or one for all of them."""
    keys = {key for _, key in wanted}
    if len(wanted) > _MOST_TABLES and len(keys) == 1 and not any(key in member.features for member, key in wanted):
        (key,) = keys
        return ['[features."*"]', f"{key_text(key)} = [{quoted(f'dep:{key}')}]"]
    lines: list[str] = []
    for member, pairs in groupby(wanted, key=lambda pair: pair[0]):
        lines.append(f"[{key_text('features', member.name)}]")
        lines += [f"{key_text(_feature(key, member))} = [{quoted(f'dep:{key}')}]" for _, key in pairs]
    return lines


def _feature(key: str, member: Package) -> str:
    """Return a name for the gate that the member does not use for something else."""
    return key if key not in member.features else f"with-{key}"


def _switch(member: Package, key: str) -> str:
    items = {f"dep:{key}", key}
    features = [
        name
        for name, listed in member.features.items()
        if name != "default" and (items & set(listed) or any(item.startswith(f"{key}/") for item in listed))
    ] or [f"dep:{key}" if f"dep:{key}" in member.features.get("default", ()) else key]
    names = ", ".join(map(quoted, features[:3]))
    if key in enabled(member.features, ["default"]):
        return f"optional in {member.name}: take what switches it on ({names}) out of its `default`"
    return f"optional in {member.name}: leave {names} out of the `features` of the stage"


def _versions(built: Built, name: str, ids: Sequence[str]) -> Duplicate:
    older, newest = ids[:-1], ids[-1]
    work = sum(built.seconds.get(each, 0.0) for each in only_through(built, older, by_members=False))
    through = _way_to(built, older[0])
    version, latest = built.graph[older[0]].version, built.graph[newest].version
    if len(through) == 1:
        todo = f"ask for {latest} in the manifest of {through[0]}"
    elif len(through) > 1:
        todo = f"upgrade {through[1]} (needed by {through[0]}): {through[-1]} asks for {version}; cargo tree --invert {name}@{version}"
    else:
        todo = f"cargo tree --invert {name}@{version} shows who asks for it"
    return Duplicate(name, tuple(built.graph[each].version for each in ids), work, through, todo)


def _way_to(built: Built, package: str) -> tuple[str, ...]:
    """Return the names on the shortest way from a member to what needs `package`, which itself is left out."""
    came: dict[str, str | None] = dict.fromkeys(built.roots)
    todo = deque(built.roots)
    while todo:
        at = todo.popleft()
        if at == package:
            names = []
            step = came[at]
            while step is not None:
                names.append(built.graph[step].name)
                step = came[step]
            return tuple(reversed(names))
        crate = built.graph[at]
        for edge in crate.edges:
            if edge.id not in came and (built.dev or set(edge.kinds) != {"dev"}):
                came[edge.id] = at
                todo.append(edge.id)
    return ()


def _twice(units: Sequence[UnitRow]) -> list[Duplicate]:
    keys = [(unit.package, unit.version) for unit in units if unit.target == "lib" and unit.mode == "build"]
    found = []
    for (name, version), count in Counter(keys).items():
        if count > 1:
            seconds = sorted(
                unit.duration_seconds or 0.0
                for unit in units
                if (unit.package, unit.version, unit.target, unit.mode) == (name, version, "lib", "build")
            )
            todo = f"ask for the same features everywhere: cargo tree --duplicates --edges features --invert {name}@{version}"
            found.append(Duplicate(name, (version,), sum(seconds[:-1]), (), todo))
    return found


def _version_key(version: str) -> tuple[tuple[int, ...], bool, str]:
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    parts = tuple(int(part) for part in numbers[0].split(".")) if numbers else ()
    return parts, "-" not in version, version
