"""What a watch tells: these, and between them the events of the pipeline (`buildopt.pipeline.events`)."""

from __future__ import annotations

from typing import Literal, NamedTuple

from buildopt.pipeline.events import Event

__all__ = ["Cancelled", "Changed", "Idle", "Known", "Paused", "Ready", "Trouble", "Waiting", "WatchEvent"]


class Ready(NamedTuple):
    """Everything is watched from now on. Told again when what is watched has changed."""

    packages: int
    directories: int
    files: int
    stages: tuple[str, ...]
    """The stages that an edit starts, in order."""


class Changed(NamedTuple):
    """Content has changed: an edit."""

    paths: tuple[str, ...]
    """Relative to the workspace root, with `/`; a file outside of it begins with `../`."""
    packages: tuple[str, ...]
    """Names of the packages that the first stage now has to cover."""
    total_packages: int
    why: str
    """One line, as `2 of 41 packages: core (edited), api (depends on core)`."""


class Waiting(NamedTuple):
    """A stage starts after its quiet time, unless an edit comes before."""

    stage: str
    seconds: float


class Known(NamedTuple):
    """A stage need not run: this content has passed it already."""

    stage: str
    packages: tuple[str, ...]


class Cancelled(NamedTuple):
    """A running stage was ended, with every process of it."""

    stage: str
    cause: str
    """`edit`, `key`, or the name of a signal."""
    seconds: float
    """How long the stage had run."""


class Idle(NamedTuple):
    """Nothing is left to do until the next edit."""

    result: Literal["success", "failure"]
    stage: str | None
    """The stage that failed; None when all have passed."""
    green_seconds: float | None
    """From the edit to the last stage that passed; None when nothing ran for an edit or something failed."""


class Paused(NamedTuple):
    """Edits start nothing until the pause ends."""

    on: bool


class Trouble(NamedTuple):
    """Something that a person should mend, while the watch goes on: a manifest that does not parse, a limit of the system."""

    text: str


WatchEvent = Ready | Changed | Waiting | Known | Cancelled | Idle | Paused | Trouble | Event
