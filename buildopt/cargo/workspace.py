"""The workspace, kept in the state folder until something changes that `cargo metadata` depends on."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from buildopt.cargo.inputs import input_digest
from buildopt.cargo.kept import read_kept, write_kept
from buildopt.cargo.metadata import query_workspace
from buildopt.cargo.model import Dependency, Package, Target, Workspace
from buildopt.host import Host

__all__ = ["load_workspace"]

_FORMAT = "3"
_SHAPES = (TypeError, ValueError, KeyError, IndexError, AttributeError)  # of a value that is not what was written


def load_workspace(
    host: Host, root: Path, state: Path, *, fresh: bool = False, may_keep: Callable[[], bool] = lambda: True
) -> Workspace:
    """Return the workspace in `root`; `fresh` asks Cargo even when nothing has changed.

    The answer is kept in `state`, unless `may_keep` says no, keyed by the content of all manifests, the lock file, Cargo's
    configuration, the toolchain, and the files that become targets by being there. Raises ManifestError with Cargo's own
    words.
    """
    kept = None if fresh else _load_kept(host, root, state)
    if kept is not None:
        return kept
    asked_at = host.now()
    workspace = query_workspace(host, root)
    directories = [str(package.directory) for package in workspace.packages]
    key = _FORMAT + input_digest(host, root, directories)
    if not _edited_since(host, [*directories, str(root)], asked_at) and may_keep():
        write_kept(host, state, "workspace", key, _dump(workspace))
    return workspace


def _edited_since(host: Host, directories: list[str], asked_at: float) -> bool:
    """Return whether a manifest may have changed after Cargo read it and before it was digested."""
    since = (asked_at - 0.02) * 1e9  # file systems stamp with a clock that is a few milliseconds behind
    stamps = (host.files.stamp(f"{directory}/Cargo.toml") for directory in directories)
    return any(stamp is not None and stamp[1] > since for stamp in stamps)


def _load_kept(host: Host, root: Path, state: Path) -> Workspace | None:
    kept = read_kept(host, state, "workspace")
    try:
        key, value = kept
        directories = [os.path.dirname(package[3]) for package in value["packages"]]
        if key != _FORMAT + input_digest(host, root, directories):
            return None
        return _revive(value)
    except _SHAPES:
        return None


def _dump(workspace: Workspace) -> dict[str, Any]:
    return {
        **workspace._asdict(),
        "root": str(workspace.root),
        "target_directory": str(workspace.target_directory),
        "packages": [(*package[:3], str(package.manifest), *package[4:]) for package in workspace.packages],
    }


def _revive(value: Mapping[str, Any]) -> Workspace:
    return Workspace(
        root=Path(value["root"]),
        target_directory=Path(value["target_directory"]),
        packages=tuple(_revive_package(*package) for package in value["packages"]),
        edges={
            package: tuple((target, tuple(kinds)) for target, kinds in found)
            for package, found in value["edges"].items()
        },
        external_packages=value["external_packages"],
        has_lock=value["has_lock"],
    )


def _revive_package(
    id_: str,
    name: str,
    version: str,
    manifest: str,
    member: bool,
    features: Any,
    dependencies: Any,
    targets: Any,
    rust_version: str | None,
) -> Package:
    return Package(
        id_,
        name,
        version,
        Path(manifest),
        member,
        {feature: tuple(enables) for feature, enables in features.items()},
        tuple(Dependency(*dependency) for dependency in dependencies),
        tuple(
            Target(target[0], tuple(target[1]), target[2], target[3], target[4], tuple(target[5])) for target in targets
        ),
        rust_version,
    )
