"""Answers that cost a process, kept as JSON in the state folder: any of these files can be deleted at any time."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from buildopt.errors import MachineRefused
from buildopt.host import Host

__all__ = ["Kept", "read_kept", "write_kept"]


class Kept(NamedTuple):
    """An answer and the key that it was kept under."""

    key: Any
    value: Any


def read_kept(host: Host, state: Path, name: str) -> Kept:
    """Return what was kept under `name`; both None when nothing was, or the file is damaged."""
    try:
        kept = json.loads(host.files.read(state / "cache" / f"{name}.json") or b"null")
    except (ValueError, RecursionError, MachineRefused):
        kept = None
    return Kept(kept.get("key"), kept.get("value")) if isinstance(kept, dict) else Kept(None, None)


def write_kept(host: Host, state: Path, name: str, key: str, value: Any) -> None:
    """Keep `value` under `name`. A state folder that cannot be written is done without."""
    text = json.dumps({"key": key, "value": value}, separators=(",", ":"))
    with contextlib.suppress(MachineRefused):
        if not host.files.names(state):
            host.files.make_directory(state)
            host.files.write(state / ".gitignore", b"*\n", flush=False)
        host.files.make_directory(state / "cache")
        host.files.write(state / "cache" / f"{name}.json", text.encode(), flush=False)
