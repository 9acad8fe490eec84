"""The scratch copy of a work tree: what git would know of, at the same place below another top.

The whole path is kept (`/home/u/ws` becomes `TOP/home/u/ws`), so that relative paths between packages, and Cargo's
configuration in folders above, mean in the copy what they mean in the original.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from buildopt.cargo.changes import GIT_ENVIRONMENT
from buildopt.cargo.config import REGION_BEGIN, cargo_home, config_sources, without_region
from buildopt.cargo.model import Workspace
from buildopt.cargo.read_inputs import read_inputs
from buildopt.cargo.root import find_root
from buildopt.errors import BuildoptError, MachineRefused
from buildopt.host import Command, Host
from buildopt.host.copies import copy_entry, copy_folder, remove_tree
from buildopt.host.trees import Status, walk

__all__ = [
    "Tree",
    "copy_tree",
    "copy_untracked",
    "duplicate",
    "files_of",
    "give_history",
    "neutral",
    "parts",
    "repository_of",
]

_SKIPPED = frozenset((".git", ".hg", ".jj", ".svn", ".buildopt", "node_modules", ".nox", ".venv"))
_ALWAYS = ("Cargo.lock", "rust-toolchain", "rust-toolchain.toml", ".cargo/config", ".cargo/config.toml")
_OURS = ("buildopt.toml", "buildopt.host.toml")
_TIMEOUT_SECONDS = 120.0


class Tree(NamedTuple):
    """A copy of a work tree, or of a revision."""

    top: Path
    """The folder that stands for `/`."""
    root: Path
    """The workspace root in it."""

    def path(self, original: Path) -> Path:
        """Return where the copy of an absolute path is."""
        return self.top / original.relative_to(original.anchor)


def parts(workspace: Workspace) -> tuple[Path, ...]:
    """Return the folders that hold the workspace: its root, and packages outside of it; none lies in another."""
    found = [workspace.root]
    for package in sorted(workspace.packages, key=lambda package: len(package.directory.parts)):
        if not any(package.directory.is_relative_to(part) for part in found):
            found.append(package.directory)
    return tuple(part for part in found if not any(part != other and part.is_relative_to(other) for other in found))


def files_of(host: Host, part: Path) -> Iterator[str]:
    """Yield the files below `part` that are copied, relative to it: those that git knows of or would add.

    Without git it is all but build directories. Raises MachineRefused when that is the home folder or the whole disk.
    """
    listed = _known_to_git(host, part)
    if listed is None and Path(host.environ.get("HOME") or "/").is_relative_to(part):
        raise MachineRefused(
            f"all of {part} would have to be copied", hint="move the package into a folder of its own, or use git there"
        )
    yield from _walked(part) if listed is None else _spread(part, listed)


def copy_tree(host: Host, workspace: Workspace, top: Path) -> Tree:
    """Copy the work tree below `top`: tracked and untracked files, without what git ignores.

    Without git it is all but build directories. Cargo finds there what it finds in the original, but for what buildopt
    has generated. Raises MachineRefused when the disk is full.
    """
    tree = Tree(top, top / workspace.root.relative_to(workspace.root.anchor))
    for part in parts(workspace):
        for name in files_of(host, part):
            copy_entry(part / name, tree.path(part) / name)
    copy_untracked(host, workspace, tree)
    neutral(host, workspace, tree)
    give_history(host, workspace.root, tree, "HEAD")
    return tree


def give_history(host: Host, root: Path, tree: Tree, commit: str) -> None:
    """Let the copy be a git repository of its own at `commit`, whose objects are those of the original.

    Build scripts ask git for versions, and Cargo asks it which files a package has. Without it the copy is still one.
    """
    repository = repository_of(host, root)
    if repository is None:
        return
    beside = tree.top / "history"
    copied = tree.path(repository)
    steps = (
        (repository, ("clone", "--quiet", "--shared", "--no-checkout", "--", str(repository), str(beside))),
        (repository, ("--git-dir", str(beside / ".git"), "update-ref", "--no-deref", "HEAD", commit)),
        (copied, ("reset", "--quiet", "--mixed")),
    )
    for directory, arguments in steps:
        if directory == copied:
            host.files.replace(beside / ".git", copied / ".git", flush=False)
        found = host.run(Command(("git", *arguments), directory, GIT_ENVIRONMENT, _TIMEOUT_SECONDS))
        if found.returncode != 0:
            break
    remove_tree(beside)


def repository_of(host: Host, root: Path) -> Path | None:
    """Return the top folder of the git repository around `root`; None when there is none, or no git."""
    if host.which("git") is None:
        return None
    found = host.run(Command(("git", "rev-parse", "--show-toplevel"), root, GIT_ENVIRONMENT, _TIMEOUT_SECONDS))
    path = os.fsdecode(found.stdout.removesuffix(b"\n"))
    return Path(path) if found.returncode == 0 and path else None


def duplicate(tree: Tree, top: Path) -> Tree:
    """Copy a copy, below another top."""
    copy_folder(tree.top, top)
    return Tree(top, top / tree.root.relative_to(tree.top))


def copy_untracked(host: Host, workspace: Workspace, tree: Tree) -> None:
    """Copy what Cargo needs and git may not know.

    That is the lock file, Cargo's configuration, packages and sources that git ignores, and what the last builds have read
    beside the workspace, in its repository.
    """
    for name in _ALWAYS:
        if not os.path.lexists(tree.root / name):
            copy_entry(workspace.root / name, tree.root / name)
    for package in workspace.packages:
        if not os.path.lexists(tree.path(package.manifest)):
            for name in _walked(package.directory):
                copy_entry(package.directory / name, tree.path(package.directory) / name)
        if not package.directory.is_relative_to(workspace.root):
            _copy_workspace_manifest(host, package.directory, tree)
    for path in (*_ignored_sources(host, workspace), *_read_beside(host, workspace)):
        if not os.path.lexists(tree.path(path)):
            copy_entry(path, tree.path(path))
    sources, _ = config_sources(host, workspace.root)
    for path, content in sources:
        copied = tree.path(path)
        if path.parent == cargo_home(host) or path.parent.parent in tree.top.parents or os.path.lexists(copied):
            continue  # Cargo reads it for the copy as it does for the original
        host.files.make_directory(copied.parent)
        host.files.write(copied, content, flush=False)


def _ignored_sources(host: Host, workspace: Workspace) -> Iterator[Path]:
    """Yield Rust files beside those that targets begin with that git ignores: they are mostly generated."""
    targets = [target for package in workspace.packages for target in package.targets]
    folders = {Path(target.src_path).parent for target in targets if "custom-build" not in target.kinds}
    for part in parts(workspace):
        listed = _known_to_git(host, part)
        if listed is None:
            continue
        known = {part / name for name in listed}
        for folder in sorted(folder for folder in folders if folder.is_relative_to(part)):
            found = (folder / name for name in _walked(folder) if name.endswith(".rs"))
            yield from (path for path in found if path not in known)


def _read_beside(host: Host, workspace: Workspace) -> Iterator[Path]:
    """Yield files that the last builds of the original have read outside of its packages, as far as its repository goes."""
    repository = repository_of(host, workspace.root)
    for name in read_inputs(host, workspace) if repository is not None else ():
        path = Path(os.path.normpath(workspace.root / name))
        if repository is not None and path.is_relative_to(repository) and path.is_file():
            yield path


def neutral(host: Host, workspace: Workspace, tree: Tree) -> None:
    """Take out of the copy what buildopt has generated for Cargo, so that it builds as Cargo alone would."""
    folder = tree.path(workspace.root / ".cargo")
    for name in _OURS:
        if host.files.stamp(folder / name) is not None:
            host.files.write(folder / name, b"", flush=False)
    for name in ("config", "config.toml"):
        content = host.files.read(folder / name) if host.files.stamp(folder / name) else None
        if content is not None and REGION_BEGIN.encode() in content:
            users = without_region(content.decode(errors="surrogateescape"))
            host.files.write(folder / name, users.encode(errors="surrogateescape"), flush=False)


def _known_to_git(host: Host, part: Path) -> list[str] | None:
    """Return the files that git tracks or would add, relative to `part`; None where git cannot say."""
    if host.which("git") is None:
        return None
    argv = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    finished = host.run(Command(argv, part, GIT_ENVIRONMENT, _TIMEOUT_SECONDS))
    if finished.returncode != 0 or not finished.stdout:
        return None
    return [os.fsdecode(name) for name in finished.stdout.split(b"\0") if name]


def _spread(part: Path, names: Iterable[str]) -> Iterator[str]:
    """Yield the files; a submodule or a repository inside the repository is one name, and stands for all in it."""
    for name in names:
        path = part / name
        if path.is_dir() and not path.is_symlink():
            yield from (f"{name.rstrip('/')}/{below}" for below in _walked(path))
        else:
            yield name


def _walked(folder: Path) -> Iterator[str]:
    """Yield what is below a folder, without build directories and what other tools keep."""

    def enter(directory: str, found: Mapping[str, Status]) -> Mapping[str, Status] | None:
        if "CACHEDIR.TAG" in found and directory != os.fspath(folder):
            return None
        # A module may be called target, too; a build directory stands beside a manifest.
        skipped = _SKIPPED | {"target"} if "Cargo.toml" in found else _SKIPPED
        return {name: status for name, status in found.items() if name not in skipped or status.kind != "folder"}

    for directory, found in walk(os.fspath(folder), enter):
        for name, status in found.items():
            if status.kind in ("file", "program", "link"):
                yield os.path.relpath(os.path.join(directory, name), folder)


def _copy_workspace_manifest(host: Host, package: Path, tree: Tree) -> None:
    """Copy the manifest of the other workspace that a package outside of ours belongs to: it may inherit from it."""
    try:
        manifest = find_root(host, package) / "Cargo.toml"
    except BuildoptError:
        return
    if not os.path.lexists(tree.path(manifest)):
        copy_entry(manifest, tree.path(manifest))
