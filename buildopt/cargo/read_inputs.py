"""Which packages read files that nobody would know of from where they lie, as the last builds in the target directory tell.

Two things tell it: the dep-info of each unit that was compiled (`include_str!`, `#[path]`, files that a procedural macro tracks),
and what each build script printed (`rerun-if-changed`). A unit that was not built yet has to be built anyway.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from buildopt.cargo.affected import Reach
from buildopt.cargo.config import cargo_home, load_config
from buildopt.cargo.model import Workspace
from buildopt.errors import MachineRefused, ManifestError
from buildopt.host import Host

__all__ = ["read_inputs"]

_HASH = re.compile(r"-[0-9a-f]{16}$")
_DECLARED = re.compile(r"^cargo::?rerun-if-changed=(.+?)\r?$", re.MULTILINE)
_OTHER = frozenset(("doc", "package", "tmp"))  # beside the directories of profiles
_TREES = ("src", "tests", "benches", "examples")
_NEWEST = 16
"""So many dep-info files are read for each target in one directory: it has one for every way to build it."""


def read_inputs(host: Host, workspace: Workspace) -> Mapping[str, frozenset[str]]:
    """Return the files and directories that packages read and that `Reach` would not know of, by path as in `Changes.paths`.

    The values are ids of packages. These are files of no package or of another, those that a library takes from its tests,
    and of a package's own those outside of `src`, `tests`, `benches`, `examples` and the directories of its targets; and all that
    build scripts declare. A directory stands for all below it, `.` for the root. Without a build yet there are none; what
    cannot be read is passed over.
    """
    search = _Search(host, workspace)
    for directory in _profile_directories(host, workspace):
        search.read(directory)
    return {path: frozenset(ids) for path, ids in sorted(search.found.items())}


class _Root(NamedTuple):
    """The source file that a target begins with."""

    package: str
    path: str


class _Search:
    def __init__(self, host: Host, workspace: Workspace) -> None:
        self.found: defaultdict[str, set[str]] = defaultdict(set)
        self._host = host
        self._base = os.fspath(workspace.root)
        self._real_base = os.path.realpath(self._base)
        self._followed_directories: dict[str, str] = {}
        self._inside: dict[str, bool] = {}
        """By directory, whether it is in one of the trees of sources."""
        self._reach = Reach(workspace)
        self._roots: dict[str, dict[str, list[_Root]]] = {}
        """By crate name and path, where targets begin."""
        self._scripts: dict[str, list[_Root]] = {}
        """By package name, where build scripts begin."""
        self._homes = {package.id: os.fspath(package.directory) for package in workspace.packages}
        self._trees: set[str] = set()
        self._known: set[tuple[_Root, str]] = set()
        never = (*_build_directories(host, workspace), cargo_home(host) / "registry", cargo_home(host) / "git")
        self._never = tuple(os.path.join(each, "") for place in never for each in {str(place), os.path.realpath(place)})
        for package in workspace.packages:
            home = self._homes[package.id]
            self._trees.update(os.path.join(home, name) for name in _TREES)
            for target in package.targets:
                root = _Root(package.id, self._relative(target.src_path))
                crate = self._roots.setdefault(target.name.replace("-", "_"), {})
                crate.setdefault(target.src_path, []).append(root)
                self._trees.add(os.path.dirname(target.src_path))
                if "custom-build" in target.kinds:
                    self._scripts.setdefault(package.name, []).append(root)
        self._trees -= {self._base, *self._homes.values()}
        self._sources = {source for crate in self._roots.values() for source in crate}

    def read(self, directory: str) -> None:
        """Take what is in one directory of a Cargo profile, as Cargo lays it out now or with `build-dir-new-layout`."""
        files = self._host.files
        for folder in (f"{directory}/deps", f"{directory}/examples"):
            self._compiled(folder)
        for name in files.names(f"{directory}/build"):
            folder = f"{directory}/build/{name}"
            package = _HASH.sub("", name)
            if package != name:
                if package in self._scripts:
                    self._compiled(folder)
                    self._printed(package, f"{folder}/output")
            else:
                for unit in files.folders(folder):
                    self._compiled(f"{folder}/{unit}/out")
                    self._printed(package, f"{folder}/{unit}/run/stdout")

    def _compiled(self, folder: str) -> None:
        by_crate: dict[str, list[str]] = {}
        for name in self._host.files.names(folder):
            if name.endswith(".d"):
                crate = _HASH.sub("", name[:-2])
                if crate in self._roots:
                    by_crate.setdefault(crate, []).append(f"{folder}/{name}")
        for crate, paths in by_crate.items():
            roots = self._roots[crate]
            for path in self._newest(paths, _NEWEST * len(roots)):
                self._take_dep_info(self._text(path), roots)

    def _newest(self, paths: list[str], count: int) -> list[str]:
        if len(paths) <= count:
            return paths
        stamps = {path: self._host.files.stamp(path) or (0, 0, 0) for path in paths}
        return sorted(paths, key=lambda path: -stamps[path][1])[:count]

    def _take_dep_info(self, text: str, roots: Mapping[str, list[_Root]]) -> None:
        """Note what one unit has read: the lines that hold nothing but `path:`, of which the first is where the target begins."""
        names = [line[:-1] for line in text.split("\n") if line.endswith(":") and not line.startswith("#")]
        paths = [os.path.join(self._base, name.replace("\\ ", " ")) for name in names]
        for root in next((roots[path] for path in map(os.path.normpath, paths) if path in roots), ()):
            for path in paths:
                self._note(root, path)

    def _printed(self, package: str, path: str) -> None:
        if package not in self._scripts or self._host.files.stamp(path) is None:
            return
        named = _DECLARED.findall(self._text(path))
        for root in self._scripts[package]:
            for declared in named or ("",):  # a script that names nothing is run again for any file of its package
                self._note(root, os.path.join(self._homes[root.package], declared), declared=True)

    def _note(self, root: _Root, path: str, *, declared: bool = False) -> None:
        if (root, path) in self._known:
            return
        self._known.add((root, path))
        for place in {os.path.normpath(path), self._followed(path)}:
            relative = self._relative(place)
            if not place.startswith(self._never) and (declared or not self._is_covered(root, place, relative)):
                self.found[relative].add(root.package)

    def _followed(self, path: str) -> str:
        """Return where a path leads when its symlinks are followed, as seen from the root: an edit is seen there."""
        directory, name = os.path.split(path)
        if directory not in self._followed_directories:
            self._followed_directories[directory] = os.path.realpath(directory)
        real = os.path.join(self._followed_directories[directory], name)
        real = os.path.realpath(path) if name == ".." or os.path.islink(real) else os.path.normpath(real)
        inside = real.startswith(self._real_base + os.sep)
        return self._base + real[len(self._real_base) :] if inside else real

    def _is_covered(self, root: _Root, path: str, relative: str) -> bool:
        """Return whether the file affects what the first file of the target affects, and is among its package's sources."""
        reached = self._reach.of(relative)
        if reached.everything is not None or not reached.packages >= self._reach.of(root.path).packages:
            return False
        return path in self._sources or self._in_tree(os.path.dirname(path))

    def _in_tree(self, directory: str) -> bool:
        if directory not in self._inside:
            above = os.path.dirname(directory)
            self._inside[directory] = directory in self._trees or (above != directory and self._in_tree(above))
        return self._inside[directory]

    def _relative(self, path: str) -> str:
        inside = path.startswith(self._base + os.sep)
        relative = path[len(self._base) + 1 :] if inside else os.path.relpath(path, self._base)
        return relative.replace(os.sep, "/")

    def _text(self, path: str) -> str:
        try:
            return (self._host.files.read(path) or b"").decode("utf-8", "surrogateescape")
        except MachineRefused:
            return ""  # Cargo cannot read it either, and builds the unit again


def _profile_directories(host: Host, workspace: Workspace) -> Iterator[str]:
    """Yield the directories that hold what was built with one Cargo profile, for this host or for a target platform."""
    for build in _build_directories(host, workspace):
        for name in host.files.folders(build):
            inner = [] if name in _OTHER else host.files.folders(build / name)
            if {"deps", "build"}.isdisjoint(inner):
                yield from (f"{build}/{name}/{each}" for each in inner)
            else:
                yield f"{build}/{name}"


def _build_directories(host: Host, workspace: Workspace) -> Iterable[Path]:
    """Return where Cargo keeps what it builds: the target directory, and `build.build-dir` where that is told plainly."""
    try:
        given = load_config(host, workspace.root).get("build", "build-dir")
    except (ManifestError, MachineRefused):
        given = None
    if given is None or not isinstance(given.value, str):
        return (workspace.target_directory,)
    text = given.value.replace("{workspace-root}", str(workspace.root))
    text = text.replace("{cargo-cache-home}", str(cargo_home(host)))
    file = workspace.root / given.where
    base = workspace.root if given.where.startswith("$") else file.parent.parent
    return (workspace.target_directory,) if "{" in text else (workspace.target_directory, base / text)
