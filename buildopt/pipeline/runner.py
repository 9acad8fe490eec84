"""The runner: planned stages in order, each command watched, everything told as events."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from buildopt.cargo.junit import TimedTest
from buildopt.cargo.messages import MessageStream
from buildopt.cargo.stderr import StderrReader
from buildopt.cargo.timings import parse_timings
from buildopt.cargo.units import UnitRow, join_units
from buildopt.host import Cancel, Command, Finished, Host
from buildopt.pipeline.events import (
    CacheUse,
    Event,
    LockWait,
    Note,
    Output,
    Result,
    RunFinished,
    RunStarted,
    Spawned,
    StageFinished,
    StageStarted,
    StepFinished,
    StepStarted,
    TimedTests,
    Units,
)
from buildopt.pipeline.plan import Invocation, PlannedStage, PlannedStep
from buildopt.pipeline.times_report import Reports

__all__ = ["Compiler", "Outcome", "run_stages"]

_STORAGE_SECONDS = 3.0  # between two questions to the storage of the compiler cache; two without an answer end the step
_TAIL_BYTES = 65_536  # of a command's stderr, kept to tell a failure of the cache from a failure of the code


class Compiler(NamedTuple):
    """How rustc is called in this run: the environment of the wrapper, and what to do when the wrapper fails."""

    env: Mapping[str, str | None] = {}
    """Changes to the environment while the wrapper is on."""
    without: Mapping[str, str | None] = {}
    """Changes to the environment for a step that is repeated without the wrapper."""
    is_failure: Callable[[bytes], bool] = lambda _tail: False
    """Whether the end of what a failed command printed speaks of the wrapper."""
    counters: Callable[[], object] = lambda: None
    """Read the counters of the compiler cache."""
    use: Callable[[object, object], tuple[CacheUse | None, str | None]] = lambda _before, _after: (None, None)
    """What the cache did between two readings, and a line for the person when that is not as it should be."""
    alive: Callable[[], bool] | None = None
    """Whether the storage still answers; None when there is nothing to ask."""


class Outcome(NamedTuple):
    """How a run ended."""

    id: str
    result: Result
    wall_seconds: float
    stages: tuple[StageFinished, ...]
    cancelled_by: str | None = None


class _Measured(NamedTuple):
    """One command: what it cost and the units it told of."""

    finished: Finished
    units: tuple[UnitRow, ...]
    tests: tuple[TimedTest, ...]
    listed: bytes
    """What it printed for buildopt to read, and not for the person."""
    lock_wait: bool
    tail: bytes
    """The end of what it printed, without Cargo's own messages."""
    storage_lost: bool
    """Whether it was ended because the storage of the compiler cache does not answer."""


