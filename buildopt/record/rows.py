"""What the record keeps of a run, as plain values; each row bounds and cleans its own texts on the way in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

__all__ = [
    "BaselineRow",
    "CacheRow",
    "CrateCost",
    "CycleRow",
    "ExperimentRow",
    "Health",
    "MeasurementRow",
    "RunRow",
    "StageRow",
    "StepRow",
    "TimeRow",
    "UnitRow",
    "bounded",
    "bounded_list",
]

_LONGEST_NAME = 500
_LONGEST_SECONDS = 30 * 24 * 3600
_CREDENTIALS = re.compile(r"://[^/@\s]+@")


class RunRow(NamedTuple):
    """One run of a verb. Seconds are wall or CPU seconds; None means not known."""

    id: str
    """Unique, and sorts by time: `new_run_id` makes one."""
    verb: str
    """Verb and stages, as `run quick-check`."""
    started_at: float
    """Seconds since the epoch."""
    result: str | None = None
    """`success`, `failure`, `timeout`, `cancelled` or `skipped`."""
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    cargo: str | None = None
    rustc: str | None = None
    profile_fingerprint: str | None = None
    git_sha: str | None = None
    dirty: bool | None = None
    """Whether the work tree had changes."""
    host_class: str | None = None
    """Machines of one class may be compared: `host_class` makes it."""
    cores: int | None = None
    ci: bool = False
    polluted: str | None = None
    """Why the figures of this run are not comparable (`waited for a lock`, `machine busy`); None when they are."""
    external_share: float | None = None
    """Share of the processors that other processes had meanwhile, 0 to 1; None where nobody can say."""


class StepRow(NamedTuple):
    """One step of a stage."""

    stage: str
    name: str
    argv: tuple[str, ...]
    result: str
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_bytes: int | None = None
    lock_wait: bool = False
    detail: str | None = None


class CacheRow(NamedTuple):
    """What the compiler cache did during one stage."""

    hits: int
    misses: int
    errors: int
    not_cached: Mapping[str, int]
    """Units that cannot be cached, by reason."""
    location: str


class StageRow(NamedTuple):
    """One stage of a run."""

    name: str
    result: str
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_bytes: int | None = None
    packages: tuple[str, ...] = ()
    fresh: int = 0
    rebuilt: int = 0
    budget_seconds: float | None = None
    timeout_seconds: float | None = None
    lock_wait: bool = False
    detail: str | None = None
    cache: CacheRow | None = None


class UnitRow(NamedTuple):
    """One of Cargo's units; the first ten fields stand in the order in which the pipeline tells them."""

    package: str
    version: str
    target: str
    mode: str
    fresh: bool
    reason: str | None = None
    start_seconds: float | None = None
    duration_seconds: float | None = None
    frontend_seconds: float | None = None
    codegen_seconds: float | None = None
    stage: str = ""
    step: str = ""


class CycleRow(NamedTuple):
    """One cycle of a watch: from an edit to where nothing is left to do, or to what cut it short. None means not known."""

    started_at: float
    """When the edit was seen, in seconds since the epoch."""
    edits: int
    """How many files it changed."""
    packages: int
    """How many packages it affects."""
    total_packages: int
    result: str
    """`success`, `failure` or `cancelled`."""
    stage: str | None = None
    """The last stage that ran."""
    first_diagnostic_seconds: float | None = None
    """From the edit to the first diagnostic, or to the end of the first stage where there was none to show."""
    green_seconds: float | None = None
    """From the edit to the last stage that passed; None when not all did."""
    cancelled_by: str | None = None
    """`edit`, `key`, or the name of a signal."""
    cancel_seconds: float | None = None
    """From asking for the end to the death of the last process."""
    cpu_seconds: float | None = None
    host_class: str | None = None
    """Machines of one class may be compared: `host_class` makes it."""


