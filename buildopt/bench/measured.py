"""What one timed run was, and what its builds left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from buildopt.cargo.model import Workspace

__all__ = ["Measured", "Sizes", "artifacts_in", "joined"]

_MADE = frozenset(("bin", "cdylib", "dylib", "staticlib"))


class Measured(NamedTuple):
    """One timed run of a scenario."""

    wall_seconds: float
    cpu_seconds: float
    """User and system time of all its processes."""
    peak_bytes: int
    """Largest resident set of any single process."""
    external_share: float | None
    """What other processes used of the processors meanwhile, 0 to 1; None where nobody can say."""
    lock_wait: bool
    """Whether Cargo waited for another Cargo."""
    cpu_complete: bool
    """False where work is done by a server that the CPU time does not see."""
    started_at: float
    """Seconds since the epoch."""
    rebuilt: int | None = None
    """How many units were compiled; None where Cargo did not say."""
    result: Literal["success", "failure"] = "success"
    """`failure`: the tests failed, or what was built before no longer builds."""
    test_seconds: float | None = None
    """Wall time of the tests themselves, where some ran."""
    crates: Mapping[str, float] = {}
    """Seconds by package of what was compiled, where the arm asks for it; units that ran at once all count in full."""
    unit_seconds: float | None = None
    """CPU seconds of a known piece of work meanwhile: how slow the machine was; None where it was too short to say."""


class Sizes(NamedTuple):
    """What the builds of an arm take on the disk, in bytes."""

    target_bytes: int
    artifact_bytes: int | None
    """Binaries and libraries for others together; None where the last build made none."""
    artifacts: Mapping[str, int] = {}
    """Each of them, by its path in the target directory."""


def joined(one: Measured, other: Measured) -> Measured:
    """Return two runs, one after the other, as one."""
    units = None if one.unit_seconds is None or other.unit_seconds is None else (one.unit_seconds, other.unit_seconds)
    known = [share for share in (one.external_share, other.external_share) if share is not None]
    return one._replace(
        wall_seconds=one.wall_seconds + other.wall_seconds,
        cpu_seconds=one.cpu_seconds + other.cpu_seconds,
        peak_bytes=max(one.peak_bytes, other.peak_bytes),
        external_share=max(known, default=None),
        lock_wait=one.lock_wait or other.lock_wait,
        crates={name: one.crates.get(name, 0.0) + other.crates.get(name, 0.0) for name in {*one.crates, *other.crates}},
        rebuilt=None if one.rebuilt is None or other.rebuilt is None else one.rebuilt + other.rebuilt,
        test_seconds=None
        if one.test_seconds is None or other.test_seconds is None
        else one.test_seconds + other.test_seconds,
        unit_seconds=units and sum(units) / 2,
    )


def artifacts_in(target: Path, workspace: Workspace) -> dict[str, int]:
    """Return the binaries and the libraries for others that members have in a target directory: size in bytes by path."""
    made = [one.name for package in workspace.members for one in package.targets if _MADE.intersection(one.kinds)]
    names = {
        prefix + name
        for made_name in made
        for name in (made_name, made_name.replace("-", "_"))
        for prefix in ("", "lib")
    }
    folders = {lock.parent for pattern in ("*/.cargo*lock", "*/*/.cargo*lock") for lock in target.glob(pattern)}
    return {
        path.relative_to(target).as_posix(): path.stat().st_size
        for folder in sorted(folders)
        for path in sorted(folder.iterdir())
        if path.name.partition(".")[0] in names and path.suffix not in (".d", ".rlib", ".rmeta") and path.is_file()
    }
