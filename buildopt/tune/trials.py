"""Rows: one way to build, measured by a clean build and a few edits after it; each once, however often tuning is begun."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from buildopt.bench.arms import Arm
from buildopt.bench.progress import Progress
from buildopt.bench.sampling import Sampler
from buildopt.bench.scenarios import Scenario
from buildopt.errors import ArmFailed
from buildopt.record import MeasurementRow
from buildopt.tune.judge import Row
from buildopt.tune.plan import Costs

__all__ = ["TEST", "Trials", "in_order"]

TEST = Scenario("no-change", "test")

_REPEATED = ("leaf", "hub", "binary", "no-change")
_FROM_NOTHING = ("clean", "release")  # preparing them would build what the sample removes
_OVERHEAD_SECONDS = 0.5  # of a sample that an earlier call took: what stands beside its own time is not recorded


def in_order(scenarios: Sequence[Scenario]) -> tuple[Scenario, ...]:
    """Return the scenarios as a row goes through them: from nothing first, whose build the edits then start from."""
    return tuple(sorted(scenarios, key=lambda each: (each.action in _REPEATED, each.action != "clean")))


class Trials:
    """Measures rows, in a laboratory, into the record."""

    def __init__(
        self,
        sampler: Sampler,
        scenarios: Sequence[Scenario],
        arm_of: Callable[[str, Mapping[str, Any]], Arm],
        tell: Callable[[Progress], None],
    ) -> None:
        self._sampler = sampler
        self._scenarios = in_order(scenarios)
        self._arm_of = arm_of
        self._tell = tell
        self._clean_seconds: list[float] = []
        self._sample_seconds: dict[str, list[float]] = {}
        self._sampling = 0.0
        self._beside: list[float] = []
        """What whole rows took beside their samples: preparing edits, removing the target directory."""
        self._tests_seconds = 0.0

    def row(self, label: str, name: str, settings: Mapping[str, Any], *, edits: int, left: float | None = None) -> Row:
        """Measure one row, or the rest of one that an earlier call began; `left` is the time that all still takes.

        `label` begins with what tells it from other rows, up to ` of `. The target directory is removed at the end.
        A row that does not build says so, and raises nothing.
        """
        arm = self._arm_of(name, settings)
        part = f"{label.partition(' of ')[0]}, {_tag(arm)}"
        self._tell(Progress(f"{label}: {name}", left))
        began, sampling, known = self._sampler.now(), self._sampling, len(self._sampler.rows)
        try:
            for number, scenario in enumerate(self._scenarios):
                self._fill(arm, scenario, part, edits if scenario.action in _REPEATED else 1, first=number == 0)
        except ArmFailed as error:
            return Row({}, {}, failed=self._words(arm, error))
        finally:
            self._sampler.lab.forget(arm)
        if len(self._sampler.rows) - known >= self._samples_of(edits):
            self._beside.append(self._sampler.now() - began - (self._sampling - sampling))
        elif len(self._sampler.rows) == known:
            self._beside.append(_beside_of([row for row in self._sampler.rows if row.part == part]))
        return self._read(part)

    def tests(self, settings: Mapping[str, Any]) -> str | None:
        """Build and run the tests with today's settings, and return why they fail, or None.

        What that takes is what it will take with others; an earlier call's success is not repeated.
        """
        arm, sampler = self._arm_of("today's settings", settings), self._sampler
        part = f"tests, {_tag(arm)}"
        known = next((row for row in sampler.rows if row.part == part and row.result == "success"), None)
        began = sampler.now()
        why = None
        if known is None:
            self._tell(Progress("the tests with today's settings, which must pass at the end as they do now"))
            try:
                sampler.lab.prepare(arm, TEST)
                sampler.take(arm, TEST, part, repeats=0)
            except ArmFailed as error:
                why = error.message
            finally:
                sampler.lab.forget(arm)
        again = 0.0 if known is None else _middle(self._clean_seconds) + 2 * known.wall_seconds
        self._tests_seconds = sampler.now() - began + again
        return why

    def costs(self, noise: float) -> Costs:
        """Return what rows and samples took so far, in the middle."""
        repeated = tuple(each.name for each in self._scenarios if each.action in _REPEATED)
        sample = {name: _middle(seconds) for name, seconds in self._sample_seconds.items()}
        return Costs(
            _middle(self._clean_seconds), sample, repeated, noise,
            beside_seconds=_middle(self._beside), tests_seconds=self._tests_seconds,
        )  # fmt: skip

    def _fill(self, arm: Arm, scenario: Scenario, part: str, wanted: int, *, first: bool) -> None:
        """Measure what is missing of one scenario of a row; what the row begins with is what a clean build takes."""
        known = self._rows(part, scenario)
        sampler, seconds = self._sampler, self._sample_seconds.setdefault(scenario.name, [])
        seconds += [row.wall_seconds + _OVERHEAD_SECONDS for row in known]
        began = sampler.now()
        if len(known) < wanted and scenario.action not in _FROM_NOTHING:
            sampler.lab.prepare(arm, scenario)
        prepared = sampler.now() - began
        for _ in range(len(known), wanted):
            before = sampler.now()
            sampler.take(arm, scenario, part, repeats=0)
            seconds.append(sampler.now() - before)
            self._sampling += seconds[-1]
        if first:
            self._clean_seconds.append(seconds[-1] if scenario.action in _FROM_NOTHING else prepared)
            self._sampling += 0.0 if scenario.action in _FROM_NOTHING else prepared

    def _samples_of(self, edits: int) -> int:
        return sum(edits if each.action in _REPEATED else 1 for each in self._scenarios)

    def _words(self, arm: Arm, error: ArmFailed) -> str:
        """Return why an arm fails, in the compiler's words where it says some."""
        try:
            self._sampler.lab.prepare(arm, self._scenarios[0])
        except ArmFailed as again:
            return again.message
        return error.message

    def _read(self, part: str) -> Row:
        by_name = {each.name: self._rows(part, each) for each in self._scenarios}
        return Row(
            {name: min(map(self._cpu_seconds, rows)) for name, rows in by_name.items()},
            {name: min(row.wall_seconds for row in rows) for name, rows in by_name.items()},
            polluted=any(all(row.polluted for row in rows) for rows in by_name.values()),
            cpu_complete=all(row.cpu_complete for rows in by_name.values() for row in rows),
        )

    def _cpu_seconds(self, row: MeasurementRow) -> float:
        """Return the CPU seconds of a sample as the machine was when the first was taken, where its speed is known."""
        first = next((each.unit_seconds for each in self._sampler.rows if each.unit_seconds is not None), None)
        if first is None or row.unit_seconds is None:
            return row.cpu_seconds
        return row.cpu_seconds * first / row.unit_seconds

    def _rows(self, part: str, scenario: Scenario) -> list[MeasurementRow]:
        return [
            row
            for row in self._sampler.rows
            if row.part == part and row.scenario == scenario.name and row.result == "success"
        ]


def _beside_of(rows: Sequence[MeasurementRow]) -> float:
    """Return what an earlier call's row took beside its samples, by the clock."""
    if not rows:
        return 0.0
    span = max(row.started_at + row.wall_seconds for row in rows) - min(row.started_at for row in rows)
    return max(0.0, span - sum(row.wall_seconds for row in rows))


def _tag(arm: Arm) -> str:
    """Return what stands for the settings of an arm in the record: a row counts only for what it was built with."""
    text = repr((arm.config, sorted(arm.env.items(), key=str), arm.wrapper))
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=6).hexdigest()


def _middle(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else 0.0
