"""`gate`: hold the budgets of the profile and the history of the record against regressions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from buildopt.bench.arms import parse_arm
from buildopt.bench.progress import Progress
from buildopt.bench.scenarios import parse_scenario
from buildopt.errors import ArgumentError, BuildoptError
from buildopt.measure.gate import Reading, hold_budget
from buildopt.record import BaselineRow, MeasurementRow, Record, RunRow, host_class
from buildopt.report.gate import as_json
from buildopt.report.gate_scenarios import Point, points, scenario_lines, size_line, wanted_scenarios
from buildopt.report.gate_stages import stage_lines
from buildopt.report.gate_view import GateLine, GateView
from buildopt.verbs.context import Context
from buildopt.verbs.experiments import OpenLab, ground_of, new_experiment
from buildopt.verbs.gate_measure import Gauged, artifact_sizes, measure

__all__ = ["gate"]

ARM = "current"
_SIZE = "size of target"
_ROWS = 2000  # of a scenario: 60 experiments of at most 20 pairs
_EXPERIMENTS = 300


def gate(
    context: Context,
    *,
    lab: OpenLab | None,
    accept: str | None = None,
    tell: Callable[[Progress], None] = lambda _progress: None,
) -> GateView:
    """Hold what was recorded, and what `lab` measures, against budgets and history.

    Without a `lab` only the record is asked. `accept` is the reason for taking what stands out as the new baseline. Raises
    ArgumentError for an empty one.
    """
    if accept is not None and not accept.strip():
        raise ArgumentError("--accept: expected a reason, found nothing", hint='as --accept "regex 2 costs that much"')
    with Record.open(context.host, context.state) as record:
        call = _Gate(context, record)
        found = call.judge(lab, tell)
        return found if accept is None else _accept(context, record, found, accept, call.commit)


class _Gate:
    """One call."""

    def __init__(self, context: Context, record: Record) -> None:
        self._context = context
        self._record = record
        self._profile = context.loaded.profile
        self._experiment = new_experiment(context, "gate", context.loaded.build_fingerprint)
        self._class = self._experiment.host_class
        self._baselines = {row.subject: row for row in record.baselines(self._class)}
        self._known = {row.id: row for kind in ("bench", "gate") for row in record.experiments(kind, _EXPERIMENTS)}

    @property
    def commit(self) -> str | None:
        return self._experiment.git_sha

    def judge(self, lab: OpenLab | None, tell: Callable[[Progress], None]) -> GateView:
        host = self._context.host
        began = host.monotonic()
        gauged = None if lab is None else self._measure(lab, tell)
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

    def _measure(self, lab: OpenLab, tell: Callable[[Progress], None]) -> Gauged:
        scenarios = [parse_scenario(name) for name in wanted_scenarios(self._profile)]
        tell(Progress(self._announcement([scenario.name for scenario in scenarios]), stays=True))
        self._context.prepare_state()
        with lab(self._context, lambda text: tell(Progress(text, stays=True))) as laboratory:
            self._record.begin_experiment(self._experiment)
            way = parse_arm(ARM, ground_of(self._context))._replace(by_crate=True)
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


def _accept(context: Context, record: Record, view: GateView, reason: str, commit: str | None) -> GateView:
    """Take what stands out from its history as the new baseline."""
    host = context.host
    lines: list[GateLine] = []
    notes = list(view.notes)
    for line in view.lines:
        if line.against == "history" and line.answer.verdict in ("regression", "improved"):
            row = BaselineRow(line.subject, host_class(host), host.now(), reason.strip(), commit)
            if record.accept_baseline(row):
                lines.append(line._replace(accepted=row.reason))
                continue
            notes.append(f"{line.subject}: the new baseline could not be written")
        lines.append(line)
    if lines == list(view.lines) and len(notes) == len(view.notes):
        notes.append("nothing stands out from its history, so there is nothing to accept")
    return view._replace(lines=tuple(lines), notes=tuple(notes))
