"""`tune`: find the settings that pay here, and write those that a comparison confirms into the profile."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from buildopt import profile as profiles
from buildopt.bench.arms import Ground, profile_settings, settings_arm
from buildopt.bench.progress import Progress
from buildopt.bench.scenarios import Scenario, parse_scenario
from buildopt.errors import ArgumentError, MachineRefused, ManifestError, Problem, ProfileError
from buildopt.generate.adoption import adopt
from buildopt.generate.toml import decode, encode
from buildopt.host.files import digest
from buildopt.record import Record, host_class
from buildopt.sync.model import Edit, Plan
from buildopt.tune.candidates import Candidates, Surroundings, choose_candidates, tuned_profile
from buildopt.tune.document import document
from buildopt.tune.guards import Guarded, guard
from buildopt.tune.lines import Evidence, lines_of
from buildopt.tune.plan import Costs
from buildopt.tune.plan import Plan as Planned
from buildopt.tune.question import Clock, Question
from buildopt.tune.study import Result, Study
from buildopt.verbs.context import PROFILE_NAME, Context
from buildopt.verbs.experiments import OpenLab, content_digest, ground_of, new_experiment, open_lab
from buildopt.verbs.generated import write_plan

__all__ = ["Announce", "Tuned", "tune", "write_tuned"]

Announce = Callable[[Planned, Costs, float], None]

_DEFAULT_WEIGHTS = {"clean/build": 1, "leaf/build": 2, "hub/build": 1}
_DEFAULT_BUDGET_SECONDS = 1200.0


class Tuned(NamedTuple):
    """What a tuning came to."""

    cargo_profile: str
    candidates: Candidates
    weights: Mapping[str, float]
    result: Result | None
    """None when there was nothing to try."""
    guarded: Guarded | None
    plan: Plan
    """The edit of the profile; without one, nothing is adopted."""
    document: dict[str, Any]


def tune(
    context: Context,
    *,
    budget_seconds: float | None,
    fresh: bool,
    tell: Callable[[Progress], None],
    announce: Announce,
    lab: OpenLab = open_lab,
) -> Tuned:
    """Measure, and return what is to be adopted; writes nothing but the record.

    An earlier call that was cut short is gone on with, unless `fresh`. Raises ArgumentError when the budget cannot tell
    settings apart, ProfileError for what `[tune]` says and cannot be, AnswerIsNo when the workspace does not build.
    """
    profile, host = context.loaded.profile, context.host
    name = tuned_profile(profile)
    ground = ground_of(context)
    today = profile_settings(profile, name, ground)
    weights = _weights(profile.tune.weights)
    scenarios = tuple(_scenario(each) for each in weights)
    candidates = choose_candidates(profile, today, _around(context, ground, tuple(weights)))
    if not candidates.chosen:
        return Tuned(
            name, candidates, weights, None, None, Plan(()), _document(context, name, candidates, None, None, weights)
        )
    facts = (today, [each.name for each in candidates.chosen], weights)
    # The lab first: a second tuning of the same workspace ends there, and begins no experiment.
    with Record.open(host, context.state) as record:
        with lab(context, lambda text: tell(Progress(text, stays=True))) as opened:
            experiment = _experiment(context, record, facts, fresh=fresh, tell=tell)
            question = Question(
                today=today,
                candidates=candidates.chosen,
                weights=weights,
                scenarios=scenarios,
                budget_seconds=budget_seconds or profile.tune.budget or _DEFAULT_BUDGET_SECONDS,
                smallest_effect=profile.bench.smallest_effect / 100,
                seed=int(digest(experiment.encode())[:8], 16),
                arm_of=lambda arm, settings: settings_arm(arm, settings, ground),
            )
            clock = Clock(host)
            study = Study(opened, record, experiment, question, tell)
            result = study.run(announce)
            guarded = None
            if result.chosen and result.why_not is None:
                tell(Progress("the guards: both ways built, the tests run"))
                both = study.both(result.chosen)
                guarded = guard(opened, both, result.whole, profile.budgets, tests_today=study.tests_today)
                result = result._replace(why_not="; ".join(guarded.broken) or None)
            result = result._replace(spent_seconds=clock.spent)
        plan = _adoption(context, ground, name, result, weights, experiment)
        found = _document(context, name, candidates, result, guarded, weights)
        found["experiment"] = experiment
        if not result.unfinished:
            record.finish_experiment(experiment, json.dumps(found))
        record.prune(profile.record.keep_runs)
    return Tuned(name, candidates, weights, result, guarded, plan, found)


def write_tuned(context: Context, plan: Plan) -> None:
    """Write the profile; `rollback` takes it back. Raises ChangedSince when somebody changed it meanwhile."""
    write_plan(context, plan, context.note)


def _weights(declared: Mapping[str, int]) -> dict[str, float]:
    found = {name: float(weight) for name, weight in (declared or _DEFAULT_WEIGHTS).items() if weight}
    if not found:
        problem = Problem("every weight is 0", key="tune.weights", hint="give one scenario a weight")
        raise ProfileError("there is nothing to tune for", problems=(problem,))
    return found


def _scenario(name: str) -> Scenario:
    try:
        found = parse_scenario(name)
    except ArgumentError as error:
        problem = Problem(error.message, key=f'tune.weights."{name}"', hint=error.hint)
        raise ProfileError("tune.weights cannot be read", problems=(problem,)) from error
    if found.action == "release":
        problem = Problem(
            "a release build is not tuned", key=f'tune.weights."{name}"', hint="tuning is for development"
        )
        raise ProfileError("tune.weights cannot be used", problems=(problem,))
    return found


def _around(context: Context, ground: Ground, scenarios: tuple[str, ...]) -> Surroundings:
    from buildopt.cache import installed_version  # noqa: PLC0415 - loads what few verbs need

    sccache = installed_version(context.host) is not None
    return Surroundings(context.toolchain, ground.linkers, context.host.cores, sccache, scenarios)


def _experiment(
    context: Context, record: Record, facts: object, *, fresh: bool, tell: Callable[[Progress], None]
) -> str:
    """Return the id of the experiment to go on with, or of a new one."""
    all_facts = (
        facts,
        context.loaded.fingerprint,
        context.toolchain,
        host_class(context.host),
        content_digest(context),
    )
    row = new_experiment(context, "tune", digest(repr(all_facts).encode(errors="replace")))
    known = None if fresh else record.open_experiment("tune", row.key)
    if known is not None and known.state == "open":
        rows = len(record.measurements(known.id))
        text = f"going on with {rows} builds that {known.id} has timed: less is left to do than is planned (--fresh begins anew)"
        tell(Progress(text, stays=True))
        return known.id
    if not record.begin_experiment(row):
        hint = "measurements are kept in .buildopt as they come"
        raise MachineRefused(f"what is measured could not be kept: {record.note}", hint=hint)
    return row.id


def _adoption(
    context: Context,
    ground: Ground,
    name: str,
    result: Result,
    weights: Mapping[str, float],
    experiment: str,
) -> Plan:
    """Return the edit that writes what was confirmed; ManifestError when it would not hold once written."""
    if not result.chosen or result.why_not is not None:
        return Plan(())
    path = context.profile_path
    before = context.host.files.read(path) or b""
    date = datetime.fromtimestamp(context.host.now(), UTC).date().isoformat()
    evidence = Evidence(date, host_class(context.host), context.toolchain.rustc, experiment)
    source = decode(before, path.name)
    lines = lines_of(result, weights, ground.profile, name, evidence)
    after = encode(adopt(source, path.name, lines), source)
    files = context.host.files
    loaded = profiles.load(
        path, root=context.root, read=lambda asked: after if asked == path else files.read(asked),
        environ=context.host.environ, call=context.settings, ci=context.host.in_ci, system=context.host.system,
    )  # fmt: skip
    written = profile_settings(loaded.profile, name, ground)
    wanted = dict(pair for candidate in result.chosen for pair in candidate.settings)
    hidden = [key for key, value in wanted.items() if written.get(key) != value]
    if hidden:
        problems = tuple(Problem("an override, the environment or --set says otherwise", key=key) for key in hidden)
        raise ManifestError(
            "what was found cannot be adopted", problems=problems, hint="take that back, then tune again"
        )
    relative = path.relative_to(context.root).as_posix() if path.is_relative_to(context.root) else PROFILE_NAME
    return Plan((Edit(relative, before, after),))


def _document(
    context: Context,
    name: str,
    candidates: Candidates,
    result: Result | None,
    guarded: Guarded | None,
    weights: Mapping[str, float],
) -> dict[str, Any]:
    head = {
        "version": 1,
        "cargo_profile": name,
        "host_class": host_class(context.host),
        "rustc": context.toolchain.rustc,
        "not_tried": list(candidates.left_out),
    }
    return head if result is None else {**head, **document(result, guarded, weights)}
