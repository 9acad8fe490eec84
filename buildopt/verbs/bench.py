"""`bench`: measure scenarios, or compare ways to build side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

from buildopt.bench.alone import Figures, figures, measure_alone
from buildopt.bench.arms import Arm, parse_arm
from buildopt.bench.comparison import Comparison, compare, conclude, guards
from buildopt.bench.progress import Progress, about
from buildopt.bench.sampling import Laboratory
from buildopt.bench.scenarios import Scenario, parse_scenario
from buildopt.errors import ArgumentError, MachineRefused
from buildopt.host.files import digest
from buildopt.measure import plain_duration
from buildopt.record import ExperimentRow, MeasurementRow, Record, host_class
from buildopt.report.comparisons import BenchView, as_json
from buildopt.verbs.context import Context
from buildopt.verbs.experiments import OpenLab, content_digest, ground_of, new_experiment, open_lab

__all__ = ["Asked", "bench"]

_KIND = "bench"
_SAMPLES = 3  # of one arm alone: the least of three is what a history is best kept of
_USUAL_PAIRS = 8
_ALONE = "current"


class Asked(NamedTuple):
    """What a call asks for; what is absent, the profile says."""

    compare: Sequence[str] = ()
    scenarios: Sequence[str] = ()
    pairs: int | None = None
    seconds: float | None = None
    fresh: bool = False


class _Task(NamedTuple):
    """What is measured."""

    arms: tuple[Arm, ...]
    """The baseline first; one alone is compared with nothing."""
    scenarios: tuple[Scenario, ...]
    most: int
    """Pairs of a comparison, or samples of one arm."""
    smallest_effect: float


_Found = tuple[tuple[Comparison, ...], tuple[Figures, ...]]


def bench(context: Context, asked: Asked, tell: Callable[[Progress], None], *, lab: OpenLab = open_lab) -> BenchView:
    """Measure what is asked for, or go on with it where an earlier call was cut short, and return what came out.

    Ctrl-C ends it with what is there. Raises ArgumentError before anything is built, for names that name nothing.
    """
    context.check_requires()
    task = _task(context, asked)
    began = context.host.monotonic()
    with Record.open(context.host, context.state) as record, context.host.interrupts():
        experiment = _experiment(context, record, task, asked, tell)
        known = len(record.measurements(experiment.id))
        tell(Progress(_announcement(record, experiment, task, asked), stays=True))
        found: _Found = (), ()
        interrupted = False
        try:
            with lab(context, lambda text: tell(Progress(text, stays=True))) as opened:
                deadline = None if asked.seconds is None else began + asked.seconds
                found = _measure(opened, record, experiment.id, task, deadline, tell)
        except KeyboardInterrupt:
            interrupted = True
        rows = record.measurements(experiment.id)
        view = _view(experiment, task, rows)
        view = view._replace(
            comparisons=found[0] or view.comparisons,
            figures=found[1] or view.figures,
            measured=len(rows) - known,
            known=known,
            wall_seconds=context.host.monotonic() - began,
            interrupted=interrupted,
            notes=(record.note,) if record.note else (),
        )
        if not interrupted and view.is_complete and not view.open:  # with more pairs, what is open could be decided
            view = view._replace(experiment=experiment._replace(state="done"))
            record.finish_experiment(experiment.id, json.dumps(as_json(view)))
        record.prune(context.loaded.profile.record.keep_runs)
        return view


def _task(context: Context, asked: Asked) -> _Task:
    """Return what is measured; ArgumentError for what cannot be."""
    declared = context.loaded.profile.bench
    names = tuple(dict.fromkeys(asked.scenarios or declared.scenarios))
    scenarios = tuple(parse_scenario(name) for name in names)
    words = [word.strip() for word in asked.compare if word.strip()]
    if words and len(set(words)) < 2:
        raise ArgumentError(
            f"--compare: expected two ways to build or more, found {words[0]}", hint=f"as --compare default,{words[0]}"
        )
    ground = ground_of(context)
    arms = tuple(parse_arm(word, ground) for word in dict.fromkeys(words or [_ALONE]))
    for arm in arms:
        other = next((scenario.name for scenario in scenarios if scenario.task != "cycle"), None)
        if arm.kind != "settings" and other is not None:
            raise ArgumentError(
                f"--compare: {arm.name} is a way to do a whole cycle, and {other} is none", hint="--scenario leaf/cycle"
            )
    most = asked.pairs or (declared.pairs if words else _SAMPLES)
    return _Task(arms, scenarios, most, declared.smallest_effect / 100)


def _experiment(
    context: Context, record: Record, task: _Task, asked: Asked, tell: Callable[[Progress], None]
) -> ExperimentRow:
    """Return the experiment to go on with, or a new one."""
    fresh = new_experiment(context, _KIND, _key(context, task))
    found = None if asked.fresh else record.open_experiment(_KIND, fresh.key)
    if found is not None:
        rows = record.measurements(found.id)
        if rows and not _view(found, task, rows).is_complete:
            tell(
                Progress(
                    f"going on with {len(rows)} builds that {found.id} has timed (--fresh begins anew)", stays=True
                )
            )
            return found
    if not record.begin_experiment(fresh):
        raise MachineRefused(
            f"what is measured could not be kept: {record.note}", hint="measurements are kept in .buildopt as they come"
        )
    return fresh


def _measure(
    lab: Laboratory,
    record: Record,
    experiment: str,
    task: _Task,
    deadline: float | None,
    tell: Callable[[Progress], None],
) -> _Found:
    """Measure, and return what came out."""
    first, *others = task.arms
    if not others:
        alone = measure_alone(
            lab, record, experiment, first, task.scenarios, samples=task.most, deadline=deadline, tell=tell
        )
        return (), alone
    found = compare(
        lab, record, experiment, first, others, task.scenarios,
        most_pairs=task.most, deadline=deadline, tell=tell, smallest_effect=task.smallest_effect,
    )  # fmt: skip
    return found, ()


def _view(experiment: ExperimentRow, task: _Task, rows: Sequence[MeasurementRow]) -> BenchView:
    """Return what the measurements say so far."""
    first, *others = task.arms
    most, effect = task.most, task.smallest_effect
    return BenchView(
        experiment=experiment,
        comparisons=conclude(rows, first, others, task.scenarios, most_pairs=most, smallest_effect=effect),
        figures=() if others else figures(rows, first, task.scenarios),
        guards=guards(rows, task.arms, task.scenarios),
        measured=0,
        known=0,
        wall_seconds=0.0,
        smallest_effect=effect,
        most=most,
    )


def _key(context: Context, task: _Task) -> str:
    """Return what is equal for calls that measure the same thing: how many pairs does not matter."""
    arms = [arm._replace(env=dict(sorted(arm.env.items()))) for arm in task.arms]
    scenarios = [scenario.name for scenario in task.scenarios]
    profile = context.loaded.fingerprint
    facts = (arms, scenarios, context.toolchain, host_class(context.host), profile, content_digest(context))
    return digest(repr(facts).encode(errors="replace"))


def _announcement(record: Record, experiment: ExperimentRow, task: _Task, asked: Asked) -> str:
    """Return what will be done, and about how long it takes, as far as the record knows."""
    first, *others = task.arms
    names = ", ".join(scenario.name for scenario in task.scenarios)
    if others:
        what = f"{', '.join(arm.name for arm in others)} against {first.name} in {names}: until decided, at most {task.most} pairs each"
    else:
        what = f"{first.name} in {names}, {task.most} times each"
    if asked.seconds is not None:
        return f"{what}; at most {plain_duration(asked.seconds)}"
    builds = task.most if not others else 2 * len(others) * min(task.most, _USUAL_PAIRS)
    seconds = 0.0
    for scenario in task.scenarios:
        known = record.scenario_history(
            scenario.name, host_class=experiment.host_class, rustc=experiment.rustc, arm=first.name, last=9
        )
        if not known:
            return f"{what}; how long that takes is known after the first builds"
        seconds += builds * sorted(row.wall_seconds for row in known)[len(known) // 2]
    return f"{what}; {about(seconds)} by earlier builds, after the first of each"
