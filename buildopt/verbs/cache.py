"""`cache save` and `cache restore`: a target directory that is good for a fresh checkout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from buildopt.cache import freshness
from buildopt.cache.freshness import Place, Restored, Saved
from buildopt.cargo.changes import GIT_ENVIRONMENT
from buildopt.cargo.config import cargo_home
from buildopt.cargo.directories import build_directories
from buildopt.errors import BuildoptError, ToolMissing
from buildopt.host import Command, Host
from buildopt.verbs.context import Context

__all__ = ["restore", "save"]


def save(context: Context) -> Saved | None:
    """Write down in the build directory what it was built from; None when nothing is built there.

    Raises MachineRefused when that cannot be written; the next `restore` rebuilds everything then.
    """
    place = _place(context)
    if not place.build.is_dir():
        return None
    with _cargo_waits(context, place.build):
        return freshness.save(context.host, place)


def restore(context: Context) -> Restored:
    """Make what was saved good for the sources as they are now; everything is rebuilt where that cannot be."""
    place = _place(context)
    if not place.build.is_dir():
        return Restored("there is no build in it yet")
    with _cargo_waits(context, place.build):
        return freshness.restore(context.host, place)


def _place(context: Context) -> Place:
    with context.cargo_ahead():
        directories = build_directories(context.host, context.root)
        rustc = context.host.run(Command((context.host.environ.get("RUSTC") or "rustc", "-vV"), cwd=context.root))
        if rustc.returncode != 0:
            raise ToolMissing(f"rustc -vV fails: {rustc.stderr.decode(errors='replace').strip()[:300]}")
    workspace = context.workspace
    root = os.fspath(workspace.root)
    homes: dict[str, tuple[str, ...]] = {}
    for package in workspace.packages:
        homes[package.name] = (*homes.get(package.name, ()), os.fspath(package.directory))
    cargo = cargo_home(context.host)
    fixed = tuple(os.path.realpath(cargo / name) for name in ("registry", "git"))
    return Place(
        root=root,
        trees=tuple(_outermost([root, *(home for found in homes.values() for home in found)])),
        build=directories.build,
        never=(os.fspath(directories.target), os.fspath(directories.build), *fixed),
        fixed=fixed,
        homes=homes,
        identity={
            "workspace root": root,
            "target directory": os.fspath(directories.target),
            "build directory": os.fspath(directories.build),
            "compiler": rustc.stdout.decode(errors="replace"),
            "cargo": context.toolchain.cargo,
        },
        commit=_commit(context),
        processor=_processor(context.host),
    )


def _outermost(folders: list[str]) -> Iterator[str]:
    """Yield the folders that are in no other one, each once."""
    last = None
    for folder in sorted(set(folders), key=lambda path: path.split(os.sep)):
        if last is None or not folder.startswith(last + os.sep):
            last = folder
            yield folder


def _commit(context: Context) -> str:
    command = Command(("git", "rev-parse", "--verify", "HEAD"), context.root, GIT_ENVIRONMENT)
    try:
        found = context.host.run(command)
    except BuildoptError:
        return ""
    return found.stdout.decode(errors="replace").strip() if found.returncode == 0 else ""


def _processor(host: Host) -> str:
    """Return what the first processor is and can do; empty where the system does not say."""
    lines = (host.files.read("/proc/cpuinfo") or b"").decode(errors="replace").partition("\n\n")[0].splitlines()
    return "\n".join(line for line in lines if line.startswith(("vendor_id", "model", "flags", "Features", "CPU ")))


@contextmanager
def _cargo_waits(context: Context, build: Path) -> Iterator[None]:
    """Hold the locks that Cargo takes to build, so that nothing is built meanwhile."""
    files = context.host.files
    with ExitStack() as held:
        for lock in sorted([*build.glob("*/.cargo-lock"), *build.glob("*/*/.cargo-lock")]):
            if not held.enter_context(files.lock(lock, wait=False)):
                context.note(f"waiting for the cargo that builds in {lock.parent}")
                held.enter_context(files.lock(lock))
        yield
