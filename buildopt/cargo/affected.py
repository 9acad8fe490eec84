"""Which packages a set of changed files affects.

The answer covers every package of which Cargo would rebuild a unit:

1. A rule of the profile that matches a file decides for it alone; of several, the one with the most literal characters.
2. A file that steers all builds (`Cargo.lock`, the root manifest, the toolchain file, Cargo's configuration, …) affects everything.
3. Other files affect the package in whose directory they are, the innermost where packages are nested. A file that no package owns
   may be read by any of them (`include_str!("../../README.md")`) and affects everything. A package at the root of a workspace with
   other members owns only the directories of its targets: what else lies at the root belongs to no package.
4. A manifest also affects what the package depends on: features are unified over the workspace.
5. What depends on an affected package is affected. A development dependency affects the package that has it and goes no further.
   Neither does a file under `tests/`, `benches/` or `examples/`, in a package without a build script (which may watch it).

One package that reads a file of another (`include_str!("../../other/data.txt")`) is not seen; a rule can say so.

Globs are relative to the workspace root and match whole paths, case by case: `*` and `?` match within one name, `**` any
number of directories (`docs/**`, `**/*.md`, `a/**/b.txt`), `[ab]` and `[!ab]` one character. A glob that ends in `/` means all below it.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from buildopt.cargo.changes import Changes
from buildopt.cargo.model import Package, Workspace
from buildopt.errors import Problem, ProfileError

__all__ = ["Affected", "affected", "glob_pattern"]

_STEERING = frozenset((
    "Cargo.lock", "Cargo.toml", "rust-toolchain", "rust-toolchain.toml", "buildopt.toml", "clippy.toml", ".clippy.toml",
    "rustfmt.toml", ".rustfmt.toml", ".config/nextest.toml",
))  # fmt: skip
_INHERITED = frozenset(("clippy.toml", ".clippy.toml", "rustfmt.toml", ".rustfmt.toml"))
_LEAF_DIRECTORIES = frozenset(("tests", "benches", "examples"))
_LEAF_KINDS = frozenset(("test", "bench", "example"))
_STATE = ".buildopt"
_NAMED_IN_WHY = 4

_Reach = Literal["itself", "dependents"]


class Affected(NamedTuple):
    """The packages to build."""

    packages: tuple[Package, ...]
    """Workspace members, in the order of the workspace."""
    reasons: Mapping[str, str]
    """By package id: `edited`, `depends on core`, `features set by app`. Also holds path dependencies outside of the workspace."""
    everything: bool
    """Whether these are all members because of something that belongs to no single package."""
    why: str
    """One line for people."""


def affected(workspace: Workspace, changes: Changes, rules: Mapping[str, tuple[str, ...]] | None = None) -> Affected:
    """Return the packages that `changes` affect; `rules` maps globs to package names, none meaning no package.

    Raises ProfileError for a rule that names a package which is not there, or whose glob cannot be read.
    """
    compiled = _Rules(workspace, rules or {})
    if not changes.complete:
        return _everything(workspace, changes.note or "nobody can say what has changed")
    seeds = _Seeds(_Layout(workspace))
    for path in changes.paths:
        if path == _STATE or path.startswith(_STATE + "/") or "__pycache__" in path.split("/"):
            continue
        ruled = compiled.packages(path)
        if ruled is not None:
            for package in ruled:
                seeds.mark(package, "dependents")
            continue
        reason = seeds.take(path)
        if reason is not None:
            return _everything(workspace, reason)
    reasons = _spread(workspace, seeds)
    members = tuple(package for package in workspace.members if package.id in reasons)
    return Affected(members, reasons, False, _why(workspace, changes, members, reasons))


def glob_pattern(glob: str) -> str:
    """Return the regular expression of a glob; the module says what a glob means. Raises ValueError for an open `[`."""
    glob = glob.removeprefix("./")
    if glob.endswith("/"):
        glob += "**"
    pattern: list[str] = []
    names = glob.split("/")
    for index, name in enumerate(names):
        last = index == len(names) - 1
        if name == "**":
            pattern.append(".*" if last else "(?:[^/]+/)*")
        else:
            pattern.append(_name_pattern(name) + ("" if last else "/"))
    return "".join(pattern)


def _name_pattern(name: str) -> str:
    pattern = ""
    at = 0
    while at < len(name):
        character = name[at]
        at += 1
        if character == "*":
            pattern += "" if pattern.endswith("[^/]*") else "[^/]*"
        elif character == "?":
            pattern += "[^/]"
        elif character == "[":
            negated = name[at : at + 1] == "!"
            end = name.find("]", at + negated + 1)  # a "]" that comes first is a character like any other
            if end < 0:
                raise ValueError('"[" without "]"')
            content = re.sub(r"([\\\[\]^&~|])", r"\\\1", name[at + negated : end])
            pattern += f"(?!/)[{'^' if negated else ''}{content}]"
            at = end + 1
        else:
            pattern += re.escape(character)
    return pattern


class _Rules:
    """The rules of the profile, most specific first."""

    def __init__(self, workspace: Workspace, rules: Mapping[str, tuple[str, ...]]) -> None:
        ordered = sorted(rules, key=lambda glob: (-len(re.sub(r"[*?]|\[.*?\]", "", glob)), glob))
        by_name: dict[str, list[Package]] = {}
        for package in workspace.packages:
            by_name.setdefault(package.name, []).append(package)
        problems: list[Problem] = []
        patterns: list[str] = []
        self._packages: list[list[Package]] = []
        for glob in ordered:
            key = f'affected.paths."{glob}"'
            problems.extend(
                Problem(f"no package named {name!r} in this workspace", key=key)
                for name in rules[glob]
                if name not in by_name
            )
            try:
                patterns.append(glob_pattern(glob))
                re.compile(patterns[-1])
            except (ValueError, re.error) as error:
                problems.append(Problem(f"expected a glob: {error}", key=key))
            self._packages.append([package for name in rules[glob] for package in by_name.get(name, ())])
        if problems:
            raise ProfileError("the rules for changed files cannot be used", problems=tuple(problems))
        self._match = (
            re.compile("|".join(f"({pattern})" for pattern in patterns), re.DOTALL).fullmatch if patterns else None
        )

    def packages(self, path: str) -> list[Package] | None:
        """Return the packages of the rule that decides for `path`, or None when none does."""
        found = self._match(path) if self._match else None
        return self._packages[found.lastindex - 1] if found and found.lastindex else None


class _Layout:
    """Where the packages of a workspace are, by directory relative to the root (empty: the root itself)."""

    def __init__(self, workspace: Workspace) -> None:
        root = os.fspath(workspace.root)
        self.directories = {p.id: _relative(os.fspath(p.directory), root) for p in workspace.packages}
        self.below: dict[str, list[Package]] = {}
        """By directory, the packages in it and under it."""
        self.foreign: list[tuple[str, Package]] = []
        """Directories of targets that are outside of their package."""
        self._owners: dict[str, Package] = {}
        self._files: dict[str, Package] = {}
        self._leaves: dict[str, frozenset[str]] = {}
        alone = len(workspace.packages) == 1
        by_directory = {self.directories[package.id]: package for package in workspace.packages}
        for package in workspace.packages:
            directory = self.directories[package.id]
            for parent in _parents(directory):
                self.below.setdefault(parent, []).append(package)
            sources = {_relative(target.src_path, root): target.kinds for target in package.targets}
            self._place(package, directory, sources, alone)
            self._leaves[package.id] = _leaf_directories(directory, sources)
            for place in sorted({posixpath.dirname(source) for source in sources}):
                innermost = next((by_directory[parent] for parent in _parents(place) if parent in by_directory), None)
                if innermost is None or innermost.id != package.id:
                    self.foreign.append((place, package))
        self._found: dict[str, Package | None] = {}

    def owner(self, path: str) -> Package | None:
        """Return the package that owns a file, or a directory that stands for all in it."""
        if path in self._files:
            return self._files[path]
        if path in self._owners:
            return self._owners[path]
        directory = posixpath.dirname(path)
        if directory not in self._found:
            parents = (self._owners[parent] for parent in _parents(directory) if parent in self._owners)
            self._found[directory] = next(parents, None)
        return self._found[directory]

    def is_leaf(self, package: Package, path: str) -> bool:
        """Return whether only tests, benches and examples of `package` can contain the file."""
        directory = self.directories[package.id]
        inner = path[len(directory) + 1 :] if directory else path
        name, separator, _ = inner.partition("/")
        return bool(separator) and name in self._leaves[package.id]

    def _place(self, package: Package, directory: str, sources: Iterable[str], alone: bool) -> None:
        if directory or alone:
            self._owners[directory] = package
            return
        for source in sources:
            place = posixpath.dirname(source)
            if place:
                self._owners.setdefault(place, package)
            else:
                self._files[source] = package


class _Seeds:
    """The packages that changed files belong to, before dependents are added."""

    def __init__(self, layout: _Layout) -> None:
        self.reach: dict[str, _Reach] = {}
        self.manifests: set[str] = set()
        """Ids of packages whose manifest has changed."""
        self._layout = layout

    def mark(self, package: Package, reach: _Reach) -> None:
        """Note that `package` is affected, and whether its dependents are."""
        if reach == "dependents" or package.id not in self.reach:
            self.reach[package.id] = reach

    def take(self, path: str) -> str | None:
        """Mark what a changed file affects; return a reason when that is everything."""
        if path in _STEERING or path == ".cargo" or path.startswith(".cargo/"):
            return f"{path} has changed"
        layout = self._layout
        owner = layout.owner(path)
        inside = [package for place, package in layout.foreign if _within(path, place)]
        if owner is None and not inside:
            return f"{path} belongs to no package"
        directory, _, name = path.rpartition("/")
        inside += layout.below.get(path, ())
        if name in _INHERITED:
            inside += layout.below.get(directory, ())
        for package in inside:
            self.mark(package, "dependents")
        if owner is not None:
            self.mark(owner, "itself" if layout.is_leaf(owner, path) else "dependents")
            if name == "Cargo.toml" and directory == layout.directories[owner.id]:
                self.manifests.add(owner.id)
        return None


def _leaf_directories(directory: str, sources: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Return which of `tests`, `benches`, `examples` hold nothing that other packages could depend on."""
    if any("custom-build" in kinds for kinds in sources.values()):
        return frozenset()  # a build script that names no file is run again for any file of its package
    core = [posixpath.dirname(source) for source, kinds in sources.items() if not _LEAF_KINDS.issuperset(kinds)]
    if directory in core:
        return frozenset()
    return frozenset(
        name for name in _LEAF_DIRECTORIES if not any(_within(place, posixpath.join(directory, name)) for place in core)
    )


