"""What a watch knows at a moment, gathered from its events, and the lines that tell it. Pure but for the clock handed in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from buildopt.measure import judge, plain_duration
from buildopt.pipeline.events import LockWait, Note, Output, StageFinished, StageStarted, StepFinished, StepStarted
from buildopt.units import format_duration
from buildopt.watch.diagnostics import Diagnostic, DiagnosticReader
from buildopt.watch.events import Cancelled, Changed, Idle, Known, Paused, Ready, Trouble, Waiting, WatchEvent

__all__ = ["Board", "StageView", "counted", "edited"]

State = Literal["pending", "waiting", "running", "passed", "known", "failed", "timeout", "cancelled", "skipped"]

_ORDER = {"error": 0, "test": 1, "warning": 2}
_LAST_LINES = 40
_RAW_BYTES = 1 << 20  # of a stage's output, kept to be shown as a whole
_STATES: dict[str, State] = {
    "success": "passed", "failure": "failed", "timeout": "timeout", "cancelled": "cancelled", "skipped": "skipped",
}  # fmt: skip


class StageView:
    """One stage: how it stands and what it complained of."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.state: State = "pending"
        self.seconds: float | None = None
        """How long it ran; while it waits, the quiet time that it waits for."""
        self.started = 0.0
        self.usual: float | None = None
        self.shown: tuple[Diagnostic, ...] = ()
        """What it complained of last; stays until it passes or complains of something else."""
        self.raw: deque[bytes] = deque()
        self.raw_bytes = 0
        self.found: list[Diagnostic] = []
        """What it complained of in this run."""
        self._reader = DiagnosticReader()

    def start(self, now: float, usual: float | None) -> None:
        """Begin a run at `now`, seconds on the clock of the board."""
        self.state, self.started, self.usual, self.seconds = "running", now, usual, None
        self.found, self._reader = [], DiagnosticReader()
        self.raw.clear()
        self.raw_bytes = 0

    def output(self, event: Output) -> bool:
        """Take what the stage printed; return whether it completes a diagnostic."""
        self.raw.append(event.content)
        self.raw_bytes += len(event.content)
        while self.raw_bytes > _RAW_BYTES and len(self.raw) > 1:
            self.raw_bytes -= len(self.raw.popleft())
        return self._add(self._reader.feed(event.content, event.stream))

    def step_ends(self) -> bool:
        """Complete what the last lines of a step said; return whether that is a diagnostic."""
        return self._add(self._reader.flush())

    def finish(self, event: StageFinished) -> None:
        """End the run."""
        self.step_ends()
        self.state, self.seconds = _STATES[event.result], event.wall_seconds
        if event.result == "success":  # what a repeated step or test said at first is over
            self.shown = tuple(each for each in self.found if each.level == "warning")
        elif event.result in ("failure", "timeout") and all(each.level == "warning" for each in self.found):
            # No line of it could be read as an error: then the end of all that it printed is shown.
            end = b"".join(self.raw).rstrip().split(b"\n")[-_LAST_LINES:]
            printed = b"\n".join(end) or b"(it printed nothing)"
            why = Diagnostic("error", event.detail or event.result, None, None, None, printed + b"\n")
            self.shown = (why, *self.found)

    def _add(self, diagnostics: Sequence[Diagnostic]) -> bool:
        if diagnostics:
            self.found += diagnostics
            self.shown = tuple(self.found)
        return bool(diagnostics)


class _Warned(NamedTuple):
    text: str
    edit: int