class TimeRow(NamedTuple):
    """How long a test or a stage took, once."""

    host_class: str
    binary: str
    """nextest's binary id; empty where `name` is that of a stage."""
    name: str
    at: int
    """When the run began, in milliseconds since the epoch."""
    seconds: float
    """Wall time."""

    @property
    def is_sound(self) -> bool:
        """Whether the record takes it: names and figures in bounds, and texts that a file can hold."""
        texts = self[:3]
        fits = all(len(text) <= _LONGEST_NAME and "\0" not in text for text in texts) and self.host_class and self.name
        try:
            "".join(texts).encode()
        except UnicodeEncodeError:
            return False
        return bool(fits) and 0 <= self.at < 2**53 and 0 <= self.seconds <= _LONGEST_SECONDS


class ExperimentRow(NamedTuple):
    """A comparison, a tuning or a gate's measuring: one question, and where its answer stands."""

    id: str
    """Unique, and sorts by time: `new_run_id` makes one."""
    kind: str
    """`bench`, `tune` or `gate`."""
    key: str
    """Equal for calls that may go on with each other's measurements."""
    started_at: float
    """Seconds since the epoch."""
    host_class: str
    cargo: str
    rustc: str
    profile_fingerprint: str
    git_sha: str | None = None
    dirty: bool | None = None
    """Whether the work tree had changes."""
    state: Literal["open", "done"] = "open"
    document: str | None = None
    """What was found, as JSON; None while it is open."""


class MeasurementRow(NamedTuple):
    """One timed build (or test run) of an experiment."""

    experiment: str
    """The id of the experiment."""
    position: int
    """Counts the measurements of the experiment, from 0."""
    scenario: str
    arm: str
    part: str
    """What it was for, in the words of who measured: `pair 3 A`, `screen row 7`."""
    started_at: float
    result: str
    """`success` or `failure`."""
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    external_share: float | None
    """Share of the processors that others had meanwhile; None where the system does not tell."""
    polluted: str | None
    """Why it must not be compared with others (`waited for a lock`); None when it may."""
    cpu_complete: bool
    """False where a resident process, as a compiler cache, did work that `cpu_seconds` cannot hold."""
    target_bytes: int | None = None
    artifact_bytes: int | None = None
    test_seconds: float | None = None
    unit_seconds: float | None = None
    """CPU seconds of a known piece of work meanwhile: how slow the machine was; None where nobody can say."""


class BaselineRow(NamedTuple):
    """A change for the worse that somebody accepted: what is older is no longer compared with."""

    subject: str
    """A stage, a scenario or a size, in the words of the gate."""
    host_class: str
    at: float
    """Seconds since the epoch."""
    reason: str
    git_sha: str | None = None
    after_run: int = 0
    """Runs up to this one are older; the record fills it."""
    after_measurement: int = 0
    """Measurements up to this one are older; the record fills it."""


class CrateCost(NamedTuple):
    """What a package costs when it is rebuilt: medians over the runs that rebuilt it."""

    package: str
    versions: tuple[str, ...]
    seconds: float
    frontend_seconds: float | None
    codegen_seconds: float | None
    runs: int
    """How many of the runs looked at rebuilt it."""


class Health(NamedTuple):
    """The state of the record file."""

    path: str
    exists: bool
    usable: bool
    writable: bool
    runs: int
    size_bytes: int
    note: str | None
    """What is wrong, or what was done about it."""
    set_aside: tuple[str, ...]
    """Names of damaged files that were set aside earlier."""


def bounded(text: str, limit: int = 500) -> str:
    """Return `text` in at most `limit` characters, without credentials of URLs and without what UTF-8 cannot hold."""
    clean = _CREDENTIALS.sub("://…@", text).encode("utf-8", "replace").decode()
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


def bounded_list(texts: Iterable[str], *, count: int = 1000, limit: int = 200) -> list[str]:
    """Return at most `count` texts, each bounded; a last entry says how many were left out."""
    all_texts = list(texts)
    kept = [bounded(text, limit) for text in all_texts[:count]]
    return kept if len(all_texts) <= count else [*kept, f"… and {len(all_texts) - count} more"]
