"""`init`: read a Cargo workspace and write the two files that it starts with."""

from __future__ import annotations

from typing import NamedTuple

from buildopt import generate
from buildopt.host import Host
from buildopt.verbs.context import PROFILE_NAME, Context

__all__ = ["Started", "init"]


class Started(NamedTuple):
    """What `init` found and wrote."""

    summary: str
    """What the workspace is, in one line."""
    written: tuple[str, ...]
    kept: tuple[str, ...]
    """Files that were there already; none is ever overwritten."""


def init(host: Host, context: Context) -> Started:
    """Write buildopt.toml and noxfile.py for the workspace, as far as they are not there yet.

    Raises ManifestError when Cargo refuses the workspace, ToolMissing without Cargo; then nothing is written.
    """
    workspace, toolchain = context.workspace, context.toolchain
    texts = {
        PROFILE_NAME: generate.starter_profile(workspace, toolchain),
        "noxfile.py": generate.starter_noxfile(),
    }
    there = [name for name in texts if host.files.mode(context.root / name) is not None]
    context.prepare_state()
    for name, text in texts.items():
        if name not in there:
            host.files.write_new(context.root / name, text.encode())
    members = len(workspace.members)
    kind = "virtual workspace" if workspace.virtual else "package" if members == 1 else "workspace with a root package"
    outside = workspace.external_packages
    summary = f"{kind} of {members} member{'s' if members != 1 else ''}" if kind != "package" else "single package"
    summary += f", {outside} packages from registries" if outside is not None else ", no lock file yet"
    return Started(
        f"{summary}; cargo {toolchain.cargo}", tuple(name for name in texts if name not in there), tuple(there)
    )
