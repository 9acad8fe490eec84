"""What a run tells: the runner emits these, and console, record and CI summary consume the same stream."""

from __future__ import annotations

from typing import Literal, NamedTuple

from buildopt.cargo.junit import TimedTest
from buildopt.cargo.units import UnitRow

__all__ = [
    "CacheUse", "Event", "LockWait", "Note", "Output", "Result", "RunFinished", "RunStarted", "Spawned", "StageFinished",
    "StageStarted", "StepFinished", "StepStarted", "TimedTests", "Units",
]  # fmt: skip

Result = Literal["success", "failure", "timeout", "cancelled", "skipped"]


class CacheUse(NamedTuple):
    """What the compiler cache did for one stage: differences of the server's counters, not its life-time totals."""

    hits: int
    misses: int
    errors: int
    not_cached: dict[str, int]
    """By reason, as sccache names it."""
    location: str


class RunStarted(NamedTuple):
    """A run begins."""

    id: str
    command: str
    """Verb and stages, as `run quick-check`."""
    started_at: float
    """Seconds since the epoch."""


class StageStarted(NamedTuple):
    """A stage begins."""

    stage: str
    packages: tuple[str, ...]
    """Names of the packages it covers."""
    total_packages: int
    why: str
    """Why these: `core (edited), api (depends on core)`, or `whole workspace`."""
    timeout_seconds: float | None
    budget_seconds: float | None


class StepStarted(NamedTuple):
    """A step begins."""

    stage: str
    step: str
    argv: tuple[str, ...]


class Spawned(NamedTuple):
    """A process of a step runs."""

    stage: str
    step: str
    pid: int


class Output(NamedTuple):
    """Something that Cargo or a test printed, to be shown as it is."""

    stream: Literal["stdout", "stderr"]
    content: bytes


class Note(NamedTuple):
    """One line for the person: a fall-back, a missing tool, a cache that is not used, and why."""

    text: str


class LockWait(NamedTuple):
    """Cargo waits for a lock that another process holds."""

    stage: str
    what: str
    """In Cargo's words: `build directory`, `package cache`, …"""


class Units(NamedTuple):
    """The units of a step, once the step has ended."""

    stage: str
    step: str
    units: tuple[UnitRow, ...]


class TimedTests(NamedTuple):
    """The tests of a step that passed, and how long each took."""

    stage: str
    step: str
    tests: tuple[TimedTest, ...]


class StepFinished(NamedTuple):
    """A step ends."""

    stage: str
    step: str
    result: Result
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    lock_wait: bool
    detail: str | None = None
    """Why it was skipped or failed: `covered by clippy`, `exit code 101`."""


class StageFinished(NamedTuple):
    """A stage ends."""

    stage: str
    result: Result
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    packages: tuple[str, ...]
    fresh: int
    rebuilt: int
    budget_seconds: float | None
    timeout_seconds: float | None
    lock_wait: bool
    cache: CacheUse | None = None
    detail: str | None = None


class RunFinished(NamedTuple):
    """A run ends."""

    id: str
    result: Result
    wall_seconds: float


Event = (
    RunStarted | StageStarted | StepStarted | Spawned | Output | Note | LockWait | Units | TimedTests | StepFinished
    | StageFinished | RunFinished
)  # fmt: skip
