"""Another revision of the work tree: written out beside the copy, and what a switch to it changes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from buildopt.bench.tree import Tree, copy_untracked, give_history, neutral, repository_of
from buildopt.cargo.changes import GIT_ENVIRONMENT
from buildopt.cargo.model import Workspace
from buildopt.errors import ArgumentError, MachineRefused
from buildopt.host import Command, Finished, Host
from buildopt.profile.wording import shown

__all__ = ["Switch", "export_revision", "find_revision", "switch"]

_TIMEOUT_SECONDS = 300.0


class Switch(NamedTuple):
    """A file that is not the same in two trees: its path below both tops, and its content in each (None: not there)."""

    path: str
    here: tuple[bytes, int] | None
    """Content and permission bits."""
    there: tuple[bytes, int] | None


def find_revision(host: Host, root: Path, revision: str) -> str:
    """Return the id of a commit. Raises ArgumentError when git knows no such revision, or there is no git here."""
    found = _git(host, root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    text = found.stdout.decode(errors="replace").strip()
    if found.returncode != 0 or not text.isalnum():
        raise ArgumentError(f"git knows no revision {shown(revision)} here", hint="name a branch, a tag or a commit")
    return text


def export_revision(host: Host, workspace: Workspace, commit: str, top: Path) -> Tree:
    """Write the files of a commit below `top`, as a checkout would, without touching the index or the work tree.

    Raises MachineRefused when git cannot, or the disk is full.
    """
    root = workspace.root
    tree = Tree(top, top / root.relative_to(root.anchor))
    repository = _repository(host, root)
    host.files.make_directory(top)
    index = {"GIT_INDEX_FILE": str(top / "index")}
    _asked(host, repository, "read-tree", commit, env=index)
    _asked(host, repository, "checkout-index", "--all", "--quiet", f"--prefix={tree.path(repository)}/", env=index)
    host.files.remove(top / "index")
    if host.files.stamp(tree.root / "Cargo.toml") is None:
        raise ArgumentError(f"revision {commit[:12]} has no Cargo.toml in {root}", hint="name one that has")
    copy_untracked(host, workspace, tree)
    neutral(host, workspace, tree)
    give_history(host, root, tree, commit)
    return tree


def switch(host: Host, workspace: Workspace, here: Tree, there: Tree) -> tuple[Switch, ...]:
    """Return what a switch from `here` to `there` changes among the files that git tracks in either."""
    repository = _repository(host, workspace.root)
    tracked = _asked(host, repository, "ls-files", "-z", "--cached").split(b"\0")
    names = {os.fsdecode(name) for name in tracked if name} | set(_below(there.path(repository)))
    found = []
    for name in sorted(names):
        one, other = _content(host, here.path(repository) / name), _content(host, there.path(repository) / name)
        if one != other:
            found.append(Switch(str((here.path(repository) / name).relative_to(here.top)), one, other))
    return tuple(found)


def _repository(host: Host, root: Path) -> Path:
    found = repository_of(host, root)
    if found is None:
        raise ArgumentError(f"{root} is in no git repository", hint="a revision needs one")
    return found


def _below(folder: Path) -> Iterable[str]:
    for directory, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in ("target", ".git")]
        yield from (os.path.relpath(os.path.join(directory, name), folder) for name in names)


def _content(host: Host, path: Path) -> tuple[bytes, int] | None:
    if path.is_symlink():
        return None
    content = host.files.read(path) if path.is_file() else None
    return None if content is None else (content, host.files.mode(path) or 0o644)


def _asked(host: Host, root: Path, *arguments: str, env: dict[str, str] | None = None) -> bytes:
    finished = _git(host, root, *arguments, env=env)
    if finished.returncode != 0:
        said = finished.stderr.decode(errors="replace").strip().splitlines()
        raise MachineRefused(f"git {arguments[0]} fails: {said[0] if said else finished.returncode}")
    return finished.stdout


def _git(host: Host, root: Path, *arguments: str, env: dict[str, str] | None = None) -> Finished:
    if host.which("git") is None:
        raise ArgumentError("a revision needs git, which is not found on PATH", hint="install git")
    return host.run(Command(("git", *arguments), root, {**GIT_ENVIRONMENT, **(env or {})}, _TIMEOUT_SECONDS))
