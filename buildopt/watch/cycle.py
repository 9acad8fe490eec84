"""One cycle: from an edit to the last stage that it led to, with the times that a person waits for."""

from __future__ import annotations

from typing import Literal

from buildopt.pipeline.events import Event, Output, StageFinished
from buildopt.record import CycleRow
from buildopt.watch.diagnostics import DiagnosticReader

__all__ = ["Cycle", "CycleResult"]

CycleResult = Literal["success", "failure", "cancelled"]


class Cycle:
    """Collects what one cycle took; seconds are of a clock that never goes back, unless they say epoch."""

    def __init__(self, edited_at: float, epoch: float, *, by_edit: bool) -> None:
        self.edited_at = edited_at
        self.by_edit = by_edit
        """Whether an edit began it; the start of the watch and a key begin one too."""
        self.paths: set[str] = set()
        self.packages: frozenset[str] = frozenset()
        self.ran: list[str] = []
        """The stages that ran."""
        self._epoch = epoch
        self._first: float | None = None
        self._first_stage_end: float | None = None
        self._green: float | None = None
        self._cpu = 0.0
        self._reader = DiagnosticReader()

    def see(self, event: Event, now: float) -> None:
        """Take an event of a stage of this cycle."""
        if isinstance(event, Output) and self._first is None:
            if self._reader.feed(event.content, event.stream):
                self._first = now
        elif isinstance(event, StageFinished):
            self._cpu += event.cpu_seconds
            if self._first_stage_end is None and event.result != "cancelled":
                self._first_stage_end = now

    def green(self, now: float) -> float:
        """Note that everything has passed; return the seconds since the edit."""
        self._green = now - self.edited_at
        return self._green

    def row(
        self,
        result: CycleResult,
        *,
        total_packages: int,
        host_class: str | None,
        cancelled_by: str | None = None,
        cancel_seconds: float | None = None,
    ) -> CycleRow:
        """Return what the record keeps of it."""
        first = self._first if self._first is not None else self._first_stage_end
        return CycleRow(
            started_at=self._epoch,
            edits=len(self.paths),
            packages=len(self.packages),
            total_packages=total_packages,
            result=result,
            stage=self.ran[-1] if self.ran else None,
            first_diagnostic_seconds=None if first is None else first - self.edited_at,
            green_seconds=self._green,
            cancelled_by=cancelled_by,
            cancel_seconds=cancel_seconds,
            cpu_seconds=self._cpu,
            host_class=host_class,
        )
