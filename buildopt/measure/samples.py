"""Whether one measured sample was disturbed. Pure.

580 identical builds beside other builds: by quartile of the share that other processes took, the wall time rose from
0.72 to 1.64 s while CPU seconds stayed within 2 %. That share therefore says which wall times to take again.
"""

from __future__ import annotations

__all__ = ["pollution"]

_SHARE = 0.15
"""Of all processors: what a desktop at rest never takes, and a second build always does."""

_TICK_SECONDS = 0.01
"""What the system counts busy processors in: a share of a short sample is off by one of them for each processor."""


def pollution(
    wall_seconds: float, cpu_seconds: float, external_share: float | None, lock_wait: bool, *, cores: int
) -> str | None:
    """Return why a sample should be taken again, or None when it is clean.

    `external_share` is the part of all `cores` that other processes used meanwhile, 0 to 1, None where the system does
    not tell; `cpu_seconds` are the sample's own, and what they leave is the most that others can have had.
    """
    if lock_wait:
        return "waited for a lock"
    if external_share is None or wall_seconds <= 0:
        return None
    room = cores * wall_seconds
    share = min(external_share, 1 - min(1.0, cpu_seconds / room))
    if share <= _SHARE + _TICK_SECONDS / wall_seconds:
        return None
    return f"other processes used {100 * share:.0f} % of the processors"
