"""What one timed run was, and what its builds left. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

__all__ = ["Measured", "Sizes"]


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


class Sizes(NamedTuple):
    """What the builds of an arm take on the disk, in bytes."""

    target_bytes: int
    artifact_bytes: int | None
    """Binaries and libraries for others together; None where the last build made none."""
    artifacts: Mapping[str, int] = {}
    """Each of them, by its path in the target directory."""
