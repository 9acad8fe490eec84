"""Which binaries an image gets: those that the profile names, or every one of the workspace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from buildopt.cargo.model import Package, Workspace
from buildopt.errors import Problem, ProfileError
from buildopt.generate.toml import quoted
from buildopt.profile.model import Docker
from buildopt.profile.wording import did_you_mean, listed

__all__ = ["Binary", "binaries_of"]

_KEY = "docker.binaries"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)


class Binary(NamedTuple):
    """A binary, and the member that it is built from."""

    name: str
    package: Package


def binaries_of(docker: Docker, workspace: Workspace) -> tuple[tuple[Binary, ...], tuple[str, ...]]:
    """Return the binaries of the image, the entry point first, and notes.

    Raises ProfileError when one is not there, stands in several packages, or has a name that no image can hold.
    """
    there = _all(workspace)
    problems: list[Problem] = []
    if not there:
        problems = [
            Problem("no package of this workspace has a binary", key="docker", hint="remove the table [docker]")
        ]
    names = docker.binaries or tuple(dict.fromkeys(binary.name for binary in there))
    chosen: list[Binary] = []
    for name in names:
        found = [binary for binary in there if binary.name == name]
        problem = _problem(name, found, there, workspace)
        if problem is None:
            chosen += found
        else:
            problems.append(problem)
    if problems:
        raise ProfileError("no Dockerfile can be written for this workspace", problems=tuple(problems))
    if docker.binaries or len(chosen) < 2:
        return tuple(chosen), ()
    others = ", ".join(binary.name for binary in chosen[1:])
    return tuple(chosen), (f"docker.binaries is not set: the image starts {chosen[0].name}, and also has {others}",)


def _all(workspace: Workspace) -> list[Binary]:
    """Return every binary: those of the root package first, then by package."""
    members = sorted(workspace.members, key=lambda package: package.directory != workspace.root)
    return [
        Binary(target.name, package)
        for package in members
        for target in sorted(package.targets)
        if "bin" in target.kinds
    ]


def _problem(name: str, found: Sequence[Binary], there: Iterable[Binary], workspace: Workspace) -> Problem | None:
    if not found:
        return Problem(f"no package has a binary {quoted(name)}", key=_KEY, hint=_nearest(name, there, workspace))
    if len(found) > 1:
        packages = listed((binary.package.name for binary in found), "and")
        message = f"the binary {quoted(name)} stands in several packages: {packages}"
        return Problem(message, key=_KEY, hint="Cargo would let one overwrite the other: rename one")
    if not _NAME.fullmatch(name):
        return Problem(f"{quoted(name)} is no name that an image can hold", key=_KEY, hint="letters, digits, . - and _")
    return None


def _nearest(name: str, there: Iterable[Binary], workspace: Workspace) -> str:
    """Return what may have been meant: binaries may have another name than their package."""
    own = [binary.name for binary in there if binary.package.name == name]
    if own:
        return f"the package {quoted(name)} has {listed(own, 'and')}"
    names = [binary.name for binary in there]
    others = {target.name: target.kinds[0] for package in workspace.members for target in package.targets}
    if others.get(name) in ("example", "test", "bench"):
        return f"{quoted(name)} is {'an' if others[name] == 'example' else 'a'} {others[name]}, which no image gets"
    return did_you_mean(name, names) or f"there are {listed(names, 'and')}"
