"""`watch`: joins the engine to profile, Cargo, pipeline and record."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from buildopt import cargo
from buildopt.errors import ArgumentError, MachineRefused
from buildopt.host import Cancel
from buildopt.pipeline.events import Event, Note
from buildopt.pipeline.graph import stages_in_order
from buildopt.pipeline.plan import Selection
from buildopt.pipeline.runner import Compiler, Outcome, run_stages
from buildopt.profile.model import Profile
from buildopt.record import Record, new_run_id
from buildopt.verbs.audience import Audience
from buildopt.verbs.compiler import compiler_for
from buildopt.verbs.context import Context
from buildopt.verbs.run import changed, environment, plan_work, work_of
from buildopt.watch.engine import Engine, Keys
from buildopt.watch.events import Ready, Trouble, WatchEvent
from buildopt.watch.graph import Graph, StageRule
from buildopt.watch.places import places
from buildopt.watch.tree import Edit
from buildopt.watch.watcher import Watcher

__all__ = ["Watched", "usual_seconds", "watch", "watched_stages"]

_QUIET_SECONDS = (0.0, 1.0, 10.0)  # of the first stage, the second, and each further one
_STEERING = (
    "Cargo.lock", "Cargo.toml", "rust-toolchain", "rust-toolchain.toml", ".cargo/config.toml", ".cargo/config",
    ".cargo/buildopt.toml", ".cargo/buildopt.host.toml",
)  # fmt: skip


class Watched(NamedTuple):
    """How a watch ended."""

    result: Literal["success", "failure", "timeout"]
    """Of the last content: whether all stages passed, and if not, how the one ended that did not."""
    stopped_by: str | None
    """The name of the signal that ended it; None when a key did, or when with `once` nothing was left to do."""


def watch(
    context: Context,
    *,
    tell: Callable[[WatchEvent], None],
    keys: Keys | None = None,
    once: bool = False,
    tick: Callable[[], None] | None = None,
) -> Watched:
    """Run the stages for every edit until a signal or a key ends it, or `once`; nothing runs any more when it returns.

    Raises before anything runs when the profile, a manifest or a tool is not as it must be.
    """
    work = _Work(context)
    graph = work.graph(context)
    with Record.open(context.host, context.state) as record, Cancel() as stop, context.host.signals(stop):
        relay = _Relay()
        audience = Audience(record, lambda: work.context, relay.trouble, tell)
        watcher = None if once else _watcher(context, graph, relay, audience)
        try:
            # What is edited from here on is seen; so git, which is asked now, can miss nothing that nobody tells of.
            selection = changed(context)
            engine = Engine(
                context.host,
                graph,
                work,
                passed=_passed(record, graph, selection, once=once),
                why=_why(record, graph, selection),
                tell=audience.tell,
                keep=audience.keep,
            )
            if watcher is not None:
                engine.moved = _mover(watcher, audience)
            work.note = engine.trouble
            relay.connect(engine)
            _prepare(context, audience)
            engine.watch(stop, keys=keys, once=once, tick=tick)
        finally:
            if watcher is not None:
                watcher.stop()
        return Watched(audience.result, stop.reason)


def watched_stages(context: Context) -> tuple[str, ...]:
    """Return the stages that an edit starts, in order."""
    return tuple(rule.name for rule in _rules(context.loaded.profile))


def usual_seconds(context: Context, stages: Iterable[str]) -> Mapping[str, float]:
    """Return how many seconds each stage usually takes, where the record knows it."""
    with Record.open(context.host, context.state) as record:
        usual = {stage: record.usual_seconds(stage) for stage in stages}
    return {stage: seconds for stage, seconds in usual.items() if seconds is not None}


class _Relay:
    """Keeps what the watcher tells until there is an engine."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._kept: list[Callable[[Engine], None]] = []

    def edits(self, edits: tuple[Edit, ...]) -> None:
        self._tell(lambda engine: engine.edits(edits))

    def trouble(self, text: str) -> None:
        self._tell(lambda engine: engine.trouble(text))

    def connect(self, engine: Engine) -> None:
        with self._lock:
            self._engine = engine
            for each in self._kept:
                each(engine)

    def _tell(self, what: Callable[[Engine], None]) -> None:
        with self._lock:
            if self._engine is None:
                self._kept.append(what)
            else:
                what(self._engine)


def _watcher(context: Context, graph: Graph, relay: _Relay, audience: Audience) -> Watcher:
    """Return a watcher that has begun; the person is told."""
    watcher = Watcher(
        context.host,
        context.root,
        graph.places,
        poll_seconds=context.loaded.profile.watch.poll,
        on_edits=relay.edits,
        on_note=relay.trouble,
    )
    watcher.start()
    audience.tell(_ready(graph, watcher))
    return watcher


def _mover(watcher: Watcher, audience: Audience) -> Callable[[Graph], None]:
    def moved(graph: Graph) -> None:
        watcher.move_to(graph.places)
        audience.tell(_ready(graph, watcher))

    return moved


def _ready(graph: Graph, watcher: Watcher) -> Ready:
    stages = tuple(stage.name for stage in graph.stages)
    return Ready(len(graph.names), watcher.directories, watcher.files, stages)


