"""Ask `cargo metadata`, and reduce its answer to what buildopt uses. Asking never writes the lock file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from buildopt.cargo.model import Dependency, DependencyKind, Package, Target, Workspace
from buildopt.cargo.toolchain import GET_RUST, missing_toolchain
from buildopt.errors import MachineRefused, ManifestError, ToolMissing
from buildopt.host import Command, Finished, Host

__all__ = ["cargo_words", "query_workspace"]

_TIMEOUT_SECONDS = 600.0
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_STALE = re.compile(rb"--locked was passed|needs to be updated")
_NETWORK = re.compile(
    rb"failed to download|failed to fetch|ould ?n.t resolve host|ould not connect|network|timed? ?out|SSL",
    re.IGNORECASE,
)
_LOCKED = re.compile(
    rb'^\[\[package\]\]\r?\nname = "(.+)"\r?\nversion = "(.+)"\r?\n(source = .+\r?\n)?(?:checksum = .+\r?\n)?'
    rb"(?:dependencies = \[\r?\n((?: .*\r?\n)*))?",
    re.MULTILINE,
)
_LOCKED_DEPENDENCY = re.compile(rb'^ "([^ "]+)(?: ([^ "]+))?( \()?', re.MULTILINE)
_SOURCE = re.compile(rb"^source = ", re.MULTILINE)
_WORDS_LINES = 15
_WORDS_LENGTH = 1500

_Edges = dict[str, dict[str, set[DependencyKind]]]


class _Answer(NamedTuple):
    """What one `cargo metadata` says about the packages on this disk."""

    root: Path
    target_directory: Path
    packages: dict[str, Package]
    edges: _Edges


def query_workspace(host: Host, root: Path) -> Workspace:
    """Return the workspace in `root` as Cargo sees it now.

    With a valid lock file Cargo resolves it (so that `[patch]` is followed), without the network where it can. With
    none, or a stale one, only the manifests are read. Raises ManifestError with Cargo's own words when it refuses the
    manifests, MachineRefused when it needs the network and has none, ToolMissing when there is no Cargo.
    """
    lock = host.files.read(root / "Cargo.lock")
    answer = _resolved(host, root) if lock is not None else None
    if answer is None:
        answer = _with_outside_packages(host, _reduce(_ask(host, root, "--no-deps")))
    return _workspace(answer, lock)


def cargo_words(stderr: bytes) -> str:
    """Return what Cargo says went wrong, without colours and status lines, shortened."""
    text = _ANSI.sub("", stderr.decode(errors="replace")).strip()
    start = re.search(r"^error(?:\[\w+\])?: ", text, re.MULTILINE)
    lines = [line.rstrip() for line in text[start.end() if start else 0 :].splitlines() if line.strip()]
    words = "\n".join(lines[:_WORDS_LINES])[:_WORDS_LENGTH]
    return words or "cargo gave no reason"


def _resolved(host: Host, root: Path) -> _Answer | None:
    """Ask with the lock file as it is, first from what is on this disk; None when the lock file is stale."""
    finished = _run(host, root, "--locked", "--offline")
    if finished.returncode != 0 and not _STALE.search(finished.stderr):
        finished = _run(host, root, "--locked")
    if finished.returncode == 0:
        return _reduce(finished.stdout)
    if _STALE.search(finished.stderr):
        return None
    if _NETWORK.search(finished.stderr):
        raise MachineRefused(
            f"cargo needs the network to read this workspace, and has none: {cargo_words(finished.stderr)}",
            hint="run `cargo fetch` once while the network is there",
        )
    raise _refusal(host, root, finished)


def _ask(host: Host, root: Path, *arguments: str) -> bytes:
    finished = _run(host, root, *arguments)
    if finished.returncode != 0:
        raise _refusal(host, root, finished)
    return finished.stdout


def _run(host: Host, root: Path, *arguments: str) -> Finished:
    argv = ("cargo", "metadata", "--format-version", "1", *arguments)
    try:
        finished = host.run(Command(argv, cwd=root, timeout_seconds=_TIMEOUT_SECONDS))
    except ToolMissing as error:
        raise ToolMissing("cargo is not found on PATH", hint=GET_RUST) from error
    if finished.timed_out:
        raise MachineRefused(f"cargo metadata did not end within {_TIMEOUT_SECONDS:.0f} s")
    return finished


def _refusal(host: Host, root: Path, finished: Finished) -> ManifestError | ToolMissing:
    missing = missing_toolchain(host, root, finished.stderr)
    return missing or ManifestError(f"cargo refuses the workspace in {root}: {cargo_words(finished.stderr)}")


def _with_outside_packages(host: Host, answer: _Answer) -> _Answer:
    """Add the path dependencies outside the workspace, which `--no-deps` leaves out, by asking where they are."""
    known = {str(package.directory) for package in answer.packages.values()}
    asked: set[str] = set()
    while True:
        wanted = {
            dependency.path
            for package in answer.packages.values()
            for dependency in package.dependencies
            if dependency.path is not None
        }
        missing = sorted(wanted - known - asked)
        if not missing:
            return answer
        directory = missing[0]
        asked.add(directory)
        there = _reduce(_ask(host, answer.root, "--no-deps", "--manifest-path", f"{directory}/Cargo.toml"))
        for package in there.packages.values():
            if str(package.directory) in wanted:
                answer.packages[package.id] = package._replace(member=False)
                known.add(str(package.directory))


def _reduce(stdout: bytes) -> _Answer:
    document = json.loads(stdout, object_hook=_reduce_object)
    members = set(document["workspace_members"])
    packages = {
        package.id: package._replace(member=package.id in members)
        for package in document["packages"]
        if package is not None
    }
    edges: _Edges = {}
    for package_id, dependencies in (document["resolve"] or {"nodes": ()})["nodes"]:
        if package_id in packages:
            found = edges.setdefault(package_id, {})
            for dependency_id, kinds in dependencies:
                if dependency_id in packages:
                    found.setdefault(dependency_id, set()).update(kinds)
    return _Answer(Path(document["workspace_root"]), Path(document["target_directory"]), packages, edges)


def _reduce_object(found: dict[str, Any]) -> Any:
    """Shrink each JSON object as it is read: a large workspace is mostly registry packages, which are dropped here."""
    if "uses_default_features" in found and "req" in found:
        return Dependency(
            key=found["rename"] or found["name"],
            package=found["name"],
            kind=found["kind"] or "normal",
            target=found["target"],
            optional=found["optional"],
            path=found.get("path"),
        )
    if "crate_types" in found and "src_path" in found:
        return Target(
            found["name"],
            tuple(found["kind"]),
            found["src_path"],
            found.get("doctest", False),
            found.get("test", False),
            tuple(found.get("required-features") or ()),
        )
    if "manifest_path" in found and "targets" in found:
        return _reduce_package(found) if found["source"] is None else None
    if "dep_kinds" in found and "pkg" in found:
        return found["pkg"], tuple({kind["kind"] or "normal" for kind in found["dep_kinds"]})
    if "deps" in found and "dependencies" in found and "id" in found:
        return found["id"], found["deps"]
    return found


def _reduce_package(found: Mapping[str, Any]) -> Package:
    return Package(
        id=found["id"],
        name=found["name"],
        version=found["version"],
        manifest=Path(found["manifest_path"]),
        member=False,
        features={name: tuple(enables) for name, enables in found["features"].items()},
        dependencies=tuple(found["dependencies"]),
        targets=tuple(found["targets"]),
        rust_version=found.get("rust_version"),
    )


def _workspace(answer: _Answer, lock: bytes | None) -> Workspace:
    packages = sorted(answer.packages.values(), key=lambda package: (package.name, package.version, package.id))
    by_directory = {str(package.directory): package.id for package in packages}
    by_version: dict[_Locked, list[str]] = {}
    for package in packages:
        by_version.setdefault(_Locked(package.name, package.version, False), []).append(package.id)
    stand_ins = _stand_ins(lock or b"")
    edges: dict[str, tuple[tuple[str, tuple[DependencyKind, ...]], ...]] = {}
    for package in packages:
        # Cargo resolves only what the default features use: what is declared counts as well, gated or not.
        found = answer.edges.get(package.id, {})
        for dependency in package.dependencies:
            target = by_directory.get(dependency.path) if dependency.path else None
            if target is not None:
                found.setdefault(target, set()).add(dependency.kind)
        for locked, by in stand_ins.get(_Locked(package.name, package.version, False), ()):
            kinds = {dependency.kind for dependency in package.dependencies if dependency.package == by}
            for other in by_version.get(locked, ()):
                if other != package.id and kinds:
                    found.setdefault(other, set()).update(kinds)
        edges[package.id] = tuple((target, tuple(sorted(each))) for target, each in sorted(found.items()))
    return Workspace(
        root=answer.root,
        target_directory=answer.target_directory,
        packages=tuple(packages),
        edges=edges,
        external_packages=None if lock is None else _count_external(lock),
        has_lock=lock is not None,
    )


class _Locked(NamedTuple):
    """A package in the lock file, or what one needs there (the version is empty where the name says enough)."""

    name: str
    version: str
    published: bool


def _stand_ins(lock: bytes) -> dict[_Locked, list[tuple[_Locked, str]]]:
    """Return which packages on this disk each of them needs, also by way of published ones, and by which dependency.

    With `[patch]`, a published package may depend on a member. The lock file names what any feature and platform could use.
    """
    needs: dict[_Locked, list[_Locked]] = {}
    by_name: dict[str, list[_Locked]] = {}
    for name, version, source, dependencies in _LOCKED.findall(lock):
        package = _Locked(name.decode(), version.decode(), bool(source))
        found = _LOCKED_DEPENDENCY.findall(dependencies)
        needs[package] = [_Locked(need.decode(), of.decode(), bool(origin)) for need, of, origin in found]
        by_name.setdefault(package.name, []).append(package)
    here = {package.name for package in needs if not package.published}
    through = any(need.name in here for package, found in needs.items() if package.published for need in found)
    return {package: list(_reached(package, needs, by_name, through)) for package in needs if not package.published}


def _reached(
    start: _Locked, needs: Mapping[_Locked, list[_Locked]], by_name: Mapping[str, list[_Locked]], through: bool
) -> Iterator[tuple[_Locked, str]]:
    def meant(need: _Locked) -> list[_Locked]:
        found = by_name.get(need.name, ())
        return [each for each in found if need.version in ("", each.version) and each.published >= need.published]

    for first in needs[start]:
        found = meant(first)
        seen = set(found)
        for package in found:  # grows while it is read
            if not package.published:
                yield package, first.name
            elif through:
                more = {each for need in needs[package] for each in meant(need)} - seen
                seen |= more
                found.extend(more)


def _count_external(lock: bytes) -> int:
    """Count the packages with a source: Cargo writes each key on a line of its own, and reading it as TOML takes ten times longer."""
    return len(_SOURCE.findall(lock))
