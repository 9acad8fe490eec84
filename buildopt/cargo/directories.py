"""Where Cargo puts what it builds, and where the packages on this disk are: asked without resolving anything, in 20 ms."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from buildopt.cargo.metadata import cargo_words
from buildopt.errors import ManifestError
from buildopt.host import Command, Host

__all__ = ["Directories", "build_directories"]

_TIMEOUT_SECONDS = 600.0


class Directories(NamedTuple):
    """The directories of a workspace, absolute."""

    root: Path
    target: Path
    build: Path
    """Where fingerprints and intermediate files are: `build.build-dir`, since Cargo 1.91; mostly the target directory."""
    packages: tuple[tuple[str, str], ...]
    """Name and directory of each member, path dependency and package that `[patch]` puts in place of another one."""


def build_directories(host: Host, root: Path) -> Directories:
    """Return where Cargo builds the workspace in `root`, and from where.

    Raises ManifestError with Cargo's own words when it refuses the workspace, ToolMissing when there is no Cargo.
    """
    answer = _ask(host, root, ())
    packages: dict[str, str] = {}
    waiting = [*_patched(host, root)]
    answers = [answer]
    while answers:
        for package in answers.pop()["packages"]:
            packages[os.path.dirname(package["manifest_path"])] = package["name"]
            waiting += [dependency["path"] for dependency in package["dependencies"] if dependency.get("path")]
        while waiting and not answers:
            folder = waiting.pop()
            if folder not in packages and host.files.stamp(f"{folder}/Cargo.toml") is not None:
                packages[folder] = ""
                answers = [_ask(host, root, ("--manifest-path", f"{folder}/Cargo.toml"))]
    target = Path(answer["target_directory"])
    return Directories(
        root=Path(answer["workspace_root"]),
        target=target,
        build=Path(answer.get("build_directory") or target),
        packages=tuple((name, folder) for folder, name in sorted(packages.items()) if name),
    )


def _ask(host: Host, root: Path, more: tuple[str, ...]) -> Any:
    argv = ("cargo", "metadata", "--format-version", "1", "--no-deps", "--offline", *more)
    finished = host.run(Command(argv, cwd=root, timeout_seconds=_TIMEOUT_SECONDS))
    if finished.returncode != 0:
        raise ManifestError(f"cargo refuses the workspace in {root}: {cargo_words(finished.stderr)}")
    return json.loads(finished.stdout)


def _patched(host: Host, root: Path) -> Iterator[str]:
    try:
        tables = tomllib.loads((host.files.read(root / "Cargo.toml") or b"").decode()).get("patch", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return
    for table in tables.values():
        for entry in table.values():
            if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                yield os.path.normpath(root / entry["path"])
