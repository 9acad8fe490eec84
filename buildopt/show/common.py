"""What every verb starts with."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from buildopt.errors import ArgumentError
from buildopt.host import Host
from buildopt.verbs.context import Context, find_workspace

__all__ = ["open_context", "print_json", "say"]


def open_context(host: Host, arguments: argparse.Namespace, *, strict: bool = True) -> Context:
    """Return the context of one call, after repairing what a crashed sync may have left.

    Raises ArgumentError for a --root or --profile that is not there.
    """
    root = find_workspace(host, arguments.root)
    profile_file = arguments.profile_file
    if profile_file is not None and not profile_file.is_file():
        raise ArgumentError(f"--profile: {profile_file} is not a file")
    context = Context(
        host,
        root,
        profile_path=None if profile_file is None else profile_file.absolute(),
        settings=tuple(arguments.set),
        strict=strict,
        note=say,
    )
    if not {"history", "lock"}.issuperset(host.files.names(context.state / "sync")):
        from buildopt import sync  # noqa: PLC0415 - only where a sync was cut short

        repaired = sync.recover(host, root, context.state)
        if repaired:
            say(repaired)
    return context


def say(text: str) -> None:
    """Write one line of buildopt's own to stderr."""
    sys.stderr.write(f"buildopt: {text}\n")
    sys.stderr.flush()


def print_json(document: Any) -> None:
    """Print the one document of `--json`."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stdout.flush()