def _spread(workspace: Workspace, seeds: _Seeds) -> dict[str, str]:
    """Return the reasons of all affected packages: the seeds, what they set features of, and what depends on those."""
    names = {package.id: package.name for package in workspace.packages}
    reasons = {id_: "edited" for id_ in names if id_ in seeds.reach}
    passing = [id_ for id_ in reasons if seeds.reach[id_] == "dependents"]
    for id_ in [id_ for id_ in names if id_ in seeds.manifests]:
        for dependency in _dependencies(workspace, id_):
            reasons.setdefault(dependency, f"features set by {names[id_]}")
            passing.append(dependency)
    dependents: dict[str, list[tuple[str, bool]]] = {}
    for id_, edges in workspace.edges.items():
        for dependency, kinds in edges:
            dependents.setdefault(dependency, []).append((id_, any(kind != "dev" for kind in kinds)))
    seen = set(passing)
    for id_ in passing:  # grows while it is read
        for dependent, passes_on in dependents.get(id_, ()):
            reasons.setdefault(dependent, f"depends on {names[id_]}")
            if passes_on and dependent not in seen:
                seen.add(dependent)
                passing.append(dependent)
    return reasons


def _dependencies(workspace: Workspace, id_: str) -> list[str]:
    """Return the packages whose features a manifest can change: its dependencies, and theirs but for development."""
    found = [dependency for dependency, _ in workspace.edges.get(id_, ())]
    seen = set(found)
    for each in found:  # grows while it is read
        for dependency, kinds in workspace.edges.get(each, ()):
            if dependency not in seen and any(kind != "dev" for kind in kinds):
                seen.add(dependency)
                found.append(dependency)
    return found


