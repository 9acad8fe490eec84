"""What a Python program may call: `buildopt.load` and `buildopt.run`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from buildopt.host import Host
from buildopt.pipeline.events import Event
from buildopt.pipeline.runner import Outcome
from buildopt.profile import Loaded
from buildopt.verbs.context import Context, find_workspace
from buildopt.verbs.run import run as run_verb

__all__ = ["load", "run"]


def load(root: str | os.PathLike[str] | None = None, *, settings: Sequence[str] = ()) -> Loaded:
    """Return the profile of the workspace at `root` (the current folder) with its provenance.

    `settings` are `KEY=VALUE` texts that win over every file. Raises BuildoptError.
    """
    return _context(root, settings).loaded


def run(
    *stages: str,
    root: str | os.PathLike[str] | None = None,
    settings: Sequence[str] = (),
    emit: Callable[[Event], None] = lambda _event: None,
) -> Outcome:
    """Run `stages`, with those that they require, in the workspace at `root`; return how each ended.

    `emit` gets every event as it happens. Raises BuildoptError for bad input and missing tools, never for a stage that
    fails: that is what the outcome says.
    """
    return run_verb(_context(root, settings), stages, emit=emit)


def _context(root: str | os.PathLike[str] | None, settings: Sequence[str]) -> Context:
    host = Host()
    return Context(host, find_workspace(host, None if root is None else Path(root)), settings=tuple(settings))
