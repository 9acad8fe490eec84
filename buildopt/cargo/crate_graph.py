"""Every package of a build and what needs what, registry packages included: what the workspace model leaves out to stay small."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from buildopt.cargo.metadata import cargo_words
from buildopt.cargo.model import DependencyKind
from buildopt.errors import ManifestError
from buildopt.host import Command, Host

__all__ = ["Crate", "CrateGraph", "Edge", "query_crates"]

_TIMEOUT_SECONDS = 120.0


class Edge(NamedTuple):
    """One package that another one needs, and how."""

    id: str
    kinds: tuple[DependencyKind, ...]


class Crate(NamedTuple):
    """One package, from wherever it comes."""

    id: str
    name: str
    version: str
    member: bool
    proc_macro: bool
    links: bool
    """Whether its build script stands for a native library, whose dependents' build scripts wait for it."""
    edges: tuple[Edge, ...]


CrateGraph = Mapping[str, Crate]
"""Packages by id."""


def query_crates(host: Host, root: Path, platform: str, features: Sequence[str] = ()) -> CrateGraph:
    """Return the packages that a build for `platform` (a triple) uses, with the `features` arguments of a Cargo command.

    Asks without the network and never writes the lock file. Features that Cargo refuses are left out. Raises ManifestError with
    Cargo's own words.
    """
    argv = ("cargo", "metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", platform)
    finished = host.run(Command((*argv, *features), cwd=root, timeout_seconds=_TIMEOUT_SECONDS))
    if finished.returncode != 0 and features:
        finished = host.run(Command(argv, cwd=root, timeout_seconds=_TIMEOUT_SECONDS))
    if finished.returncode != 0:
        raise ManifestError(
            f"cargo metadata --locked --offline: {cargo_words(finished.stderr)}",
            hint="mend that, or run cargo fetch where the lock file or a package is missing",
        )
    return _graph(json.loads(finished.stdout))


def _graph(document: Mapping[str, Any]) -> dict[str, Crate]:
    members = set(document["workspace_members"])
    edges = {
        node["id"]: tuple(
            Edge(each["pkg"], tuple(sorted({kind["kind"] or "normal" for kind in each["dep_kinds"]})))
            for each in node["deps"]
        )
        for node in document["resolve"]["nodes"]
    }
    return {
        package["id"]: Crate(
            package["id"],
            package["name"],
            package["version"],
            package["id"] in members,
            any("proc-macro" in target["kind"] for target in package["targets"]),
            package.get("links") is not None,
            edges[package["id"]],
        )
        for package in document["packages"]
        if package["id"] in edges
    }
