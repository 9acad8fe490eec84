"""Who is told of a watch: the person, the record, the file of locations, the desktop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

from buildopt.errors import BuildoptError
from buildopt.host.files import inside
from buildopt.pipeline.events import Event, Output, RunFinished, RunStarted, Spawned, StageFinished, StepStarted
from buildopt.pipeline.recording import Recording
from buildopt.record import Record, host_class
from buildopt.verbs.context import Context
from buildopt.watch.cycle import Cycle, CycleResult
from buildopt.watch.diagnostics import Diagnostic, DiagnosticReader
from buildopt.watch.events import Idle, Trouble, WatchEvent
from buildopt.watch.locations import locations

__all__ = ["Audience"]

_LOCATIONS = ".buildopt/locations"


class Audience:
    """Passes on what a watch tells. `context` returns the one that was read last; `note` takes a line from any thread."""

    def __init__(
        self,
        record: Record,
        context: Callable[[], Context],
        note: Callable[[str], None],
        tell: Callable[[WatchEvent], None],
    ) -> None:
        self._record = record
        self._context = context
        self._note = note
        self._tell = tell
        self._stage_events: list[Event] = []
        self._reader = DiagnosticReader()
        self._found: list[Diagnostic] = []
        self._locations: str | None = None
        self._was_failing = False
        self._said: set[str] = set()
        """Why the desktop could not be told; once is enough."""
        self._host_class = host_class(context().host)
        self.result: Literal["success", "failure", "timeout"] = "success"

    def tell(self, event: WatchEvent) -> None:
        """Pass on one event."""
        self._tell(event)
        match event:
            case Output():
                self._found += self._reader.feed(event.content, event.stream)
            case RunStarted():
                self._stage_events, self._found, self._reader = [event], [], DiagnosticReader()
            case StepStarted():
                self._stage_events.append(event)
                self._found += self._reader.flush()
            case RunFinished():
                self._found += self._reader.flush()
                self._run_finished(event)
            case StageFinished():
                self._stage_events.append(event)
                if event.result in ("success", "failure", "timeout"):
                    self.result = event.result
            case Idle():
                self._idle(event)
            case Spawned() | Trouble():
                pass
            case _:
                self._stage_events.append(event)  # type: ignore[arg-type] # what is left is the pipeline's, or nobody's

    def keep(self, cycle: Cycle, result: CycleResult, cancelled_by: str | None, cancel_seconds: float | None) -> None:
        """Record a cycle that an edit began."""
        if cycle.by_edit:
            total = len(self._context().workspace.members)
            row = cycle.row(
                result,
                total_packages=total,
                host_class=self._host_class,
                cancelled_by=cancelled_by,
                cancel_seconds=cancel_seconds,
            )
            self._record.add_cycle(row)

    def _run_finished(self, event: RunFinished) -> None:
        """Record the stage, unless it was ended early: what it cost then says nothing."""
        if event.result == "cancelled":
            return
        context = self._context()
        recording = Recording(self._record, context.toolchain, context.loaded.build_fingerprint, context.host)
        for each in (*self._stage_events, event):
            recording.consume(each)
        self._record.prune(context.loaded.profile.record.keep_runs)
        self._write_locations(context)

    def _write_locations(self, context: Context) -> None:
        text = locations(self._found, context.root)
        if text == self._locations:
            return
        try:
            path = inside(context.root, context.loaded.profile.watch.locations or _LOCATIONS)
            context.host.files.make_directory(path.parent)
            context.host.files.write(path, text.encode(errors="replace"), flush=False)
            self._locations = text
        except BuildoptError as error:
            self._tell(Trouble(f"the file of locations is not written: {error.message}"))

    def _idle(self, event: Idle) -> None:
        failing = event.result == "failure"
        wanted = self._context().loaded.profile.watch.notify
        if failing != self._was_failing and ("failure" if failing else "recovery") in wanted:
            self._notify(f"{event.stage or 'the workspace'} fails" if failing else "all stages pass again")
        self._was_failing = failing
        if failing and event.stage is None:
            self.result = "failure"

    def _notify(self, text: str) -> None:
        from buildopt.host.desktop import notify  # noqa: PLC0415 - only where the profile asks for it

        def tell_the_desktop() -> None:
            problem = notify(self._context().host, f"buildopt: {self._context().root.name}", text)
            if problem and problem not in self._said:
                self._said.add(problem)
                self._note(problem)

        threading.Thread(target=tell_the_desktop, daemon=True).start()
