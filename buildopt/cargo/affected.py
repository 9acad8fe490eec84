"""Which packages a changed file affects, and which a set of them.

The answer covers every package of which Cargo would rebuild a unit:

1. A rule of the profile that matches a file decides for it alone; of several, the one with the most literal characters.
2. A file that steers all builds (`Cargo.lock`, the root manifest, the toolchain file, Cargo's configuration, …) affects everything.
3. Other files affect the package in whose directory they are, the innermost where packages are nested, and those that are known
   to read them (`include_str!("../../README.md")`, `rerun-if-changed`: `read_inputs`). A file that no package owns and none is
   known to read may be read by any of them and affects everything. A package at the root of a workspace with other members
   owns only the directories of its targets: what else lies at the root belongs to no package.
4. A manifest also affects what the package depends on, and where that includes published packages, all that depend on such:
   features are unified over the workspace. A manifest that lost a dependency must be asked of the workspace before the change too.
5. What depends on an affected package is affected. A development dependency affects the package that has it and goes no further.
   Neither does a file under `tests/`, `benches/` or `examples/`, in a package without a build script (which may watch it).
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from buildopt.cargo.changes import Changes
from buildopt.cargo.model import Package, Workspace
from buildopt.cargo.path_rules import PathRules

__all__ = ["Affected", "Reach", "Reached", "affected"]

_STEERING = frozenset((
    "Cargo.lock", "Cargo.toml", "rust-toolchain", "rust-toolchain.toml", "buildopt.toml", "clippy.toml", ".clippy.toml",
    "rustfmt.toml", ".rustfmt.toml", ".config/nextest.toml",
))  # fmt: skip
_INHERITED = frozenset(("clippy.toml", ".clippy.toml", "rustfmt.toml", ".rustfmt.toml"))
_TELLING = _INHERITED | {"Cargo.toml"}
_LEAF_DIRECTORIES = frozenset(("tests", "benches", "examples"))
_LEAF_KINDS = frozenset(("test", "bench", "example"))
_STATE = ".buildopt"
_NAMED_IN_WHY = 4


class Affected(NamedTuple):
    """The packages to build."""

    packages: tuple[Package, ...]
    """Workspace members, in the order of the workspace."""
    reasons: Mapping[str, str]
    """By package id: `edited`, `reads README.md`, `depends on core`, `features set by app`, `shares dependencies with app`.

    Also holds path dependencies outside of the workspace.
    """
    everything: bool
    """Whether these are all members because of something that belongs to no single package."""
    why: str
    """One line for people."""


class Reached(NamedTuple):
    """What one changed file affects."""

    packages: frozenset[str]
    """Ids of members and path dependencies, with what depends on them; all of them where `everything` is set."""
    everything: str | None
    """Why it is everything, as `Cargo.lock has changed`; None for what belongs to single packages, or to none."""


class Reach:
    """What changed files affect in one workspace: built once, asked for many files.

    `rules` maps globs to package names, none meaning no package. `readers` maps files and directories, relative to the
    root, to the ids of packages that read them, as `read_inputs` returns it. Raises ProfileError for a rule that names a
    package which is not there, or whose glob cannot be read.
    """

    def __init__(
        self,
        workspace: Workspace,
        rules: Mapping[str, tuple[str, ...]] | None = None,
        readers: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self._workspace = workspace
        self._rules = PathRules(workspace, rules or {})
        self._layout = _Layout(workspace, readers or {})
        self._graph = _Graph(workspace)
        self._all = frozenset(package.id for package in workspace.packages)
        self._reached: dict[_Mark, Reached] = {}

    def of(self, path: str) -> Reached:
        """Return what one changed file affects; `path` is as in `Changes.paths`."""
        mark = self._mark(path)
        if isinstance(mark, str):
            return Reached(self._all, mark)
        found = self._reached.get(mark)
        if found is None:
            found = self._reached[mark] = Reached(frozenset(self._graph.spread(mark, {})), None)
        return found

    def affected(self, changes: Changes) -> Affected:
        """Return the packages that `changes` affect: those of all its files together."""
        if not changes.complete:
            return _everything(self._workspace, changes.note or "nobody can say what has changed")
        marks = {_Mark()}
        read: dict[str, str] = {}
        for path in changes.paths:
            mark = self._mark(path)
            if isinstance(mark, str):
                return _everything(self._workspace, mark)
            marks.add(mark)
            for id_ in mark.readers:
                read.setdefault(id_, path)
        mark = _Mark(*(_NONE.union(*parts) for parts in zip(*marks, strict=True)))
        reasons = self._graph.spread(mark, read)
        members = tuple(package for package in self._workspace.members if package.id in reasons)
        return Affected(members, reasons, False, _why(self._workspace, changes, members, reasons))

    def _mark(self, path: str) -> _Mark | str:
        """Return what a changed file belongs to, or a reason why it affects everything."""
        if (
            path == _STATE
            or path.startswith(_STATE + "/")
            or ("__pycache__" in path and "__pycache__" in path.split("/"))
        ):
            return _Mark()
        ruled = self._rules.packages(path)
        if ruled is not None:
            return _Mark(ruled)
        if path in _STEERING or path == ".cargo" or path.startswith(".cargo/"):
            return f"{path} has changed"
        return self._layout.mark(path) or f"{path} belongs to no package"


def affected(workspace: Workspace, changes: Changes, rules: Mapping[str, tuple[str, ...]] | None = None) -> Affected:
    """Return the packages that `changes` affect, where nothing is known of who reads what; `rules` is as for `Reach`."""
    return Reach(workspace, rules).affected(changes)


class _Mark(NamedTuple):
    """The packages that a changed file belongs to, by id, before what depends on them is added."""

    whole: frozenset[str] = frozenset()
    alone: frozenset[str] = frozenset()
    """Those of which only tests, benches and examples can contain the file: what depends on them is not affected."""
    readers: frozenset[str] = frozenset()
    """Those that are known to read it."""
    manifests: frozenset[str] = frozenset()
    """Those whose manifest it is; they are in `whole` too."""


_NONE: frozenset[str] = frozenset()


class _Layout:
    """Where the packages of a workspace are, by directory relative to the root (empty: the root itself), and who reads what."""

    def __init__(self, workspace: Workspace, readers: Mapping[str, frozenset[str]]) -> None:
        self._homes = {p.id: _relative(os.fspath(p.directory), os.fspath(workspace.root)) for p in workspace.packages}
        self._members = {package.id for package in workspace.members}
        self._owners: dict[str, str] = {}
        self._below: dict[str, set[str]] = {}
        """By directory, the packages in it and under it."""
        self._foreign: dict[str, set[str]] = {}
        """By directory outside of a package, the packages that have a target in it."""
        self._leaves: set[tuple[str, str]] = set()
        """Packages, and directories of them that only tests, benches and examples can contain files of."""
        self._watching_root: set[str] = set()
        """The package at the root if it has a build script, which may watch all that lies there."""
        self._places = set(self._homes.values())
        self._readers = {"" if path == "." else path: ids for path, ids in readers.items()}
        self._readers_below: dict[str, set[str]] = {}
        for package in workspace.packages:
            self._add(package, os.fspath(workspace.root))
        for path, ids in self._readers.items():
            for parent in _parents(path):
                self._readers_below.setdefault(parent, set()).update(ids)
        self._places.update(self._owners, self._below, self._foreign, self._readers_below)
        self._turns = {*self._owners, *self._foreign, *self._readers, *(place for _, place in self._leaves)}
        """Directories in which a file may belong to others than a file in the directory above."""
        self._marks: dict[str, _Mark | None] = {}

    def mark(self, path: str) -> _Mark | None:
        """Return what a file belongs to, or a directory that stands for all in it; None when that is no package."""
        directory, _, name = path.rpartition("/")
        if name in _TELLING or path in self._places:
            return self._telling_mark(path, directory, name)
        if directory not in self._marks:
            turn = next((parent for parent in _parents(directory) if parent in self._turns), None)
            if turn is not None and turn not in self._marks:
                self._marks[turn] = self._compose(turn, turn, None)
            self._marks[directory] = None if turn is None else self._marks[turn]
        return self._marks[directory]

    def _telling_mark(self, path: str, directory: str, name: str) -> _Mark | None:
        """Return the mark of a path that says more than that it is in its directory."""
        mark = self._compose(directory, path if path in self._places else directory, self._owners.get(path))
        if mark is None:
            return None
        more = self._below.get(path, _NONE)
        manifests = _NONE
        if name == "Cargo.toml":
            manifests = frozenset(id_ for id_ in mark.whole if self._homes[id_] == directory)
        if name in _INHERITED or not manifests <= self._members:  # that manifest may be the root of another workspace
            more = more | self._below.get(directory, _NONE)
        return _Mark(mark.whole | more, mark.alone, mark.readers.union(self._readers_below.get(path, ())), manifests)

    def _compose(self, directory: str, place: str, owner: str | None) -> _Mark | None:
        """Return what belongs to `owner`, or else to that of `directory`, and to others because it is `place` or in it."""
        leaf = False
        if owner is None:
            above = tuple(_parents(directory))
            owner = next((self._owners[parent] for parent in above if parent in self._owners), None)
            leaf = any((owner, parent) in self._leaves for parent in above)
        foreign = _NONE.union(*(self._foreign.get(parent, ()) for parent in _parents(place)))
        readers = _NONE.union(*(self._readers.get(parent, ()) for parent in _parents(place)))
        if owner is not None:
            own = frozenset((owner,))
            return _Mark(foreign, own, readers) if leaf else _Mark(foreign | own, _NONE, readers)
        if not foreign and not readers:
            return None
        return _Mark(foreign if place.startswith("..") else foreign | self._watching_root, _NONE, readers)

    def _add(self, package: Package, root: str) -> None:
        home = self._homes[package.id]
        sources = {_relative(target.src_path, root): target.kinds for target in package.targets}
        places = {posixpath.dirname(source) for source in sources}
        for parent in _parents(home):
            self._below.setdefault(parent, set()).add(package.id)
        self._leaves.update((package.id, place) for place in _leaf_directories(home, sources))
        for place in places:
            if next((parent for parent in _parents(place) if parent in self._places), None) != home:
                self._foreign.setdefault(place, set()).add(package.id)
        if home or len(self._homes) == 1:
            self._owners[home] = package.id
            return
        if any("custom-build" in kinds for kinds in sources.values()):
            self._watching_root.add(package.id)
        for source in sources:
            self._owners.setdefault(posixpath.dirname(source) or source, package.id)


class _Graph:
    """Which package depends on which."""

    def __init__(self, workspace: Workspace) -> None:
        self._names = {package.id: package.name for package in workspace.packages}
        self._edges = workspace.edges
        self._published = [p.id for p in workspace.packages if any(need.path is None for need in p.dependencies)]
        """Those that depend on published packages."""
        self._dependents: dict[str, list[tuple[str, bool]]] = {}
        for id_, edges in workspace.edges.items():
            for dependency, kinds in edges:
                passes_on = any(kind != "dev" for kind in kinds)
                self._dependents.setdefault(dependency, []).append((id_, passes_on))

    def spread(self, mark: _Mark, read: Mapping[str, str]) -> dict[str, str]:
        """Return the reasons of all affected packages; `read` holds what each of `mark.readers` has read."""
        whole, alone, readers, manifests = mark
        reasons = {id_: "edited" for id_ in self._names if id_ in whole or id_ in alone}
        reasons.update((id_, f"reads {read.get(id_)}") for id_ in self._names if id_ in readers and id_ not in reasons)
        passing = [id_ for id_ in reasons if id_ in whole or id_ in readers]
        for id_ in [id_ for id_ in self._names if id_ in manifests]:
            for other, reason in self._sharing(id_):
                reasons.setdefault(other, reason)
                passing.append(other)
        seen = set(passing)
        for id_ in passing:  # grows while it is read
            for dependent, passes_on in self._dependents.get(id_, ()):
                reasons.setdefault(dependent, f"depends on {self._names[id_]}")
                if passes_on and dependent not in seen:
                    seen.add(dependent)
                    passing.append(dependent)
        return reasons

    def _sharing(self, id_: str) -> Iterator[tuple[str, str]]:
        """Yield the packages that a manifest can change the features for, and why.

        Those are its dependencies, theirs but for development, and those that depend on published packages as one of these does.
        """
        found = [dependency for dependency, _ in self._edges.get(id_, ())]
        seen = set(found)
        for each in found:  # grows while it is read
            for dependency, kinds in self._edges.get(each, ()):
                if dependency not in seen and any(kind != "dev" for kind in kinds):
                    seen.add(dependency)
                    found.append(dependency)
        name = self._names[id_]
        yield from ((each, f"features set by {name}") for each in found)
        if not {id_, *found}.isdisjoint(self._published):
            yield from ((each, f"shares dependencies with {name}") for each in self._published)


def _leaf_directories(directory: str, sources: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Return which of `tests`, `benches`, `examples` hold nothing that other packages could depend on."""
    if any("custom-build" in kinds for kinds in sources.values()):
        return frozenset()  # a build script that names no file is run again for any file of its package
    core = [posixpath.dirname(source) for source, kinds in sources.items() if not _LEAF_KINDS.issuperset(kinds)]
    if directory in core:
        return frozenset()
    leaves = (posixpath.join(directory, name) for name in _LEAF_DIRECTORIES)
    return frozenset(leaf for leaf in leaves if not any(_within(place, leaf) for place in core))


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
    """Yield `directory` and the directories above it, up to the root or, from outside, to where the way to it turns."""
    yield directory
    while directory and directory != ".." and not directory.endswith("/.."):
        directory = directory.rpartition("/")[0]
        yield directory
