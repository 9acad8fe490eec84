"""Feature gates: which dependencies become optional in which package, and which features turn them on.

Gates only ever add: a feature that leaves the profile stays in the manifest, since it may have become part of an API.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from buildopt.cargo.model import Package, Workspace
from buildopt.errors import GateRefused, Problem
from buildopt.generate.features import (
    Features,
    Manifest,
    additions,
    dependency_of,
    enabled,
    find_problems,
    gated_names,
    keep_implicit,
    merge,
    reached,
    read_manifest,
)
from buildopt.generate.manifest import ManifestEdit, edit_manifest
from buildopt.generate.toml import decode, encode, key_text, parse, quoted
from buildopt.profile.wording import did_you_mean

__all__ = ["Gates", "feature_names", "gate", "gate_paths"]

EVERY = "*"
_SHOWN_DEPENDENTS = 10


class Gates(NamedTuple):
    """Manifests with their gates, and what to tell a person about them."""

    files: Mapping[str, bytes]
    notes: tuple[str, ...]
    gated: tuple[str, ...]
    """Packages in which a dependency was always built and now is not, unless asked for."""


class Gated(NamedTuple):
    """One package with its gates decided."""

    package: Package
    old: Manifest
    features: Features
    newly: tuple[str, ...]
    """Dependencies that were not optional."""
    kept: tuple[str, ...]
    """Features that `dep:` would have taken away."""


def gate_paths(features: Mapping[str, Features], workspace: Workspace) -> tuple[str, ...]:
    """Return the manifests, relative to the root, that `gate` must see.

    Those of the gated packages, those of their dependents (for notes), and the root's (for inherited dependencies).
    """
    wanted = {package.id for package, _ in _by_package(features, workspace)}
    if not wanted:
        return ()
    seen = [p for p in workspace.members if p.id in wanted or _depends_on(workspace, p, wanted)]
    return tuple(sorted({"Cargo.toml", *(path for path in (_relative(workspace, p) for p in seen) if path)}))


def gate(features: Mapping[str, Features], workspace: Workspace, texts: Mapping[str, bytes]) -> Gates:
    """Return the member manifests with the feature gates of the profile.

    Raises GateRefused with every gate that would break a package, ManifestError when a manifest cannot be edited.
    """
    problems = _unknown_names(features, workspace)
    files: dict[str, bytes] = {}
    notes: list[str] = []
    dependent_notes: list[str] = []
    gated: list[str] = []
    for package, wanted in _by_package(features, workspace):
        path = _relative(workspace, package)
        if path is None or path not in texts:
            message = f"the manifest of {package.name} is not inside the workspace root"
            problems.append(Problem(message, key=key_text("features", package.name), hint="declare its gates by hand"))
            continue
        source = decode(texts[path], path)
        old = read_manifest(parse(source.text, path))
        table = package.name if package.name in features else EVERY
        found = find_problems(package.name, table, old, wanted, merge(old.features, wanted))
        problems += found
        if found:
            continue
        decided = _decide(package, old, wanted)
        edit = _edit(decided, wanted)
        changed = edit.optional or edit.features
        files[path] = encode(edit_manifest(source, path, edit), source) if changed else texts[path]
        if set(decided.newly) - enabled(decided.features, ["default"]):
            gated.append(package.name)
        notes += _notes(decided, reached(decided.features, ["default"]))
        dependent_notes += _dependent_notes(decided, workspace, texts)
    if problems:
        raise GateRefused("the feature gates cannot be set up; nothing was written", problems=tuple(problems))
    if len(dependent_notes) > _SHOWN_DEPENDENTS:
        more = len(dependent_notes) - _SHOWN_DEPENDENTS
        dependent_notes[_SHOWN_DEPENDENTS:] = [f"{more} more gated packages have dependents that lose something"]
    return Gates(files, (*notes, *dependent_notes), tuple(gated))


def feature_names(features: Mapping[str, Features], workspace: Workspace) -> dict[str, set[str]]:
    """Return the names of the features that each member has or will have, by package."""
    names = {package.name: {*package.features} for package in workspace.members}
    for package, wanted in _by_package(features, workspace):
        names[package.name] |= {*wanted}
    return names


def _decide(package: Package, old: Manifest, wanted: Features) -> Gated:
    features, kept = keep_implicit(old, merge(old.features, wanted))
    newly = tuple(name for name in gated_names(wanted) if not all(each.optional for each in old.gateable(name)))
    return Gated(package, old, features, newly, kept)


def _edit(decided: Gated, wanted: Features) -> ManifestEdit:
    old = decided.old
    places = (each for name in gated_names(wanted) for each in old.gateable(name))
    return ManifestEdit(
        tuple(each.path for each in places if not each.optional), additions(old.features, decided.features)
    )


def _relative(workspace: Workspace, package: Package) -> str | None:
    if not package.manifest.is_relative_to(workspace.root):
        return None
    return package.manifest.relative_to(workspace.root).as_posix()


def _depends_on(workspace: Workspace, package: Package, targets: Collection[str]) -> bool:
    return any(target in targets for target, _ in workspace.edges.get(package.id, ()))


def _by_package(features: Mapping[str, Features], workspace: Workspace) -> list[tuple[Package, Features]]:
    """Return the members that are asked for features, each with these."""
    if not features:
        return []
    every = features.get(EVERY, {})
    anywhere = {name for package in workspace.members for name in package.features}
    found: list[tuple[Package, Features]] = []
    for package in workspace.members:
        own = features.get(package.name, {})
        wanted = merge(own, _share(every, package, {*own, *package.features}, anywhere))
        if wanted:
            found.append((package, wanted))
    return found


def _share(every: Features, package: Package, known: set[str], anywhere: set[str]) -> Features:
    """Return those of the features of `"*"` that a package can have.

    An item whose dependency the package lacks is left out, and so is a feature that only consisted of such items, and
    an item that names a feature which other members have and this one has not.
    """
    has = {each.key for each in package.dependencies if each.kind != "dev"}
    asked = {name for items in every.values() for item in items if (name := dependency_of(item))}
    if asked and not asked & has:
        return {}
    kept = {name: tuple(i for i in items if dependency_of(i) in has | {None}) for name, items in every.items()}
    while True:
        lacking = ({*every} | anywhere) - {*kept} - known - has
        left = {name: tuple(i for i in items if i not in lacking) for name, items in kept.items()}
        left = {name: items for name, items in left.items() if items or not every[name]}
        if left == kept:
            return kept
        kept = left


def _unknown_names(features: Mapping[str, Features], workspace: Workspace) -> list[Problem]:
    members = {package.name for package in workspace.members}
    problems = []
    for name in features:
        if name != EVERY and name not in members:
            hint = did_you_mean(name, sorted(members)) or 'name a member, or "*" for all of them'
            problems.append(Problem(f"the workspace has no member {name!r}", key=key_text("features", name), hint=hint))
    return problems


def _notes(decided: Gated, default: Collection[str]) -> list[str]:
    name, features = decided.package.name, decided.features
    notes = [
        f"{name}: the feature {feature!r} is kept beside the gate, since something may ask for it by that name"
        for feature in decided.kept
    ]
    for dependency in decided.newly:
        gates = sorted(feature for feature, items in features.items() if f"dep:{dependency}" in items)
        if any(each.kind == "dev" for each in decided.old.dependencies[dependency]):
            notes.append(f"{name}: {dependency} is a dev-dependency too, so tests still build it")
        strong = sorted(f for f in default if any(i.startswith(f"{dependency}/") for i in features.get(f, ())))
        if strong:
            notes.append(
                f"{name}: {dependency} is still built by default, through {', '.join(map(quoted, strong))};"
                f" write {quoted(dependency + '?/…')} there if only {', '.join(map(quoted, gates))} should build it"
            )
    return notes


def _dependent_notes(decided: Gated, workspace: Workspace, texts: Mapping[str, bytes]) -> list[str]:
    """Return a note for each dependency behind a gate that dependents of the package no longer get."""
    name = decided.package.name
    without: dict[str, list[str]] = {}
    for package in workspace.members if decided.newly else ():
        if not _depends_on(workspace, package, {decided.package.id}):
            continue
        path = _relative(workspace, package)
        if path is None or path not in texts:
            continue
        asked = [feature for request in _requests(package, name, path, texts) for feature in request]
        for dependency in set(decided.newly) - enabled(decided.features, asked):
            without.setdefault(dependency, []).append(package.name)
    notes = []
    for dependency, packages in sorted(without.items()):
        gates = [feature for feature, items in decided.features.items() if f"dep:{dependency}" in items]
        ask = " or ".join(f"features = [{quoted(feature)}]" for feature in gates)
        others = f" and {len(packages) - 1} more" if len(packages) > 1 else ""
        depend = "depend" if others else "depends"
        notes.append(
            f"{packages[0]}{others} {depend} on {name} without its {dependency}: where it is needed, write {ask}"
        )
    return notes


def _requests(package: Package, name: str, path: str, texts: Mapping[str, bytes]) -> list[list[str]]:
    """Return the features of `name` that a member asks for, once for each place where it depends on it."""
    values = parse(decode(texts[path], path).text, path)
    inherited: dict[str, Any] = {}
    if b"workspace" in texts[path] and "Cargo.toml" in texts:
        root = parse(decode(texts["Cargo.toml"], "Cargo.toml").text, "Cargo.toml")
        inherited = root.get("workspace", {}).get("dependencies", {})
    keys = {each.key for each in package.dependencies if each.package == name}
    found = []
    for key in sorted(keys):
        for place in read_manifest(values).dependencies.get(key, ()):
            value: Any = values
            for part in place.path:
                value = value[part]
            own = value if isinstance(value, dict) else {}
            base = inherited.get(key, {}) if own.get("workspace") is True else {}
            base = base if isinstance(base, dict) else {}
            default = own.get("default-features", base.get("default-features", True)) is not False
            found.append([*base.get("features", ()), *own.get("features", ()), *(["default"] if default else [])])
    return found