class _Runner:
    """What the stages of one run share."""

    def __init__(
        self, host: Host, root: Path, env: Mapping[str, str | None], compiler: Compiler, emit: Callable[[Event], None]
    ) -> None:
        self.host = host
        self.root = root
        self.env = env
        self.compiler = compiler
        self.emit = emit
        self.wrapper_on = True
        self.reports = Reports(host, root)

    def stage(self, planned: PlannedStage, cancel: Cancel) -> StageFinished:
        started = self.host.monotonic()
        self.emit(
            StageStarted(
                planned.name,
                planned.packages,
                planned.total_packages,
                planned.why,
                planned.timeout_seconds,
                planned.budget_seconds,
            )
        )
        before = self.compiler.counters() if self.wrapper_on else None
        steps: list[StepFinished] = []
        units: list[UnitRow] = []
        for step in planned.steps:
            left = _left(planned.timeout_seconds, self.host.monotonic() - started)
            finished, step_units = self.step(planned.name, step, left, cancel)
            self.emit(finished)
            steps.append(finished)
            units += step_units
            if finished.result in ("failure", "timeout", "cancelled"):
                break
        rebuilt = sum(not unit.fresh for unit in units)
        cache, complaint = (None, None)
        if before is not None and rebuilt:
            cache, complaint = self.compiler.use(before, self.compiler.counters())
        if complaint:
            self.emit(Note(complaint))
        worst = next((step for step in steps if step.result in ("failure", "timeout", "cancelled")), None)
        return StageFinished(
            stage=planned.name,
            result=worst.result if worst else "success",
            wall_seconds=self.host.monotonic() - started,
            cpu_seconds=sum(step.cpu_seconds for step in steps),
            peak_bytes=max((step.peak_bytes for step in steps), default=0),
            packages=planned.packages,
            fresh=len(units) - rebuilt,
            rebuilt=rebuilt,
            budget_seconds=planned.budget_seconds,
            timeout_seconds=planned.timeout_seconds,
            lock_wait=any(step.lock_wait for step in steps),
            cache=cache,
            detail=f"{worst.step}: {worst.detail}" if worst else None,
        )

    def step(
        self, stage: str, planned: PlannedStep, left: float | None, cancel: Cancel
    ) -> tuple[StepFinished, tuple[UnitRow, ...]]:
        if planned.skipped is not None:
            return StepFinished(
                stage, planned.step, "skipped", 0.0, 0.0, 0, lock_wait=False, detail=planned.skipped
            ), ()
        started = self.host.monotonic()
        done: list[_Measured] = []
        units: list[UnitRow] = []
        waiting = deque(planned.invocations)
        while waiting:
            invocation = waiting.popleft()
            remaining = _left(left, self.host.monotonic() - started)
            self.emit(StepStarted(stage, planned.step, invocation.argv))
            measured = self.invoke(stage, planned.step, invocation, remaining, cancel)
            if self.failed_by_wrapper(measured):
                self.wrapper_on = False
                what = "its storage went away" if measured.storage_lost else "it failed during the build"
                self.emit(Note(f"the compiler cache is not used any more ({what}): this step is repeated without it"))
                done.append(measured)
                remaining = _left(left, self.host.monotonic() - started)
                measured = self.invoke(stage, planned.step, invocation, remaining, cancel)
            done.append(measured)
            if invocation.measured:
                units += measured.units
                self.emit(Units(stage, planned.step, measured.units))
            if measured.tests:
                self.emit(TimedTests(stage, planned.step, measured.tests))
            if measured.finished.returncode != 0 or measured.finished.cancelled:
                break
            if invocation.charged_to is not None:
                charged = TimedTest(*invocation.charged_to, measured.finished.cpu_seconds)
                self.emit(TimedTests(stage, planned.step, (charged,)))
            if invocation.then is not None:
                further = invocation.then(measured.listed)
                self.emit(Note(further.note))
                waiting.extendleft(reversed(further.invocations))
        result, detail = _verdict(done[-1].finished, cancel)
        return (
            StepFinished(
                stage=stage,
                step=planned.step,
                result=result,
                wall_seconds=self.host.monotonic() - started,
                cpu_seconds=sum(item.finished.cpu_seconds for item in done),
                peak_bytes=max(item.finished.peak_bytes for item in done),
                lock_wait=any(item.lock_wait for item in done),
                detail=detail,
            ),
            tuple(units),
        )

    def failed_by_wrapper(self, measured: _Measured) -> bool:
        finished = measured.finished
        if measured.storage_lost:
            return True
        failed = finished.returncode != 0 and not finished.timed_out and not finished.cancelled
        return self.wrapper_on and failed and self.compiler.is_failure(measured.tail)

    def invoke(self, stage: str, step: str, invocation: Invocation, timeout: float | None, cancel: Cancel) -> _Measured:
        reader, messages, tail, waits = StderrReader(self.root), MessageStream(), bytearray(), 0
        listed = bytearray()

        def on_stderr(chunk: bytes) -> None:
            nonlocal waits
            tail.extend(chunk)
            del tail[:-_TAIL_BYTES]
            shown = reader.feed(chunk)
            if shown:
                self.emit(Output("stderr", shown))
            for what in reader.lock_waits[waits:]:
                self.emit(LockWait(stage, what))
            waits = len(reader.lock_waits)

        def on_stdout(chunk: bytes) -> None:
            if invocation.then is not None:
                listed.extend(chunk)
                return
            shown = messages.feed(chunk).text if invocation.measured else chunk
            if shown:
                tail.extend(shown)
                del tail[:-_TAIL_BYTES]
                self.emit(Output("stdout", shown))

        env = {**self.env, **(self.compiler.env if self.wrapper_on else self.compiler.without)}
        alive = self.compiler.alive if self.wrapper_on else None
        with self.reports.of(invocation) as report, _storage_watch(alive, cancel) as watched:
            finished = self.host.run(
                Command(report.argv, self.root, env, timeout),
                on_stdout=on_stdout,
                on_stderr=on_stderr,
                on_start=lambda pid: self.emit(Spawned(stage, step, pid)),
                cancel=watched,
            )
            tests, complaint = report.read()
        if complaint:
            self.emit(Note(complaint))
        if rest := reader.flush():
            self.emit(Output("stderr", rest))
        if rest := messages.flush().text:
            self.emit(Output("stdout", rest))
        units = self.units(messages, reader) if invocation.measured else ()
        lost = finished.cancelled and not cancel.requested
        return _Measured(finished, units, tests, bytes(listed), bool(reader.lock_waits), bytes(tail), storage_lost=lost)

    def units(self, messages: MessageStream, reader: StderrReader) -> tuple[UnitRow, ...]:
        html = b""
        if reader.timings_path is not None:
            path = Path(reader.timings_path)
            html = self.host.files.read(path) or b""
            self.host.files.remove(path)  # Cargo keeps one for every build and never removes any
        return join_units(messages.artifacts, parse_timings(html.decode(errors="replace")), reader.reasons)


