"""The engine of a watch: what starts, what ends, and in which order.

One thread decides. The watcher, the runner and the reading of manifests work in threads of their own and put what they have
into the inbox; nothing else is shared.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from buildopt.cargo.affected import Reached
from buildopt.errors import BuildoptError
from buildopt.host import Cancel, Host
from buildopt.pipeline.runner import Outcome
from buildopt.watch.cycle import Cycle, CycleResult
from buildopt.watch.events import Cancelled, Changed, Idle, Known, Paused, Trouble, Waiting, WatchEvent
from buildopt.watch.graph import Graph, StageRule
from buildopt.watch.inbox import Inbox
from buildopt.watch.jobs import Done, Edits, Item, Job, Looked, Work, look, start
from buildopt.watch.ledger import Contents, Ledger
from buildopt.watch.restless import Restless
from buildopt.watch.tree import Edit

__all__ = ["Engine", "Keys"]

_SETTLE_SECONDS = 0.1  # an edit that comes so soon after a stage may have been there before its end, unseen
_MANY_EDITS = 50  # a branch switch or a rebase: the first stage waits until it is over
_MANY_QUIET_SECONDS = 0.15
_TICK_SECONDS = 0.1
_RESTLESS = (
    "{}: edited ten times in a row, each time as soon as a stage ran; "
    "if it is the build that writes it, let it affect nothing: [affected.paths]"
)


class Keys(Protocol):
    """Where keys come from."""

    def fileno(self) -> int:
        """Return the descriptor to wait for."""

    def read(self) -> list[str]:
        """Return what was asked for by keys: `rerun`, `next`, `pause`, `full` or `quit`."""


class Engine:
    """A watch over one workspace."""

    def __init__(
        self,
        host: Host,
        graph: Graph,
        work: Work,
        *,
        passed: Mapping[str, Sequence[str]],
        why: str,
        tell: Callable[[WatchEvent], None],
        keep: Callable[[Cycle, CycleResult, str | None, float | None], None],
    ) -> None:
        self._host = host
        self._graph = graph
        self._work = work
        self._tell = tell
        self._keep = keep
        self.moved: Callable[[Graph], None] = lambda _graph: None
        """Is told of a new graph."""
        self._start_why: str | None = why
        self._inbox: Inbox[Item] = Inbox()
        self._before: dict[str, Reached] = {}
        """By path of an edited manifest, what it affected in the graphs before this one."""
        self._ledger = Ledger(graph.names, self._reach)
        for stage, packages in passed.items():
            whole = any(rule.name == stage and rule.whole for rule in graph.stages)
            self._ledger.passed(stage, self._ledger.contents(None if whole else packages))
        self._restless = Restless()
        self._ended_at = 0.0
        self._locked = False
        """Whether the lock file has changed during the running stage: Cargo writes it after a change of manifest."""
        self._edited: set[str] = set()
        """What was edited since everything had passed."""
        self._cycle = Cycle(host.monotonic(), host.now(), by_edit=False)
        self._job: Job | None = None
        self._ending: tuple[str, float] | None = None
        """Why the job was asked to end, and when."""
        self._last_pass: tuple[str, Contents, float] = ("", {}, 0.0)
        self._failed: tuple[str, Contents] | None = None
        self._unread = self._broken = self._built = self._looking = False
        self._quiet_from = host.monotonic()
        self._many = self._hurry = self._paused = self._idle = False
        self._waiting_for: str | None = None
        self.failed_stage: str | None = None

    def edits(self, edits: tuple[Edit, ...]) -> None:
        """Take edits; any thread may call it."""
        self._inbox.put(Edits(edits))

    def trouble(self, text: str) -> None:
        """Take something that a person should know; any thread may call it."""
        self._inbox.put(Trouble(text))

    def watch(
        self, stop: Cancel, *, keys: Keys | None = None, once: bool = False, tick: Callable[[], None] | None = None
    ) -> None:
        """Work until `stop` is asked for, `quit` is typed or, with `once`, nothing is left to do; then nothing runs any more."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._inbox.fileno(), selectors.EVENT_READ)
            selector.register(stop.fileno(), selectors.EVENT_READ)
            if keys is not None:
                selector.register(keys.fileno(), selectors.EVENT_READ, keys)
            try:
                self._advance()
                while not stop.requested and not (once and self._idle):
                    for key, _ in selector.select(self._patience(tick is not None)):
                        if key.data is not None and not all(self._typed(name) for name in key.data.read()):
                            return
                    for item in self._inbox.take():
                        self._take(item)
                    self._advance()
                    if tick is not None:
                        tick()
            finally:
                self._end(stop.reason or "key")

    def _patience(self, ticking: bool) -> float | None:
        """Return the seconds until something is due by itself; None when only an edit or a key can start anything."""
        if self._job is not None:
            return _TICK_SECONDS if ticking else None
        stage = self._next_stage()
        if stage is None or self._paused or self._broken:
            return None
        return max(0.0, self._due(stage) - self._host.monotonic())

    def _take(self, item: Item) -> None:
        match item:
            case Edits():
                self._take_edits(item.edits)
            case Done():
                self._take_done(item.outcome)
            case Looked():
                self._take_looked(item)
            case Trouble():
                self._tell(item)
            case _:
                if self._job is not None:
                    self._job.cycle.see(item, self._host.monotonic())
                self._tell(item)

    # ---- edits

    def _take_edits(self, edits: Sequence[Edit]) -> None:
        now = self._host.monotonic()
        affected = self._ledger.take(edits)
        paths = {edit.path for edit in edits}
        steering = not paths.isdisjoint(self._graph.steering)
        self._unread = self._unread or steering
        for path in paths & self._graph.steering:
            self._before[path] = self._reach(path)
        if not affected and not steering:
            return
        if now - self._last_pass[2] < _SETTLE_SECONDS:
            self._ledger.retract(*self._last_pass[:2])
        at_work = self._job is not None and self._job.stage is not None
        if at_work and paths == {"Cargo.lock"}:
            self._locked = True
            return
        if self._restless.edited(paths, now, at_work=at_work or now - self._ended_at < _SETTLE_SECONDS):
            self._tell(Trouble(_RESTLESS.format(", ".join(sorted(paths)))))
        if at_work:
            self._ask_to_end("edit")
        self._quiet_from, self._many = now, len(edits) > _MANY_EDITS
        self._begin_cycle(paths, affected)

    def _begin_cycle(self, paths: set[str], affected: frozenset[str]) -> None:
        running = self._job is not None and self._job.stage is not None and self._job.cycle is self._cycle
        if self._cycle.ran and not self._idle and not running:
            self._keep(self._cycle, "success", None, None)  # its next stage was waiting for its quiet time
        if self._idle or running or self._cycle.ran or not self._cycle.by_edit:
            self._cycle = Cycle(self._host.monotonic(), self._host.now(), by_edit=True)
        self._cycle.paths |= paths
        self._cycle.packages |= affected
        self._edited |= paths
        self._idle = self._hurry = False
        self._start_why = self._waiting_for = None
        first = self._graph.stages[0]
        pending = self._ledger.pending(first.name, whole=first.whole)
        names = tuple(self._graph.names[each] for each in pending)
        why = self._graph.why(self._edited) if names else "this content is known"
        self._tell(Changed(tuple(sorted(paths)), names, len(self._graph.names), why))

    # ---- what starts

    def _advance(self) -> None:
        """Start what is due; say so when nothing is left."""
        if self._job is not None or self._paused:
            return
        if self._unread:
            self._unread, self._broken = False, False
            self._start(None, ())
            return
        stage = None if self._broken else self._next_stage()
        if stage is None:
            if not self._idle:
                self._rest()
            return
        wait = self._due(stage) - self._host.monotonic()
        if wait <= 0:
            self._start(stage, self._ledger.pending(stage.name, whole=stage.whole))
        elif self._waiting_for != stage.name and self._cycle.ran:
            self._waiting_for = stage.name
            self._tell(Waiting(stage.name, wait))

    def _next_stage(self) -> StageRule | None:
        """Return the first stage that this content has not passed; None when there is none, or it is known to fail."""
        for stage in self._graph.stages:
            pending = self._ledger.pending(stage.name, whole=stage.whole)
            if pending:
                contents = self._ledger.contents(None if stage.whole else pending)
                return None if self._failed == (stage.name, contents) else stage
        return None

    def _due(self, stage: StageRule) -> float:
        quiet = 0.0 if self._hurry else stage.quiet_seconds
        return self._quiet_from + max(quiet, _MANY_QUIET_SECONDS if self._many else 0.0, self._restless.quiet_seconds)

    def _start(self, stage: StageRule | None, packages: tuple[str, ...]) -> None:
        if stage is not None:
            self._cycle.ran.append(stage.name)
            self._built, self._hurry = True, False
        self._job = start(
            self._work,
            self._inbox.put,
            stage,
            packages,
            why=self._start_why or self._graph.why(self._edited),
            contents={} if stage is None else self._ledger.contents(None if stage.whole else packages),
            cycle=self._cycle,
            now=self._host.monotonic(),
        )

    def _rest(self) -> None:
        """Say that nothing is left to do, and keep the cycle."""
        self._idle = True
        now = self._host.monotonic()
        self.failed_stage = self._failed[0] if self._failed and self._next_unpassed() == self._failed[0] else None
        good = self.failed_stage is None and not self._broken
        if good:
            for stage in self._graph.stages if self._cycle.by_edit else ():
                if stage.name not in self._cycle.ran:
                    self._tell(Known(stage.name, tuple(self._graph.names.values())))
            self._edited.clear()
        green = self._cycle.green(now) if good and self._cycle.ran and self._cycle.by_edit else None
        self._tell(Idle("success" if good else "failure", self.failed_stage, green))
        if self._cycle.ran:
            self._keep(self._cycle, "success" if good else "failure", None, None)
        if self._built and not self._looking:
            self._built, self._looking = False, True
            look(self._work, self._inbox.put, self._graph)

    def _next_unpassed(self) -> str | None:
        stages = (each for each in self._graph.stages if self._ledger.pending(each.name, whole=each.whole))
        return next((stage.name for stage in stages), None)

    # ---- what ends

    def _ask_to_end(self, cause: str) -> None:
        if self._job is not None and self._ending is None:
            self._ending = (cause, self._host.monotonic())
            self._job.cancel.trigger(cause)

    def _take_done(self, outcome: Outcome | Graph | BaseException) -> None:
        job, ending = self._job, self._ending
        assert job is not None
        job.thread.join()
        job.cancel.close()
        self._job = self._ending = None
        if isinstance(outcome, BuildoptError):
            self._tell(Trouble(_said(outcome)))
            self._broken = job.stage is None
            if job.stage is not None:
                self._failed = (job.stage.name, job.contents)
        elif isinstance(outcome, BaseException):
            raise outcome
        elif isinstance(outcome, Graph):
            self._use(outcome)
        elif job.stage is not None:
            self._stage_done(job, job.stage, outcome, ending)

    def _stage_done(self, job: Job, stage: StageRule, outcome: Outcome, ending: tuple[str, float] | None) -> None:
        now = self._host.monotonic()
        again, self._locked = self._locked, False
        if outcome.result == "cancelled":
            cause, asked = ending or ("unknown", now)
            self._tell(Cancelled(stage.name, cause, now - job.started))
            self._keep(job.cycle, "cancelled", cause, now - asked)
            return
        self._ended_at = now
        if outcome.result in ("success", "skipped"):
            if not again:
                self._ledger.passed(stage.name, job.contents)
                self._last_pass = (stage.name, job.contents, now)
            self._failed = None
        elif not again:
            self._failed = (stage.name, job.contents)
        if again:
            self._begin_cycle({"Cargo.lock"}, frozenset(job.packages))

    def _end(self, cause: str) -> None:
        """End what runs and wait for it: nothing is left when this returns."""
        if self._job is not None:
            self._ask_to_end(cause)
            job = self._job
            job.thread.join()
            for item in self._inbox.take():
                if isinstance(item, Done):
                    if not isinstance(item.outcome, BaseException):
                        self._take_done(item.outcome)
                elif not isinstance(item, Edits | Looked):
                    self._take(item)
        self._inbox.close()

    # ---- graphs

    def _use(self, graph: Graph) -> None:
        self._graph = graph
        self._ledger.use(graph.names, self._reach)
        self.moved(graph)

    def _reach(self, path: str) -> Reached:
        """Return what a file affects: a manifest also what it affected as it was before."""
        found, before = self._graph.reach(path), self._before.get(path)
        return (
            found
            if before is None
            else Reached(found.packages | before.packages, found.everything or before.everything)
        )

    def _take_looked(self, looked: Looked) -> None:
        self._looking = False
        if isinstance(looked.graph, BuildoptError):
            self._tell(Trouble(_said(looked.graph)))
        elif isinstance(looked.graph, BaseException):
            raise looked.graph
        elif looked.graph is not None and looked.at is self._graph:
            self._use(looked.graph)

    # ---- keys

    def _typed(self, name: str) -> bool:
        """Do what a key asks for; return whether the watch goes on."""
        stages = self._graph.stages
        match name:
            case "quit":
                return False
            case "pause":
                self._paused = not self._paused
                self._tell(Paused(self._paused))
            case "next":
                self._hurry, self._many = True, False
            case "rerun":
                self._again(stages[:1] if self._failed is None else stages)
            case "full":
                self._again(stages[-1:])
            case _:
                pass
        return True

    def _again(self, stages: Sequence[StageRule]) -> None:
        """Run stages once more for the content as it is, at once."""
        packages = self._cycle.packages or frozenset(self._graph.names)
        for stage in stages:
            self._ledger.forget(stage.name, self._graph.names if stage.whole else packages)
        self._failed, self._hurry, self._idle = None, True, False
        if self._job is None:
            self._cycle = Cycle(self._host.monotonic(), self._host.now(), by_edit=False)
            self._cycle.packages = packages
        else:
            self._ask_to_end("key")


def _said(error: BuildoptError) -> str:
    return "; ".join(line.strip() for line in error.lines())
