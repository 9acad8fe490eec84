"""`gate`: hold the budgets of the profile and the history of the record against regressions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

from buildopt.bench.arms import Arm
from buildopt.bench.progress import Progress
from buildopt.bench.sampling import Laboratory
from buildopt.bench.scenarios import parse_scenario
from buildopt.cargo.changes import GIT_ENVIRONMENT
from buildopt.errors import ArgumentError, BuildoptError
from buildopt.host import Command
from buildopt.measure.gate import Reading, hold_budget
from buildopt.record import BaselineRow, ExperimentRow, MeasurementRow, Record, RunRow, host_class, new_run_id
from buildopt.report.gate import as_json
from buildopt.report.gate_scenarios import Point, points, scenario_lines, size_line, wanted_scenarios
from buildopt.report.gate_stages import stage_lines
from buildopt.report.gate_view import GateLine, GateView
from buildopt.verbs.context import Context
from buildopt.verbs.gate_measure import Gauged, artifact_sizes, measure

__all__ = ["OpenLab", "gate"]

ARM = "current"
_SIZE = "size of target"
_ROWS = 2000  # of a scenario: 60 experiments of at most 20 pairs
_EXPERIMENTS = 300

OpenLab = Callable[[], AbstractContextManager[Laboratory]]


def gate(
    context: Context,
    *,
    lab: tuple[OpenLab, Callable[[], Arm]] | None,
    accept: str | None = None,
    tell: Callable[[Progress], None] = lambda _progress: None,
) -> GateView:
    """Hold what was recorded, and what `lab` measures, against budgets and history.

    `lab` opens the lab and says how the profile builds; without it only the record is asked. `accept` is the reason for
    taking what stands out as the new baseline. Raises ArgumentError for an empty reason.
    """
    if accept is not None and not accept.strip():
        raise ArgumentError("--accept: expected a reason, found nothing", hint='as --accept "regex 2 costs that much"')
    with Record.open(context.host, context.state) as record:
        found = _Gate(context, record).judge(lab, tell)
        return _accept(context, record, found, accept) if accept is not None else found


class _Gate:
    """One call."""

    def __init__(self, context: Context, record: Record) -> None:
        self._context = context
        self._record = record
        self._profile = context.loaded.profile
        host, toolchain = context.host, context.toolchain
        self._class = host_class(host)
        self._experiment = ExperimentRow(
            id=new_run_id(host.now()),
            kind="gate",
            key=context.loaded.fingerprint,
            started_at=host.now(),
            host_class=self._class,
            cargo=toolchain.cargo,
            rustc=toolchain.rustc,
            profile_fingerprint=context.loaded.fingerprint,
            git_sha=_commit(context),
        )
        self._baselines = {row.subject: row for row in record.baselines(self._class)}
        self._known = {row.id: row for kind in ("bench", "gate") for row in record.experiments(kind, _EXPERIMENTS)}

    def judge(self, lab: tuple[OpenLab, Callable[[], Arm]] | None, tell: Callable[[Progress], None]) -> GateView:
        host = self._context.host
        began = host.monotonic()
        gauged = None if lab is None else self._measure(*lab, tell)
        lines = (*self._stages(), *self._scenarios(gauged), *self._sizes(gauged))
        view = GateView(
            lines,
            self._profile.budgets.enforce,
            broken=gauged.broken if gauged else (),
            notes=(self._record.note,) if self._record.note else (),
            builds=sum(len(rows) for rows in gauged.rows.values()) if gauged else 0,
            seconds=host.monotonic() - began if gauged else 0.0,
            experiment=self._experiment.id if gauged else None,
        )
        if gauged is not None:
            document = {**as_json(view), "crates": gauged.crates}
            self._record.finish_experiment(self._experiment.id, json.dumps(document))
            self._record.prune(self._profile.record.keep_runs)
        return view

    def _measure(self, open_lab: OpenLab, arm: Callable[[], Arm], tell: Callable[[Progress], None]) -> Gauged:
        scenarios = [parse_scenario(name) for name in wanted_scenarios(self._profile)]
        tell(Progress(self._announcement([scenario.name for scenario in scenarios]), stays=True))
        self._context.prepare_state()
        with open_lab() as laboratory:
            self._record.begin_experiment(self._experiment)
            way = arm()._replace(name=ARM, by_crate=True)
            return measure(laboratory, self._record, self._experiment.id, way, scenarios, self._stand, tell)

    def _announcement(self, scenarios: Sequence[str]) -> str:
        """Return what will be done, and how long its builds took before."""
        took = [self._history(scenario)[-1:] for scenario in scenarios]
        known = [point[0].rows[-1].wall_seconds for point in took if point]
        builds = f"{len(scenarios)} scenario{'' if len(scenarios) == 1 else 's'}, three builds each"
        if len(known) < len(scenarios) or not known:
            return f"measures {builds}, and two more where it would fail ({', '.join(scenarios)})"
        from buildopt.units import format_duration  # noqa: PLC0415 - only here

        return (
            f"measures {builds} (about {format_duration(3 * sum(known))} of builds), and two more where it would fail"
        )

    def _stand(
        self, scenario: str, rows: tuple[MeasurementRow, ...], crates: Mapping[str, float] | None = None
    ) -> tuple[GateLine, ...]:
        now = Point(self._experiment, rows, crates or {}) if rows else None
        return self._held(scenario, now)

    def _held(self, scenario: str, now: Point | None) -> tuple[GateLine, ...]:
        before = self._before(scenario, scenario, now)
        return scenario_lines(scenario, now, before, self._profile.budgets, cores=self._context.host.cores)

    def _before(self, scenario: str, subject: str, now: Point | None) -> list[Point]:
        """Return what is known of a scenario since the baseline of `subject` was last accepted, without `now`."""
        baseline = self._baselines.get(subject)
        past = self._history(scenario, after=baseline.after_measurement if baseline else 0)
        return [point for point in past if now is None or point.experiment.id != now.experiment.id]

    def _history(self, scenario: str, *, after: int = 0) -> tuple[Point, ...]:
        """Return what is known of a scenario, oldest first; `after` is a measurement's number."""
        rows = self._record.scenario_history(
            scenario, host_class=self._class, rustc=self._experiment.rustc, arm=ARM, last=_ROWS, after=after
        )
        return points(rows, self._known | {self._experiment.id: self._experiment}, self._experiment)

    def _stages(self) -> tuple[GateLine, ...]:
        host = self._context.host
        like = RunRow(
            id="",
            verb="gate",
            started_at=self._experiment.started_at,
            cargo=self._experiment.cargo,
            rustc=self._experiment.rustc,
            profile_fingerprint=self._experiment.profile_fingerprint,
            host_class=self._class,
            cores=host.cores,
            ci=host.in_ci,
        )
        return stage_lines(self._record, self._profile, like, self._baselines)

    def _scenarios(self, gauged: Gauged | None) -> tuple[GateLine, ...]:
        lines: list[GateLine] = []
        for scenario in wanted_scenarios(self._profile):
            if gauged is not None:
                lines += self._stand(scenario, gauged.rows.get(scenario, ()), gauged.crates.get(scenario, {}))
                continue
            lines += self._held(scenario, next(reversed(self._history(scenario)), None))
        return tuple(lines)

    def _sizes(self, gauged: Gauged | None) -> tuple[GateLine, ...]:
        budgets = self._profile.budgets
        now = next(reversed(self._history("clean/build")), None)
        if gauged is not None:
            rows = gauged.rows.get("clean/build", ())
            now = Point(self._experiment, rows) if rows else None
        lines = []
        if now is not None or budgets.target_size is not None:
            before = self._before("clean/build", _SIZE, now)
            lines.append(size_line(_SIZE, now, before, budgets.target_size, budgets.critical))
        built = gauged.artifacts if gauged else {}
        lines += [self._artifact(pattern, budget, built) for pattern, budget in budgets.artifacts.items()]
        if budgets.crates is not None:
            readings = [Reading(float(self._crates()))]
            answer = hold_budget(readings, budgets.crates, kind="count", critical_percent=budgets.critical)
            lines.append(GateLine("crates", "budget", "count", answer))
        return tuple(lines)

    def _artifact(self, pattern: str, budget: int, built: Mapping[str, int]) -> GateLine:
        """Hold the largest file that a pattern names."""
        budgets = self._profile.budgets
        found = artifact_sizes(self._context.host, self._context.workspace.target_directory, pattern, built)
        largest = max(found, key=lambda path: (found[path], path), default=None)
        readings = [] if largest is None else [Reading(float(found[largest]))]
        answer = hold_budget(readings, budget, kind="size", critical_percent=budgets.critical)
        if largest is not None and largest != pattern:
            answer = answer._replace(words=f"{answer.words} ({largest})")
        return GateLine(f"artifact {pattern}", "budget", "size", answer)

    def _crates(self) -> int:
        """Return how many packages a build on this host consists of; all of the lock file where Cargo cannot say."""
        from buildopt.cargo.crate_graph import query_crates  # noqa: PLC0415 - only with such a budget

        context = self._context
        try:
            return len(query_crates(context.host, context.root, context.toolchain.host))
        except BuildoptError:
            return len(context.workspace.packages) + (context.workspace.external_packages or 0)


def _accept(context: Context, record: Record, view: GateView, reason: str) -> GateView:
    """Take what stands out from its history as the new baseline."""
    host = context.host
    sha = _commit(context)
    lines: list[GateLine] = []
    notes = list(view.notes)
    for line in view.lines:
        if line.against == "history" and line.answer.verdict in ("regression", "improved"):
            row = BaselineRow(line.subject, host_class(host), host.now(), reason.strip(), sha)
            if record.accept_baseline(row):
                lines.append(line._replace(accepted=row.reason))
                continue
            notes.append(f"{line.subject}: the new baseline could not be written")
        lines.append(line)
    if lines == list(view.lines) and len(notes) == len(view.notes):
        notes.append("nothing stands out from its history, so there is nothing to accept")
    return view._replace(lines=tuple(lines), notes=tuple(notes))


def _commit(context: Context) -> str | None:
    command = Command(("git", "rev-parse", "--verify", "--quiet", "HEAD"), context.root, GIT_ENVIRONMENT, 10.0)
    try:
        found = context.host.run(command)
    except BuildoptError:
        return None
    return found.stdout.decode(errors="replace").strip() or None if found.returncode == 0 else None
