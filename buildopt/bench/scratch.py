"""The folder in which a workspace is measured: outside of it, one process at a time, and gone afterwards.

Each use has a folder of its own name: a build that outlives a `kill -9` of buildopt then never writes into the next one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from buildopt.cargo.config import cargo_home
from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.host.copies import remove_tree
from buildopt.host.files import digest
from buildopt.host.process import end_processes_in

__all__ = ["open_scratch"]


@contextmanager
def open_scratch(host: Host, root: Path) -> Iterator[tuple[Path, int]]:
    """Yield an empty folder for measuring the workspace in `root`, and how many left-over ones were removed.

    It is removed in the end, and so is what an earlier process left that was killed. Raises MachineRefused when another
    process measures the same workspace, and when the place would change what Cargo reads.
    """
    files = host.files
    home = _home(host) / digest(os.fsencode(root))[:12]
    files.make_directory(home)
    _check_place(host, root, home)
    with files.lock(home / "lock", wait=False) as mine:
        holder = home / "process"
        if not mine:
            number = (files.read(holder) or b"?").decode(errors="replace").strip()
            raise MachineRefused(
                f"process {number} measures this workspace already, and two would measure each other",
                hint="wait until it has ended",
            )
        left = [name for name in files.folders(home) if name.startswith("use-")]
        for name in left:
            end_processes_in(home / name)
            remove_tree(home / name)
        files.write(holder, f"{os.getpid()}\n".encode(), flush=False)
        folder = home / f"use-{os.getpid()}-{host.now():.0f}"
        files.make_directory(folder)
        try:
            yield folder, len(left)
        finally:
            remove_tree(folder)
            with suppress(MachineRefused):
                files.remove(holder)


def _home(host: Host) -> Path:
    given = host.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if os.path.isabs(given) else Path(host.environ.get("HOME") or os.path.expanduser("~")) / ".cache"
    return Path(os.path.realpath(base)) / "buildopt" / "bench"


def _check_place(host: Host, root: Path, home: Path) -> None:
    """Refuse a place below a Cargo configuration or a workspace that the original does not lie below, or inside the original."""
    if home.is_relative_to(root):
        raise MachineRefused(
            f"{home} lies in the workspace that is measured", hint="set XDG_CACHE_HOME to another folder"
        )
    for folder in home.parents:
        if folder in root.parents:
            return
        if folder / ".cargo" == cargo_home(host):
            continue
        for name in (".cargo/config", ".cargo/config.toml", "Cargo.toml"):
            if host.files.stamp(folder / name) is not None:
                raise MachineRefused(
                    f"Cargo would read {folder / name} for whatever is built in {home}, and does not for {root}",
                    hint="set XDG_CACHE_HOME to another folder",
                )
