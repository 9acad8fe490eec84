"""`run` and `dev-quick`: from stages to a recorded run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from buildopt import cargo
from buildopt.errors import ArgumentError, MachineRefused, Problem, ProfileError, ToolMissing
from buildopt.measure.timeouts import SAMPLES, follow
from buildopt.pipeline.events import Event, Note
from buildopt.pipeline.graph import stages_in_order
from buildopt.pipeline.plan import PlannedStage, Selection, Work, feature_notes, plan_stage
from buildopt.pipeline.recording import Recording
from buildopt.pipeline.runner import Outcome, run_stages
from buildopt.profile.model import Stage, Timeout
from buildopt.record import Record, TimeRow, host_class, new_run_id
from buildopt.verbs.compiler import compiler_for
from buildopt.verbs.context import Context

__all__ = ["changed", "environment", "execute", "first_stage", "plan_work", "run", "timeout_of", "work_of"]

_DEV_STAGE = "quick-check"
_BUILT_IN_PROFILES = ("dev", "release", "test", "bench")


def first_stage(context: Context) -> str:
    """Return the stage that `dev-quick` runs: `quick-check`, or the first one that the profile declares."""
    stages = context.loaded.profile.stages
    if not stages:
        raise ArgumentError(
            "the profile declares no stage", hint='add [stages.quick-check], or a preset: extends = ["dev-fast"]'
        )
    return _DEV_STAGE if _DEV_STAGE in stages else next(iter(stages))


def run(
    context: Context,
    wanted: Sequence[str],
    *,
    emit: Callable[[Event], None],
    scope: str | None = None,
    only: bool = False,
) -> Outcome:
    """Run the stages `wanted` and those that they require (`only` leaves these out), record it, and return how it ended.

    `scope` replaces the scope of every stage. Raises before anything runs when an argument, the profile, a manifest or
    a tool is not as it must be.
    """
    profile = context.loaded.profile
    order = stages_in_order(profile.stages, wanted)
    if only:
        order = tuple(name for name in order if name in wanted)
    context.check_requires()
    stages = {name: profile.stages[name] for name in order}
    wants_affected = any((scope or stage.scope) == "affected" for stage in stages.values())
    affected = changed(context) if wants_affected else None
    with Record.open(context.host, context.state) as record:
        planned = []
        notes: list[str] = []
        for name, stage in stages.items():
            chosen = affected if (scope or stage.scope) == "affected" else None
            work = work_of(context, name, stage)
            planned.append(_plan_stage(context, record, work, chosen))
            notes += feature_notes(work, context.workspace, profile)
        return execute(context, record, planned, f"run {' '.join(wanted)}", emit, notes, affected)


def plan_work(context: Context, work: Work, selection: Selection) -> PlannedStage:
    """Return `work` over `selection` as command lines; ToolMissing when a tool that it needs is not there."""
    cargo_path = context.host.which("cargo")
    if cargo_path is None:
        raise ToolMissing("cargo is not found on PATH", hint="install Rust with rustup")
    _check_cargo_profile(context, work)
    synced = context.host.files.read(context.root / ".cargo" / "buildopt.toml") is not None
    profile = None if synced else context.loaded.profile
    components = context.components
    runner = context.loaded.profile.cargo.test_runner if context.loaded.profile.cargo else "auto"
    if runner == "cargo":
        components = components._replace(nextest=None)
    elif runner == "nextest" and components.nextest is None:
        raise ToolMissing(
            "cargo.test-runner asks for cargo-nextest, which is not there", hint="cargo install --locked cargo-nextest"
        )
    return plan_stage(work, selection, context.workspace, components, cargo=str(cargo_path), profile=profile)


def execute(
    context: Context,
    record: Record,
    planned: Sequence[PlannedStage],
    command: str,
    emit: Callable[[Event], None],
    notes: Sequence[str] = (),
    affected: Selection | None = None,
) -> Outcome:
    """Run what is planned, show it by `emit` and record it; `affected` tells the commit, where git was asked anyhow."""
    profile = context.loaded.profile
    recording = Recording(record, context.toolchain, context.loaded.build_fingerprint, context.host)
    if affected is not None:
        recording.at_commit(affected.head, dirty=affected.dirty)
    try:
        context.prepare_state()
    except MachineRefused as error:  # a run is not failed by what would only be recorded of it
        notes = [*notes, f"this run is not recorded: {error.message}"]

    def tell(event: Event) -> None:
        recording.consume(event)
        emit(event)

    compiler, why = compiler_for(context, any(stage.steps for stage in planned))
    for note in (*notes, *([why] if why else [])):
        emit(Note(note))
    outcome = run_stages(
        context.host,
        context.root,
        planned,
        run_id=new_run_id(context.host.now()),
        command=command,
        env=environment(context),
        compiler=compiler,
        emit=tell,
        enforce_budgets=profile.budgets.enforce,
    )
    record.prune(profile.record.keep_runs)
    if record.note:
        emit(Note(record.note))
    return outcome


def work_of(context: Context, name: str, stage: Stage) -> Work:
    """Return what the stage `name` of a profile is to do."""
    timeout = timeout_of(context, stage.timeout, (name,))
    return Work.of(name, stage, timeout)


def timeout_of(
    context: Context, declared: Timeout | None, names: Sequence[str], more: Iterable[TimeRow] = ()
) -> float | None:
    """Return a timeout in seconds; `auto` follows what the stages `names` took before on machines of this class.

    What the record knows of them is taken together with `more`.
    """
    if declared != "auto":
        return declared
    here = host_class(context.host)
    with Record.open(context.host, context.state) as record:
        known = set(record.stage_times(names, here, last=SAMPLES))
    known.update((row.at, row.seconds) for row in more if row[:2] == (here, "") and row.name in names)
    return follow([seconds for _, seconds in sorted(known)[-SAMPLES:]])


def _plan_stage(context: Context, record: Record, work: Work, affected: Selection | None) -> PlannedStage:
    members = context.workspace.members
    whole = Selection(members, whole=True, why=f"all {len(members)} packages")
    if affected is None or affected.packages:
        return plan_work(context, work, affected or whole)
    if not record.has_passed(work.name) and not _base_is_told(context):
        return plan_work(context, work, whole._replace(why=f"{affected.why}; never passed before: all packages"))
    nothing = plan_work(context, work._replace(run=()), affected)
    return nothing._replace(skipped=f"{affected.why} (--scope workspace runs all packages)")


def _base_is_told(context: Context) -> bool:
    """Whether CI says what a change is counted from: that has passed in another job, and the record here is always new."""
    told = _told(context)
    return told is not None and told.commit is not None


def _told(context: Context) -> cargo.CiBase | None:
    ci = context.loaded.profile.ci
    return cargo.ci_base(context.host, context.root, ci.branch if ci else None)


def _check_cargo_profile(context: Context, work: Work) -> None:
    """Refuse a Cargo profile that neither the profile nor Cargo's own files declare, before Cargo is started."""
    name, cargo_table = work.cargo_profile, context.loaded.profile.cargo
    known = [*_BUILT_IN_PROFILES, *(cargo_table.profile if cargo_table else ())]
    if name is None or name in known:
        return
    known += cargo.declared_profiles(context.host, context.root)
    if name not in known:
        from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

        close = get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"declare [cargo.profile.{name}], or use {', '.join(known)}"
        problem = Problem(f"no such Cargo profile: {name!r}", key=f"{work.name}: cargo-profile", hint=hint)
        raise ProfileError("the profile cannot be used", problems=(problem,))


