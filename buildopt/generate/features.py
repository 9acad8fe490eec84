"""The rules that Cargo has for features and optional dependencies, as far as a gate can break them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from buildopt.errors import Problem
from buildopt.generate.toml import key_text
from buildopt.profile.wording import did_you_mean

__all__ = [
    "Declared",
    "Features",
    "Manifest",
    "additions",
    "dependency_of",
    "enabled",
    "find_problems",
    "gated_names",
    "keep_implicit",
    "merge",
    "reached",
    "read_manifest",
]

Features = Mapping[str, tuple[str, ...]]

_SECTIONS = {
    "dependencies": "normal",
    "build-dependencies": "build",
    "build_dependencies": "build",
    "dev-dependencies": "dev",
    "dev_dependencies": "dev",
}


class Declared(NamedTuple):
    """One place of a manifest that declares a dependency."""

    path: tuple[str, ...]
    kind: str
    optional: bool


class Manifest(NamedTuple):
    """What a manifest says about features and dependencies."""

    features: Features
    dependencies: Mapping[str, tuple[Declared, ...]]
    """By name in the manifest."""

    def gateable(self, name: str) -> tuple[Declared, ...]:
        """Return the declarations of `name` that can be optional: all but dev-dependencies."""
        return tuple(each for each in self.dependencies.get(name, ()) if each.kind != "dev")

    def optional(self, name: str) -> bool:
        """Whether a declaration of `name` is optional."""
        return any(each.optional for each in self.gateable(name))

    def implicit(self) -> set[str]:
        """Return the features that Cargo makes of optional dependencies by itself."""
        named = {item for items in self.features.values() for item in items}
        return {
            name
            for name in self.dependencies
            if self.optional(name) and f"dep:{name}" not in named and name not in self.features
        }


def read_manifest(values: Mapping[str, Any]) -> Manifest:
    """Return the features and dependencies that a parsed manifest declares."""
    features = {name: tuple(items) for name, items in values.get("features", {}).items()}
    declared: dict[str, list[Declared]] = {}
    tables: list[tuple[tuple[str, ...], Mapping[str, Any]]] = [((), values)]
    tables += [(("target", platform), table) for platform, table in values.get("target", {}).items()]
    for prefix, table in tables:
        for section, kind in _SECTIONS.items():
            for name, value in table.get(section, {}).items():
                optional = isinstance(value, dict) and value.get("optional", False) is True
                declared.setdefault(name, []).append(Declared((*prefix, section, name), kind, optional))
    return Manifest(features, {name: tuple(places) for name, places in declared.items()})


def dependency_of(item: str) -> str | None:
    """Return the dependency that an item of a feature list names with `dep:` or `/`; None for the name of a feature."""
    if item.startswith("dep:"):
        return item.removeprefix("dep:")
    name, slash, _ = item.partition("/")
    return name.removesuffix("?") if slash else None


def gated_names(features: Features) -> tuple[str, ...]:
    """Return the dependencies that `dep:` stands before, in order."""
    items = (item for items in features.values() for item in items)
    return tuple(dict.fromkeys(item.removeprefix("dep:") for item in items if item.startswith("dep:")))


def merge(base: Features, added: Features) -> dict[str, tuple[str, ...]]:
    """Return `base` with the features of `added`: its own order kept, missing items behind it."""
    merged = dict(base)
    for name, items in added.items():
        have = merged.get(name, ())
        merged[name] = (*have, *(item for item in dict.fromkeys(items) if item not in have))
    return merged


def additions(before: Features, after: Features) -> dict[str, tuple[str, ...]]:
    """Return what `after` has and `before` has not; a new feature is there even when it is empty."""
    missing = {name: tuple(i for i in items if i not in before.get(name, ())) for name, items in after.items()}
    return {name: items for name, items in missing.items() if items or name not in before}


def keep_implicit(old: Manifest, merged: Features) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return the features with those that `dep:` would take away, and the names of these.

    An optional dependency is a feature of its own name only as long as no list says `dep:`. One that was such a feature
    (another package or a command line may ask for it), or that a list names as one, stays one.
    """
    asked = {item for items in merged.values() for item in items}
    implicit = old.implicit()
    names = gated_names(merged)
    kept = tuple(name for name in names if name not in merged and (name in implicit or name in asked))
    return {**merged, **{name: (f"dep:{name}",) for name in kept}}, kept


def reached(features: Features, start: Iterable[str]) -> set[str]:
    """Return every item that is switched on when the features `start` are, themselves included."""
    todo, seen = [*start], set()
    while todo:
        item = todo.pop()
        if item not in seen:
            seen.add(item)
            todo += features.get(item, ())
    return seen


def enabled(features: Features, start: Iterable[str]) -> set[str]:
    """Return the optional dependencies that are switched on when the features `start` are."""
    items = reached(features, start)
    implicit = {item for item in items if dependency_of(item) is None and item not in features}
    return implicit | {name for item in items if "?/" not in item and (name := dependency_of(item)) is not None}


def find_problems(package: str, table: str, old: Manifest, wanted: Features, merged: Features) -> list[Problem]:
    """Return what Cargo would refuse about the features `wanted` of a package, written in the profile under `table`."""
    gates = gated_names(merged)
    names = {*merged, *old.implicit(), *gates}
    problems = []
    for feature, items in wanted.items():
        key = key_text("features", table, feature)
        if not _valid(feature):
            hint = "letters, digits, `-`, `_`, `+` and `.`; the first one a letter, a digit or `_`"
            problems.append(Problem(f"Cargo accepts no feature called {feature!r}", key=key, hint=hint))
        for item in items:
            found = _item_problem(package, feature, item, old, gates, names)
            if found:
                problems.append(Problem(found[0], key=key, hint=found[1]))
    return problems


def _item_problem(
    package: str, feature: str, item: str, old: Manifest, gates: Sequence[str], names: set[str]
) -> tuple[str, str] | None:
    name = dependency_of(item)
    if name is None:
        return _reference_problem(package, feature, item, old, names)
    places = old.dependencies.get(name, ())
    if not places:
        hint = did_you_mean(name, sorted(old.dependencies)) or "add the dependency first, or remove the item"
        return f"{item!r}: {package} has no dependency {name!r}", hint
    if item.startswith("dep:") and not old.gateable(name):
        return f"{item!r}: {name} is only a dev-dependency of {package}, and Cargo knows no optional ones", "remove it"
    if "?/" in item and name not in gates and not old.optional(name):
        return f"{item!r}: {name} is not optional in {package}", f"write {item.replace('?/', '/')!r}"
    return None


def _reference_problem(package: str, feature: str, item: str, old: Manifest, names: set[str]) -> tuple[str, str] | None:
    if item == feature:
        return f"the feature {item!r} turns itself on", "remove the item"
    if item in names:
        return None
    if item in old.dependencies:
        return f"{item!r} is a dependency of {package}, not a feature", f"write 'dep:{item}'"
    hint = did_you_mean(item, sorted(names)) or f"declare it too: {key_text(item)} = []"
    return f"{package} has no feature {item!r}", hint


def _valid(name: str) -> bool:
    """Whether Cargo takes `name` for a feature (its own check, of 1.95: an XID start, `_` or digit, then XID, `-`, `+`, `.`)."""
    if not name or name.startswith("dep:"):
        return False
    first, rest = name[0], name[1:]
    return (first.isidentifier() or first.isdecimal()) and all(c in "-+." or f"a{c}".isidentifier() for c in rest)
