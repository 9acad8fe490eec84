"""Answers that cost a process, kept as JSON in the state folder: any of these files can be deleted at any time."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from buildopt.errors import MachineRefused
from buildopt.host import Host

__all__ = ["read_kept", "write_kept"]


def read_kept(host: Host, state: Path, name: str, key: str | None = None) -> Any:
    """Return what was kept under `name`; None when nothing was, when the file is damaged, and when `key` is another."""
    try:
        kept = json.loads(host.files.read(state / "cache" / f"{name}.json") or b"null")
    except (ValueError, RecursionError, MachineRefused):
        return None
    if not isinstance(kept, dict) or (key is not None and kept.get("key") != key):
        return None
    return kept.get("value")


def write_kept(host: Host, state: Path, name: str, key: str, value: Any) -> None:
    """Keep `value` under `name`. A state folder that cannot be written is done without."""
    text = json.dumps({"key": key, "value": value}, separators=(",", ":"))
    with contextlib.suppress(MachineRefused):
        if not host.files.names(state):
            host.files.make_directory(state)
            host.files.write(state / ".gitignore", b"*\n")
        host.files.make_directory(state / "cache")
        host.files.write(state / "cache" / f"{name}.json", text.encode())