class Board:
    """All that a screen of a watch can show. `usual` says how long a stage usually takes, in seconds."""

    def __init__(self, stages: Sequence[str], usual: Callable[[str], float | None], clock: Callable[[], float]) -> None:
        self.stages = {name: StageView(name) for name in stages}
        self.current: StageView | None = None
        """The stage that runs, or ran last."""
        self.paused = False
        self.ready: Ready | None = None
        self.changed: Changed | None = None
        self.why = ""
        self.result: tuple[str, str] = ("", "dim")
        """The last result and its colour."""
        self.over: dict[str, str] = {}
        """By stage, that it went over its budget."""
        self.lock: str | None = None
        self._warned: list[_Warned] = []
        self._edits = 0
        self._usual = usual
        self._clock = clock

    @property
    def running(self) -> bool:
        """Whether a stage runs now."""
        return self.current is not None and self.current.state == "running"

    @property
    def troubles(self) -> tuple[str, ...]:
        """What a person should mend, newest first."""
        return tuple(dict.fromkeys(warned.text for warned in reversed(self._warned)))

    def elapsed(self, stage: StageView) -> float:
        """Return the seconds that a running stage has run for."""
        return max(0.0, self._clock() - stage.started)

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return what is wrong now: errors first, then failed tests, then warnings; what two stages say, once."""
        found: dict[object, Diagnostic] = {}
        for stage in self.stages.values():
            for each in stage.shown:
                found.setdefault(each[:5] if each.path is not None else each, each)
        return tuple(sorted(found.values(), key=lambda each: _ORDER[each.level]))

    def consume(self, event: WatchEvent) -> bool:
        """Take one event; return whether there is something new to show."""
        match event:
            case Output():
                held_up, self.lock = self.lock is not None, None  # Cargo says nothing while it waits
                return (self.current is not None and self.current.output(event)) or held_up
            case StepStarted() | StepFinished():
                return self.current is not None and self.current.step_ends()
            case StageStarted():
                self._stage_started(event)
            case StageFinished():
                self._stage_finished(event)
            case LockWait():
                self.lock = event.what
            case Note() | Trouble():
                self._warned = [*self._warned[-9:], _Warned(event.text, self._edits)]
            case Ready() | Changed() | Waiting() | Known() | Cancelled() | Idle() | Paused():
                self._watch_event(event)
            case _:
                return False
        return True

    def _watch_event(self, event: Ready | Changed | Waiting | Known | Cancelled | Idle | Paused) -> None:
        match event:
            case Ready():
                self.ready = event
                self.stages = {name: self.stages.get(name) or StageView(name) for name in event.stages}
                self._forget()
            case Changed():
                self._edits += 1
                self.changed, self.why = event, event.why
                for each in self.stages.values():
                    each.state, each.seconds = ("running", None) if each.state == "running" else ("pending", None)
            case Waiting():
                stage = self._stage(event.stage)
                stage.state, stage.seconds = "waiting", event.seconds
            case Known():
                stage = self._stage(event.stage)
                stage.state, stage.seconds, stage.shown = "known", None, ()
            case Cancelled():
                stage = self._stage(event.stage)
                stage.state, stage.seconds, self.lock = "cancelled", event.seconds, None
                cause = {"edit": "a newer edit", "key": "a key"}.get(event.cause, event.cause)
                self.result = (f"{event.stage} cancelled after {format_duration(event.seconds)} by {cause}", "dim")
            case Idle():
                self._idle(event)
            case Paused():
                self.paused = event.on

    def _stage(self, name: str) -> StageView:
        return self.stages.setdefault(name, StageView(name))

    def _stage_started(self, event: StageStarted) -> None:
        self.current = self._stage(event.stage)
        self.current.start(self._clock(), self._usual(event.stage))
        self.why, self.lock = event.why, None
        self.over.pop(event.stage, None)

    def _stage_finished(self, event: StageFinished) -> None:
        stage = self._stage(event.stage)
        stage.finish(event)
        self.lock = None
        if over := _over_budget(event):
            self.over[event.stage] = over
        seconds = format_duration(event.wall_seconds)
        if event.result == "success":
            self.result = (f"{event.stage} passed in {seconds}", "green")
        elif event.result in ("failure", "timeout"):
            self.result = (f"{event.stage} {_ended_badly(event, stage)}", "red")

    def _idle(self, event: Idle) -> None:
        self._forget()
        if event.result == "success":
            when = "" if event.green_seconds is None else f" {format_duration(event.green_seconds)} after the edit"
            self.result = (f"all stages passed{when}", "green")
        elif event.stage is not None and self._stage(event.stage).state not in ("failed", "timeout"):
            self.result = (f"{event.stage} failed", "red")

    def _forget(self) -> None:
        """Forget what had to be mended before the last edit."""
        self._warned = [warned for warned in self._warned if warned.edit >= self._edits]


def counted(diagnostics: Sequence[Diagnostic]) -> str:
    """Return how many there are, as `2 errors, 1 failed test, 3 warnings`; empty when there are none."""
    words = {"error": "error", "test": "failed test", "warning": "warning"}
    counts = {level: sum(each.level == level for each in diagnostics) for level in words}
    return ", ".join(f"{n} {words[level]}{'' if n == 1 else 's'}" for level, n in counts.items() if n)


def edited(paths: Sequence[str]) -> str:
    """Return which files were edited, in a few words: `src/lib.rs`, `src/lib.rs and 3 more`."""
    if len(paths) <= 2:
        return " and ".join(paths)
    return f"{paths[0]} and {len(paths) - 1} more"


def _ended_badly(event: StageFinished, stage: StageView) -> str:
    if event.result == "timeout":
        limit = "" if event.timeout_seconds is None else f" of {plain_duration(event.timeout_seconds)}"
        return f"ran past its timeout{limit} and was stopped"
    why = counted(stage.found) or event.detail or "see its output"
    return f"failed after {format_duration(event.wall_seconds)}: {why}"


def _over_budget(event: StageFinished) -> str | None:
    """Return that a stage went over its budget, and by how much; nothing of one that did not end by itself."""
    if event.budget_seconds is None or event.result not in ("success", "failure"):
        return None
    stand = judge(event.wall_seconds, event.budget_seconds, doubt="lock" if event.lock_wait else None)
    if stand.verdict == "ok":
        return None
    over = f"over its budget of {plain_duration(event.budget_seconds)}"
    if stand.verdict == "unknown":
        return f"{over}, but it waited for a lock"
    return f"{over} by {format_duration(event.wall_seconds - event.budget_seconds)}"
