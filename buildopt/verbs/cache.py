"""`cache save` and `cache restore`: a target directory that is good for a fresh checkout."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from buildopt.cache import freshness
from buildopt.cache.freshness import Place, Restored, Saved
from buildopt.cargo.changes import GIT_ENVIRONMENT
from buildopt.cargo.config import cargo_home
from buildopt.cargo.directories import build_directories
from buildopt.cargo.toolchain import GET_RUST
from buildopt.errors import BuildoptError, ToolMissing
from buildopt.host import Command, Finished, Host
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
    context.prepare_state()  # what comes into the workspace root later would make that look changed
    with _cargo_waits(context, place.build):
        return freshness.restore(context.host, place)


def _place(context: Context) -> Place:
    host, root = context.host, context.root
    rustc = Command((host.environ.get("RUSTC") or "rustc", "-vV"), root)
    asked: list[Finished] = []

    def ask() -> None:
        with suppress(BuildoptError):
            asked.append(host.run(rustc))

    beside = threading.Thread(target=ask)
    beside.start()
    try:
        directories = build_directories(host, root)
        commit = _commit(context)
    finally:
        beside.join()
    if not asked or asked[0].returncode != 0:
        said = asked[0].stderr.decode(errors="replace").strip()[:300] if asked else "it cannot be started"
        raise ToolMissing(f"rustc -vV fails: {said}", hint=GET_RUST)
    homes: dict[str, tuple[str, ...]] = {}
    for name, folder in directories.packages:
        homes[name] = (*homes.get(name, ()), folder)
    top = os.fspath(directories.root)
    cargo = cargo_home(host)
    fixed = tuple(os.path.realpath(cargo / name) for name in ("registry", "git"))
    return Place(
        root=top,
        trees=tuple(_outermost([top, *(folder for _, folder in directories.packages)])),
        build=directories.build,
        never=(os.fspath(directories.target), os.fspath(directories.build), *fixed),
        fixed=fixed,
        homes=homes,
        identity={
            "workspace root": top,
            "target directory": os.fspath(directories.target),
            "build directory": os.fspath(directories.build),
            "compiler": asked[0].stdout.decode(errors="replace"),
        },
        commit=commit,
        processor=_processor(host),
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
