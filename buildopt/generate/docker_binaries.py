"""Which binaries an image gets, and with which features: those that the profile names, or every one of the workspace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from buildopt.cargo.model import Package, Workspace
from buildopt.errors import Problem, ProfileError
from buildopt.generate.features import Features, merge, reached
from buildopt.generate.gates import feature_names
from buildopt.generate.toml import quoted, value_text
from buildopt.profile.model import Docker
from buildopt.profile.wording import did_you_mean, listed

__all__ = ["Binary", "Contents", "contents"]

_KEY = "docker.binaries"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)


class Binary(NamedTuple):
    """A binary, and the member that it is built from."""

    name: str
    package: Package
    required: tuple[str, ...]
    """Features without which Cargo does not build it."""


class Contents(NamedTuple):
    """What an image is made of."""

    binaries: tuple[Binary, ...]
    """The entry point first."""
    packages: tuple[Package, ...]
    """Members that the binaries are built from."""
    features: tuple[str, ...]
    """What Cargo is told of features."""
    notes: tuple[str, ...]


def contents(docker: Docker, gates: Mapping[str, Features], workspace: Workspace) -> Contents:
    """Return what the image gets; `gates` are the features that the profile declares by package.

    Raises ProfileError when a binary is not there, stands in several packages, or cannot be built with these features.
    """
    there = _all(workspace)
    notes: list[str] = []
    problems: list[Problem] = []
    if not there:
        problems.append(Problem("no package here has a binary", key="docker", hint="remove the table [docker]"))
    chosen: list[Binary] = []
    for name in docker.binaries or tuple(dict.fromkeys(binary.name for binary in there)):
        found = [binary for binary in there if binary.name == name]
        problem = _problem(name, found, there, workspace)
        lacking = _lacking(found[0], docker, gates) if found else ()
        if problem is not None:
            problems.append(problem)
        elif not lacking:
            chosen += found
        elif docker.binaries:
            message = f"the binary {quoted(name)} needs features that the image is not built with"
            problems.append(Problem(message, key="docker.features", hint=f"add {value_text(lacking)}"))
        else:
            notes.append(f"docker: {name} is left out, since it needs the features {value_text(lacking)}")
    if not chosen and not problems:
        problems.append(Problem("every binary needs features that are off", key="docker.features", hint='try "all"'))
    if problems:
        raise ProfileError("no Dockerfile can be written for this workspace", problems=tuple(problems))
    if not docker.binaries and len(chosen) > 1:
        others = ", ".join(binary.name for binary in chosen[1:])
        notes.append(f"docker.binaries is not set: the image starts {chosen[0].name}, and also has {others}")
    packages = tuple({binary.package.id: binary.package for binary in chosen}.values())
    features, more = _arguments(docker, packages, feature_names(gates, workspace))
    return Contents(tuple(chosen), packages, features, (*notes, *more))


def _all(workspace: Workspace) -> list[Binary]:
    """Return every binary: those of the root package first, then by package."""
    members = sorted(workspace.members, key=lambda package: package.directory != workspace.root)
    return [
        Binary(target.name, package, target.required_features)
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
    kinds = {target.name: target.kinds[0] for package in workspace.members for target in package.targets}
    if kinds.get(name) in ("example", "test", "bench"):
        return f"{quoted(name)} is {'an' if kinds[name] == 'example' else 'a'} {kinds[name]}, which no image gets"
    names = [binary.name for binary in there]
    return did_you_mean(name, names) or f"there are {listed(names, 'and')}"


def _lacking(binary: Binary, docker: Docker, gates: Mapping[str, Features]) -> tuple[str, ...]:
    """Return the features that a binary needs and that are off."""
    if docker.features == "all":
        return ()
    package = binary.package
    start = [] if docker.features == "none" else ["default"]
    if not isinstance(docker.features, str):
        start += (name.removeprefix(f"{package.name}/") for name in docker.features)
    on = reached(merge(package.features, gates.get(package.name, {})), start)
    return tuple(name for name in binary.required if name not in on)


def _arguments(
    docker: Docker, packages: Sequence[Package], known: Mapping[str, Iterable[str]]
) -> tuple[tuple[str, ...], list[str]]:
    """Return what Cargo is told of features, as for a stage: each in those packages that have it; and notes."""
    if isinstance(docker.features, str):
        return {"all": ("--all-features",), "none": ("--no-default-features",)}.get(docker.features, ()), []
    names: list[str] = []
    notes = []
    for feature in docker.features:
        package, slash, name = feature.rpartition("/")
        having = [each.name for each in packages if name in known[each.name] and (not slash or package == each.name)]
        names += (f"{each}/{name}" for each in having)
        if not having:
            notes.append(f"docker: no package of the image has the feature {feature!r}: it is left out")
    return (("--features", ",".join(dict.fromkeys(names))) if names else ()), notes
