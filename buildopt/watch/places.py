"""Where to look for edits: the places that a build reads, as the workspace tells them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from buildopt.cargo.model import Package, Workspace

__all__ = ["Places", "Wanted", "is_temporary", "parents", "places", "within"]

_SOURCES = ("src", "tests", "benches", "examples")
_AT_ROOT = (
    "Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml", ".cargo/config.toml", ".cargo/config",
    ".cargo/buildopt.toml", ".cargo/buildopt.host.toml", ".config/nextest.toml",
)  # fmt: skip
_IN_PACKAGES = ("Cargo.toml", "build.rs", "clippy.toml", ".clippy.toml", "rustfmt.toml", ".rustfmt.toml")
_NEVER_NAMES = (".buildopt", ".git", ".hg", ".jj", ".svn", "node_modules", "__pycache__")

# Names that editors give to what is not the file yet, or no longer.
_TEMPORARY = re.compile(
    r"""
      .*\.sw[a-px]            # vim, nano: swap files
    | 4913 | 5036             # vim: may this directory be written?
    | .*~                     # backups of vim, emacs, nano, gedit
    | \.\#.* | \#.*\#         # emacs: locks, automatic saves
    | .*___jb_(tmp|old|bak)___
    | \.goutputstream-.*      # GNOME
    | .*\.kate-swp | \.~lock\..*\#
    | .*\.(rs|toml|lock)\.(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{6}  # KDE's QSaveFile
    | .*\.(rs|toml|lock)[A-Za-z0-9]{6}\.bck  # Helix
    | .*\.vsctmp              # Visual Studio Code
    | \.tmp[A-Za-z0-9]{6}     # Zed, and whatever else uses Rust's tempfile
    | \..*\.tmp | \.subl.*    # Sublime Text, buildopt itself
    | sed[A-Za-z0-9]{6}       # sed -i
    | \.nfs[0-9a-f]+ | \.fuse_hidden.* | \.DS_Store
    """,
    re.VERBOSE | re.DOTALL,
).fullmatch


class Places(NamedTuple):
    """What is watched. All paths are absolute, except for names in `never`; none of them has to exist."""

    trees: tuple[Path, ...]
    """Directories with all that is below them; none of them lies in another."""
    files: tuple[Path, ...]
    """Single files, which count even where git ignores them. One that turns out to be a directory is a tree."""
    never: tuple[Path, ...]
    """Absolute: what lies there never counts. Relative: nor does what has this name, wherever it is."""
    flat: tuple[Path, ...] = ()
    """Directories whose own files count, but not what is in directories below: a target lies beside everything else."""


def places(workspace: Workspace, profile: Path, extra: Iterable[Path] = ()) -> Places:
    """Return where an edit can change a build of `workspace`.

    `profile` is the file of the profile; `extra` are further files and directories: what build scripts declare, what the
    profile extends, what a package reads of another. Relative paths start at the workspace root.
    """
    root = os.path.abspath(workspace.root)
    never = (Path(os.path.abspath(workspace.target_directory)), *map(Path, _NEVER_NAMES))
    trees, flat = set[str](), set[str]()
    files = {_absolute(root, name) for name in (*_AT_ROOT, *_IN_PACKAGES)} | {_absolute(root, profile)}
    for package in workspace.packages:
        directory = os.path.abspath(package.directory)
        files.update(_absolute(directory, name) for name in _IN_PACKAGES)
        files.update(_manifests_above(directory, root))
        trees.update(_absolute(directory, name) for name in _SOURCES)
        _place_targets(package, directory, root, trees, flat, files)
    for path in (_absolute(root, given) for given in extra):
        if not _excluded(path, root, never):
            (flat if within(root, path) else files).add(path)
    outermost = tuple(Path(tree) for tree in _outermost(trees))
    return Places(outermost, tuple(map(Path, sorted(files))), never, tuple(map(Path, sorted(flat))))


def is_temporary(name: str) -> bool:
    """Return whether a file of this name is one that an editor makes beside the file that it saves."""
    if name.endswith((".rs", ".toml")) and name[0] not in ".#":  # most are: the pattern takes its time
        return False
    return _TEMPORARY(name) is not None


class Wanted:
    """The places as text, for many questions."""

    def __init__(self, root: str, places: Places) -> None:
        self.trees = frozenset(map(str, places.trees))
        self.flat = frozenset(map(str, places.flat))
        self.single: dict[str, set[str]] = {}
        """Names of the single files, by directory."""
        for path in places.files:
            self.single.setdefault(str(path.parent), set()).add(path.name)
        self.starts = (*self.trees, *self.flat, *self.single)
        self.above = {parent for path in (*self.starts, root) for parent in (path, *parents(path))}
        """The directories in which something is watched, and all above them."""
        self.never_names = frozenset(str(path) for path in places.never if not path.is_absolute())
        self.never_paths = frozenset(str(path) for path in places.never if path.is_absolute())

    def covers(self, path: str) -> bool:
        """Return whether a file counts because of where it is."""
        parent, name = os.path.split(path)
        if name in self.single.get(parent, ()) or parent in self.flat:
            return True
        return self.is_in_tree(path)

    def is_in_tree(self, path: str) -> bool:
        """Return whether all that is in `path` counts: it is in a tree, or in what was named and is a directory."""
        return any(above in self.trees or self.is_single(above) for above in (path, *parents(path)))

    def is_single(self, path: str) -> bool:
        """Return whether `path` is one of the single files."""
        parent, name = os.path.split(path)
        return name in self.single.get(parent, ())


def parents(path: str) -> Iterator[str]:
    """Yield the directories that `path` is in, the nearest first."""
    above = os.path.dirname(path)
    while above != path:
        yield above
        path, above = above, os.path.dirname(above)


def within(path: str, directory: str) -> bool:
    """Return whether `path` is `directory` or in it, by their names alone."""
    return path == directory or path.startswith(directory.rstrip(os.sep) + os.sep)


def _place_targets(
    package: Package, directory: str, root: str, trees: set[str], flat: set[str], files: set[str]
) -> None:
    """Place the directory of every target: its modules lie beside it and below."""
    for target in package.targets:
        source = _absolute(directory, target.src_path)
        place = os.path.dirname(source)
        if place == directory and "custom-build" in target.kinds:
            files.add(source)
        elif within(root, place):
            files.add(source)
            flat.add(place)
        else:
            trees.add(place)


def _manifests_above(directory: str, root: str) -> Iterator[str]:
    """Yield where a package outside of the root may have the manifest of its own workspace."""
    while not within(root, os.path.dirname(directory)) and not within(directory, root):
        directory = os.path.dirname(directory)
        yield _absolute(directory, "Cargo.toml")


def _absolute(base: str, path: str | Path) -> str:
    return os.path.normpath(os.path.join(base, path))


def _outermost(paths: set[str]) -> list[str]:
    found: list[str] = []
    for path in sorted(paths, key=lambda path: path.split(os.sep)):
        if not found or not within(path, found[-1]):
            found.append(path)
    return found


def _excluded(path: str, root: str, never: tuple[Path, ...]) -> bool:
    """Return whether a file lies in what never counts; where the root itself lies does not matter."""
    inside = os.path.relpath(path, root).split(os.sep)
    return any(within(path, str(place)) if place.is_absolute() else str(place) in inside for place in never)