@contextmanager
def _storage_watch(alive: Callable[[], bool] | None, cancel: Cancel) -> Iterator[Cancel]:
    """Yield what ends a command: `cancel`, or a storage of the compiler cache that has stopped to answer.

    When Redis dies, sccache neither fails nor says so: each unit waits 30 seconds for it (measured with 0.16).
    """
    if alive is None:
        yield cancel
        return
    ended = threading.Event()

    def watch() -> None:
        misses = 0
        while misses < 2 and not ended.wait(_STORAGE_SECONDS):
            misses = 0 if alive() else misses + 1
        if misses == 2:
            follower.trigger("storage")

    with cancel.follower() as follower:
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield follower
        finally:
            ended.set()
            thread.join()


@contextmanager
def _ending(host: Host, cancel: Cancel | None) -> Iterator[Cancel]:
    if cancel is not None:
        yield cancel
        return
    with Cancel() as own, host.signals(own):
        yield own


def run_stages(
    host: Host,
    root: Path,
    planned: Sequence[PlannedStage],
    *,
    run_id: str,
    command: str,
    env: Mapping[str, str | None],
    compiler: Compiler,
    emit: Callable[[Event], None],
    enforce_budgets: bool = False,
    cancel: Cancel | None = None,
) -> Outcome:
    """Run `planned` in order and tell of it by `emit`; after a stage that did not pass, the rest is skipped.

    `cancel` ends the running command with every process of its session; without it SIGINT, SIGTERM and SIGHUP do.
    """
    started = host.monotonic()
    emit(RunStarted(run_id, command, host.now()))
    runner = _Runner(host, root, env, compiler, emit)
    finished: list[StageFinished] = []
    blocked: str | None = None
    with _ending(host, cancel) as end:
        for stage in planned:
            if blocked is not None or stage.skipped is not None:
                ended = _skipped(stage, blocked or stage.skipped)
            else:
                ended = _with_budget(runner.stage(stage, end), enforce_budgets)
            emit(ended)
            finished.append(ended)
            if ended.result in ("failure", "timeout", "cancelled"):
                blocked = f"{stage.name} did not pass"
        reason = end.reason
    result = _overall(finished)
    wall = host.monotonic() - started
    emit(RunFinished(run_id, result, wall))
    return Outcome(run_id, result, wall, tuple(finished), reason if result == "cancelled" else None)


def _left(limit: float | None, spent: float) -> float | None:
    return None if limit is None else max(0.001, limit - spent)


def _verdict(finished: Finished, cancel: Cancel) -> tuple[Result, str | None]:
    if finished.timed_out:
        return "timeout", "killed at its timeout"
    if finished.cancelled:
        return "cancelled", f"ended by {cancel.reason}"
    if finished.returncode == 0:
        return "success", None
    if finished.returncode < 0:
        return "failure", f"killed by signal {-finished.returncode}"
    return "failure", f"exit code {finished.returncode}"


def _with_budget(stage: StageFinished, enforce: bool) -> StageFinished:
    over = stage.budget_seconds is not None and stage.wall_seconds > stage.budget_seconds
    if enforce and over and stage.result == "success":
        return stage._replace(result="failure", detail="over its budget, and budgets are enforced")
    return stage


def _skipped(stage: PlannedStage, why: str | None) -> StageFinished:
    return StageFinished(
        stage.name, "skipped", 0.0, 0.0, 0, stage.packages, 0, 0, stage.budget_seconds, stage.timeout_seconds,
        lock_wait=False, detail=why,
    )  # fmt: skip


def _overall(stages: Sequence[StageFinished]) -> Result:
    worst_first: tuple[Result, ...] = ("cancelled", "timeout", "failure")
    for result in worst_first:
        if any(stage.result == result for stage in stages):
            return result
    return "skipped" if stages and all(stage.result == "skipped" for stage in stages) else "success"