def changed(context: Context, base: str | None = None) -> Selection:
    """Return the members that are affected by what git says has changed since `base`.

    Without `base` it is what CI says the change is counted from, and outside of CI what the profile says.
    """
    rules = context.loaded.profile.affected
    told = _told(context) if base is None else None
    if told is not None and told.commit is None:
        changes = cargo.Changes((), "", told.why, complete=False)
    else:
        changes = cargo.changes(context.host, context.root, base or (told.commit if told else rules.base))
    if told is not None and changes.complete:
        changes = changes._replace(base=told.why)
    affected = cargo.affected(context.workspace, changes, rules.paths)
    members = tuple(package for package in affected.packages if package.member)
    return Selection(members, affected.everything, affected.why, changes.head, changes.dirty)


def environment(context: Context) -> Mapping[str, str | None]:
    """Return what every command of the run gets.

    0 for CARGO_INCREMENTAL is safe beside a wrapper; 1 is not (sccache then fails the build), and is needed only in CI,
    where Cargo switches incremental off by itself since 1.99.
    """
    profile = context.loaded.profile
    if profile.incremental is None:
        return {}
    if not (profile.incremental.ci if context.host.in_ci else profile.incremental.local):
        return {"CARGO_INCREMENTAL": "0"}
    wrapped = profile.cache is not None and profile.cache.wrapper != "none"
    return {"CARGO_INCREMENTAL": "1"} if context.host.in_ci and not wrapped else {}
