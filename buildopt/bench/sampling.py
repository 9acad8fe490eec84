"""One sample after another: each taken, judged, written to the record at once, and repeated where it was disturbed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from buildopt.bench.arms import Arm
from buildopt.bench.measured import Measured, Sizes
from buildopt.bench.scenarios import Scenario
from buildopt.errors import ArmFailed
from buildopt.host import Host
from buildopt.measure.samples import pollution
from buildopt.record import MeasurementRow, Record

__all__ = ["Laboratory", "Sampler"]

_FROM_NOTHING = ("clean", "release")
_WHOLE = (*_FROM_NOTHING, "second-tree")


class Laboratory(Protocol):
    """Where arms are built and timed: `Lab`, or what a test puts in its place."""

    @property
    def host(self) -> Host:
        """The machine."""
        ...

    def prepare(self, arm: Arm, scenario: Scenario) -> float:
        """Build what a sample starts from, and return the seconds that took; ArmFailed when the arm does not build."""
        ...

    def sample(self, arm: Arm, scenario: Scenario) -> Measured:
        """Run what is timed, once."""
        ...

    def sizes(self, arm: Arm) -> Sizes:
        """Return how large the target directory of the arm is, and what it built."""
        ...

    def forget(self, arm: Arm) -> None:
        """Remove the target directory of the arm."""
        ...


class Sampler:
    """The samples of one experiment; those of an earlier call are there from the start."""

    def __init__(self, lab: Laboratory, record: Record, experiment: str) -> None:
        self.lab = lab
        self.rows: list[MeasurementRow] = list(record.measurements(experiment))
        self.is_recorded = True
        """Whether all rows are in the record, so that another call could go on with them."""
        self.crates: dict[str, Mapping[str, float]] = {}
        """By scenario, seconds by package of the last sample, where the arm asks for them."""
        self._record = record
        self._experiment = experiment
        self._costs: dict[tuple[str, str], float] = {}

    def now(self) -> float:
        """Return seconds on the clock that deadlines are told by."""
        return self.lab.host.monotonic()

    def cost(self, arm: Arm, scenario: Scenario) -> float | None:
        """Return what the last sample took with all that belongs to it, in seconds; None before the first."""
        return self._costs.get((arm.name, scenario.name))

    def typical_cost(self) -> float | None:
        """Return what a sample took on average, whatever it was of; None before the first."""
        return sum(self._costs.values()) / len(self._costs) if self._costs else None

    def usual_seconds(self, scenario: Scenario) -> float | None:
        """Return the wall time of the sample in the middle, of any arm; None before the first."""
        taken = sorted(row.wall_seconds for row in self.rows if row.scenario == scenario.name)
        return taken[len(taken) // 2] if taken else None

    def prepare(self, arm: Arm, scenario: Scenario) -> float:
        """Build what a sample starts from, and return the seconds that took; ArmFailed when the arm does not build.

        What starts from nothing is only built the first time, to see that it does build.
        """
        if scenario.action in _FROM_NOTHING and self.cost(arm, scenario) is not None:
            return 0.0
        seconds = self.lab.prepare(arm, scenario)
        if scenario.action in _WHOLE:  # a sample is the same build again
            self._costs.setdefault((arm.name, scenario.name), seconds)
        return seconds

    def take(
        self, arm: Arm, scenario: Scenario, part: str, *, repeats: int, until: float = math.inf
    ) -> Sequence[MeasurementRow]:
        """Take one sample and return its row, after those that it replaces.

        A polluted one is repeated until it is clean, at most `repeats` times, and not beyond the time `until`; a failed one
        once. Raises ArmFailed when it failed twice.
        """
        began = self.now()
        taken: list[MeasurementRow] = []
        failures = 0
        while True:
            try:
                row = self._once(arm, scenario, part)
            except ArmFailed:
                failures += 1
                if failures > 1:
                    raise
                continue
            taken.append(row)
            if row.result != "success":
                failures += 1
                if failures > 1:
                    raise ArmFailed(f"{arm.name}: {scenario.name}: the build or its tests failed, twice in a row")
            elif row.polluted is None or repeats <= 0 or self.now() + (self.now() - began) / len(taken) > until:
                break
            else:
                repeats -= 1
        self._costs[arm.name, scenario.name] = self.now() - began
        return taken

    def _once(self, arm: Arm, scenario: Scenario, part: str) -> MeasurementRow:
        found = self.lab.sample(arm, scenario)
        self.crates[scenario.name] = found.crates
        sizes = self._sizes(arm, scenario)
        row = MeasurementRow(
            experiment=self._experiment,
            position=self._next_position(),
            scenario=scenario.name,
            arm=arm.name,
            part=part,
            started_at=found.started_at,
            result=found.result,
            wall_seconds=found.wall_seconds,
            cpu_seconds=found.cpu_seconds,
            peak_bytes=found.peak_bytes,
            external_share=found.external_share,
            polluted=pollution(
                found.wall_seconds, found.cpu_seconds, found.external_share, found.lock_wait, cores=self.lab.host.cores
            ),
            cpu_complete=found.cpu_complete,
            target_bytes=sizes.target_bytes if sizes else None,
            artifact_bytes=sizes.artifact_bytes if sizes else None,
            test_seconds=found.test_seconds,
            unit_seconds=found.unit_seconds,
        )
        self.is_recorded &= self._record.add_measurement(row)
        self.rows.append(row)
        return row

    def _next_position(self) -> int:
        """Return a position that no other sampler of this experiment has taken meanwhile."""
        taken = (*self.rows, *self._record.measurements(self._experiment))
        return max((row.position for row in taken), default=-1) + 1

    def _sizes(self, arm: Arm, scenario: Scenario) -> Sizes | None:
        """Return the sizes with the first sample of an arm in a scenario: they are the same with all others."""
        known = any(row.scenario == scenario.name and row.arm == arm.name and row.target_bytes for row in self.rows)
        return None if known else self.lab.sizes(arm)
