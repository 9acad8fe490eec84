"""What a gate found, as plain values: one line for each thing that is held against a budget or its history."""

from __future__ import annotations

from typing import Literal, NamedTuple

from buildopt.measure.gate import Answer, CrateChange, Kind, fails

__all__ = ["UNTOLD", "Change", "GateLine", "GateView"]

UNTOLD = "nobody can say what else the machine did"
"""The doubt in a wall time where the system does not tell, or a compiler cache works beside Cargo."""


class Change(NamedTuple):
    """Where the values of something last changed their level for good."""

    before: float
    after: float
    runs: int
    """How many values there are since, this one counted."""
    started_at: float
    """When the first of them was measured, in seconds since the epoch, as the clock was then."""
    git_sha: str | None
    """Commit of the first of them, where the record knows it."""


class GateLine(NamedTuple):
    """One thing, held against one measure."""

    subject: str
    """`stage core`, `clean/build`, `size of target`, `artifact *.wasm`, `crates`."""
    against: Literal["budget", "history"]
    kind: Kind
    answer: Answer
    crates: tuple[CrateChange, ...] = ()
    """Crates that explain it, what adds most first."""
    change: Change | None = None
    accepted: str | None = None
    """The reason with which it was just accepted as the new baseline."""


class GateView(NamedTuple):
    """All of one call of the gate."""

    lines: tuple[GateLine, ...]
    enforce: bool
    """Whether every confirmed excess of a budget fails."""
    broken: tuple[tuple[str, str], ...] = ()
    """Scenarios that could not be measured because their build or tests fail, and what was said."""
    notes: tuple[str, ...] = ()
    builds: int = 0
    """How many builds were measured for it."""
    seconds: float = 0.0
    """How long that took."""
    experiment: str | None = None
    """The id of those measurements in the record."""

    @property
    def failures(self) -> tuple[GateLine, ...]:
        """Return the lines for which the gate fails."""
        return tuple(line for line in self.lines if line.accepted is None and fails(line.answer, enforce=self.enforce))

    @property
    def warnings(self) -> tuple[GateLine, ...]:
        """Return the lines that are said and do not fail."""
        failed = self.failures
        said = (line for line in self.lines if line.accepted is None and line.answer.level != "none")
        return tuple(line for line in said if line not in failed)

    @property
    def failed(self) -> bool:
        """Whether the gate fails."""
        return bool(self.failures or self.broken)
