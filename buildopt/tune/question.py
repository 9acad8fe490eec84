"""What one tuning is to find out, and the time that it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from buildopt.bench.arms import Arm
from buildopt.bench.scenarios import Scenario
from buildopt.host import Host
from buildopt.tune.candidates import Candidate

__all__ = ["SLACK", "Clock", "Question"]

SLACK = 1.15
"""The announced time, times this, is where tuning stops: a fifth over it is what is promised at most."""


class Question(NamedTuple):
    """What is to be found out."""

    today: Mapping[str, Any]
    candidates: tuple[Candidate, ...]
    weights: Mapping[str, float]
    """By scenario."""
    scenarios: tuple[Scenario, ...]
    budget_seconds: float
    smallest_effect: float
    seed: int
    arm_of: Callable[[str, Mapping[str, Any]], Arm]


class Clock:
    """The time since the tuning began, against what was announced."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.began = host.monotonic()
        self.announced = 0.0

    @property
    def spent(self) -> float:
        """Return the seconds since the beginning."""
        return self._host.monotonic() - self.began

    def is_late(self, left: float) -> bool:
        """Return whether `left` more seconds would go further over the announced time than may be."""
        return self.spent + left > SLACK * self.announced

    def has_room(self, left: float) -> bool:
        """Return whether `left` more seconds stay within the announced time."""
        return self.spent + left <= self.announced
