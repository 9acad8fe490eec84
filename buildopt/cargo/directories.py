"""Where Cargo puts what it builds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from buildopt.cargo.metadata import cargo_words
from buildopt.errors import ManifestError
from buildopt.host import Command, Host

__all__ = ["Directories", "build_directories"]

_TIMEOUT_SECONDS = 600.0


class Directories(NamedTuple):
    """The two directories of a workspace, absolute; mostly they are one."""

    target: Path
    build: Path
    """Where fingerprints and intermediate files are: `build.build-dir`, since Cargo 1.91."""


def build_directories(host: Host, root: Path) -> Directories:
    """Return where Cargo builds the workspace in `root`.

    Raises ManifestError with Cargo's own words when it refuses the workspace, ToolMissing when there is no Cargo.
    """
    argv = ("cargo", "metadata", "--format-version", "1", "--no-deps", "--offline")
    finished = host.run(Command(argv, cwd=root, timeout_seconds=_TIMEOUT_SECONDS))
    if finished.returncode != 0:
        raise ManifestError(f"cargo refuses the workspace in {root}: {cargo_words(finished.stderr)}")
    found = json.loads(finished.stdout)
    target = Path(found["target_directory"])
    return Directories(target, Path(found.get("build_directory") or target))