def _everything(workspace: Workspace, reason: str) -> Affected:
    members = workspace.members
    reasons = {package.id: reason for package in workspace.packages}
    return Affected(members, reasons, True, f"all {_count(len(members))}: {reason}")


def _why(workspace: Workspace, changes: Changes, members: tuple[Package, ...], reasons: Mapping[str, str]) -> str:
    total = _count(len(workspace.members))
    if not members:
        what = "no changed file affects one" if changes.paths else f"nothing has changed since {changes.base or 'then'}"
        return f"0 of {total}: {what}"
    ordered = sorted(members, key=lambda package: reasons[package.id] != "edited")
    named = [f"{package.name} ({reasons[package.id]})" for package in ordered[:_NAMED_IN_WHY]]
    more = len(ordered) - len(named)
    return f"{len(members)} of {total}: {', '.join(named)}{f' and {more} more' if more else ''}"


def _count(number: int) -> str:
    return f"{number} package{'' if number == 1 else 's'}"


def _relative(path: str, root: str) -> str:
    """Return `path` relative to `root` with `/`; empty for the root itself."""
    if path == root:
        return ""
    if path.startswith(root + os.sep):
        return path[len(root) + 1 :].replace(os.sep, "/")
    return os.path.relpath(path, root).replace(os.sep, "/")


def _within(path: str, directory: str) -> bool:
    """Return whether `path` is `directory` or below it."""
    if directory == "":
        return not path.startswith("../")
    return path == directory or path.startswith(directory + "/")


def _parents(directory: str) -> Iterator[str]:
    """Yield `directory` and the directories above it, up to the root (and beyond it, where it begins outside)."""
    yield directory
    while directory != (directory := posixpath.dirname(directory)):
        yield directory
