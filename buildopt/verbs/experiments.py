"""What every experiment starts with: the lab, what arms are read against, and its row in the record."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from buildopt.bench.arms import Ground
from buildopt.bench.sampling import Laboratory
from buildopt.bench.tree import files_of, parts
from buildopt.cargo.changes import GIT_ENVIRONMENT
from buildopt.errors import BuildoptError
from buildopt.host import Command
from buildopt.record import ExperimentRow, host_class, new_run_id
from buildopt.verbs.context import Context

__all__ = ["OpenLab", "content_digest", "ground_of", "new_experiment", "open_lab"]

OpenLab = Callable[[Context, Callable[[str], None]], AbstractContextManager[Laboratory]]
"""Opens the lab of a workspace; what it has to say goes to the second argument."""

_GIT_SECONDS = 30.0


def open_lab(context: Context, note: Callable[[str], None]) -> AbstractContextManager[Laboratory]:
    """Return the lab of this workspace, to be opened by a with block."""
    from buildopt.bench.lab import Lab  # noqa: PLC0415 - only where something is built

    profile = context.loaded.profile
    return Lab.open(context.host, context.root, context.state, context.workspace, profile=profile, note=note)


def ground_of(context: Context) -> Ground:
    """Return what the names of arms are read against."""
    return Ground(context.host, context.root, context.state, context.loaded.profile, context.toolchain)


def new_experiment(context: Context, kind: str, key: str) -> ExperimentRow:
    """Return the row of an experiment that begins now."""
    commit = _git(context, "rev-parse", "--verify", "--quiet", "HEAD")
    changed = _git(context, "status", "--porcelain", "--untracked-files=normal") if commit else None
    return ExperimentRow(
        id=new_run_id(context.host.now()),
        kind=kind,
        key=key,
        started_at=context.host.now(),
        host_class=host_class(context.host),
        cargo=context.toolchain.cargo,
        rustc=context.toolchain.rustc,
        profile_fingerprint=context.loaded.build_fingerprint,
        git_sha=commit or None,
        dirty=None if changed is None else bool(changed),
    )


def content_digest(context: Context) -> str:
    """Return a digest of every file that the scratch copy of this workspace would have."""
    total = hashlib.blake2b(digest_size=16)
    for part in parts(context.workspace):
        for name in sorted(files_of(context.host, part)):
            path = part / name
            content = b""
            if path.is_symlink():  # copied as a link, wherever it leads: to a device, or to nothing
                content = os.fsencode(os.readlink(path))
            elif path.is_file():
                content = context.host.files.read(path) or b""
            total.update(f"{path}\0{len(content)}\0".encode(errors="surrogateescape"))
            total.update(content)
    return total.hexdigest()


def _git(context: Context, *arguments: str) -> str | None:
    """Return what git answers; None where there is no git, or no repository."""
    argv: Sequence[str] = ("git", "--no-optional-locks", *arguments)
    try:
        found = context.host.run(Command(tuple(argv), context.root, GIT_ENVIRONMENT, _GIT_SECONDS))
    except BuildoptError:
        return None
    return found.stdout.decode(errors="replace").strip() if found.returncode == 0 else None
