"""What runs beside the thread that decides: a stage, the reading of manifests, a look at what builds have read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from buildopt.host import Cancel
from buildopt.pipeline.events import Event
from buildopt.pipeline.runner import Outcome
from buildopt.watch.cycle import Cycle
from buildopt.watch.events import Trouble
from buildopt.watch.graph import Graph, StageRule
from buildopt.watch.ledger import Contents
from buildopt.watch.tree import Edit

__all__ = ["Done", "Edits", "Item", "Job", "Looked", "Work", "look", "start"]


class Work(Protocol):
    """What the engine has done by others, outside the main thread; each raises BuildoptError."""

    def run(
        self, stage: str, packages: Sequence[str], why: str, cancel: Cancel, emit: Callable[[Event], None]
    ) -> Outcome:
        """Run one stage over packages (ids)."""

    def read(self, cancel: Cancel) -> Graph:
        """Read manifests and profile anew."""

    def look(self) -> Graph | None:
        """Return the graph with what the last builds have read; None when that is nothing new."""


class Edits(NamedTuple):
    """Edits, from the watcher."""

    edits: tuple[Edit, ...]


class Done(NamedTuple):
    """The end of a job: how the stage ended, the new graph, or what was raised."""

    outcome: Outcome | Graph | BaseException


class Looked(NamedTuple):
    """The end of a look, and the graph that was in force when it began."""

    at: Graph
    graph: Graph | BaseException | None


Item = Edits | Done | Looked | Trouble | Event
"""What other threads put into the inbox."""


class Job(NamedTuple):
    """A running stage, or (without one) the reading of manifests and profile."""

    stage: StageRule | None
    packages: tuple[str, ...]
    contents: Contents
    cycle: Cycle
    cancel: Cancel
    thread: threading.Thread
    started: float
    """On a clock that never goes back, in seconds."""

    @property
    def covers(self) -> tuple[str, ...] | None:
        """Return the packages (ids) that it covers; None for the workspace as a whole."""
        return None if self.stage is not None and self.stage.whole else self.packages


def start(
    work: Work,
    put: Callable[[Item], None],
    stage: StageRule | None,
    packages: tuple[str, ...],
    *,
    why: str,
    contents: Contents,
    cycle: Cycle,
    now: float,
) -> Job:
    """Start a job in a thread of its own; it ends with a `Done` in the inbox, whatever happens."""
    cancel = Cancel()

    def run() -> None:
        try:
            put(Done(work.read(cancel) if stage is None else work.run(stage.name, packages, why, cancel, put)))
        except BaseException as error:  # noqa: BLE001 - the main thread answers it
            put(Done(error))

    thread = threading.Thread(target=run, name="stage" if stage else "read")
    thread.start()
    return Job(stage, packages, contents, cycle, cancel, thread, now)


def look(work: Work, put: Callable[[Item], None], graph: Graph) -> None:
    """Start a look at what builds have read; it ends with a `Looked` in the inbox."""

    def run() -> None:
        try:
            put(Looked(graph, work.look()))
        except BaseException as error:  # noqa: BLE001 - the main thread answers it
            put(Looked(graph, error))

    threading.Thread(target=run, name="look", daemon=True).start()