def _why(record: Record, graph: Graph, selection: Selection) -> str:
    """Return why the stages of the start run."""
    new = next((stage.name for stage in graph.stages if not record.has_passed(stage.name)), None)
    return selection.why if new is None else f"{selection.why}; {new} never passed before: all packages"


def _prepare(context: Context, audience: Audience) -> None:
    try:
        context.prepare_state()
    except MachineRefused as error:  # a watch is not failed by what would only be recorded of it
        audience.tell(Trouble(f"nothing is recorded: {error.message}"))


def _passed(record: Record, graph: Graph, selection: Selection, *, once: bool) -> Mapping[str, Sequence[str]]:
    """Return what need not run at the start: what has passed before and has not changed since, as far as git knows."""
    touched = {package.id for package in selection.packages}
    passed: dict[str, Sequence[str]] = {}
    for stage in graph.stages:
        if not record.has_passed(stage.name):
            continue
        if not stage.whole:
            passed[stage.name] = [each for each in graph.names if each not in touched]
        elif not touched and not once:
            passed[stage.name] = list(graph.names)
    return passed


class _Work:
    """What the engine has done outside the main thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._compiler: Compiler | None = None
        self._readers: Mapping[str, frozenset[str]] = {}
        self.note = context.note
        """Takes what a person should know of a profile that was read again."""

    @property
    def context(self) -> Context:
        return self._context

    def run(
        self, stage: str, packages: Sequence[str], why: str, cancel: Cancel, emit: Callable[[Event], None]
    ) -> Outcome:
        context = self._context
        members = context.workspace.members
        chosen = tuple(package for package in members if package.id in set(packages))
        declared = context.loaded.profile.stages[stage]
        selection = Selection(chosen, len(chosen) == len(members), why)
        planned = plan_work(context, work_of(context, stage, declared), selection)
        if self._compiler is None:
            self._compiler, note = compiler_for(context, True)
            if note:
                emit(Note(note))
        return run_stages(
            context.host,
            context.root,
            [planned],
            run_id=new_run_id(context.host.now()),
            command=f"watch {stage}",
            env=environment(context),
            compiler=self._compiler,
            emit=emit,
            enforce_budgets=context.loaded.profile.budgets.enforce,
            cancel=cancel,
        )

    def read(self, cancel: Cancel) -> Graph:
        old = self._context
        context = Context(
            old.host.ending_with(cancel),
            old.root,
            profile_path=old.profile_path,
            settings=old.settings,
            strict=old.strict,
            note=self.note,
        )
        graph = self.graph(context)
        drift = _drift(context)
        context.host = old.host
        self._context, self._compiler = context, None
        if drift:
            self.note(drift)
        return graph

    def look(self) -> Graph | None:
        context = self._context
        readers = cargo.read_inputs(context.host, context.workspace)
        return None if readers == self._readers else self._graph(context, readers)

    def graph(self, context: Context) -> Graph:
        """Read everything that an edit is judged by."""
        context.check_requires()
        return self._graph(context, cargo.read_inputs(context.host, context.workspace))

    def _graph(self, context: Context, readers: Mapping[str, frozenset[str]]) -> Graph:
        profile, workspace = context.loaded.profile, context.workspace
        self._readers = readers
        reach = cargo.Reach(workspace, profile.affected.paths, readers)
        texts = (context.root / name for name in context.loaded.texts)
        read = (context.profile_path, *(path for path in texts if context.host.files.stamp(path) is not None))
        manifests = (package.manifest for package in workspace.packages)
        steering = (_relative(path, context.root) for path in (*read, *manifests))

        def why(paths: Iterable[str]) -> str:
            return reach.affected(cargo.Changes(tuple(sorted(paths)), "", None, True)).why

        return Graph(
            names={package.id: package.name for package in workspace.members},
            reach=reach.of,
            why=why,
            stages=_rules(profile),
            steering=frozenset((*_STEERING, *steering)),
            places=places(workspace, context.profile_path, (*read, *(context.root / path for path in readers))),
        )


def _rules(profile: Profile) -> tuple[StageRule, ...]:
    if not profile.stages:
        raise ArgumentError(
            "the profile declares no stage", hint='add [stages.quick-check], or a preset: extends = ["dev-fast"]'
        )
    order = stages_in_order(profile.stages, profile.watch.stages or tuple(profile.stages))
    rules = []
    for position, name in enumerate(order):
        usual = _QUIET_SECONDS[min(position, len(_QUIET_SECONDS) - 1)]
        whole = profile.stages[name].scope == "workspace"
        rules.append(StageRule(name, whole, profile.watch.quiet.get(name, usual)))
    return tuple(rules)


def _relative(path: Path, root: Path) -> str:
    import os  # noqa: PLC0415 - one name of it

    return os.path.relpath(path, root).replace(os.sep, "/")


def _drift(context: Context) -> str | None:
    """Return a line when what is generated is not what the profile now says."""
    from buildopt.verbs.generated import make_committed_plan  # noqa: PLC0415 - only after a change of manifest or profile

    edits = make_committed_plan(context).edits
    files = ", ".join(edit.path for edit in edits)
    return (
        f"drift: {files} {'is' if len(edits) == 1 else 'are'} not what the profile says. Next: buildopt sync"
        if edits
        else None
    )
