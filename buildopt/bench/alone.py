"""One arm by itself, over scenarios: what it costs here and now. Verdicts need a comparison, or a history."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from buildopt.bench.arms import Arm
from buildopt.bench.comparison import Guards, guards
from buildopt.bench.progress import Progress
from buildopt.bench.sampling import Laboratory, Sampler
from buildopt.bench.scenarios import Scenario
from buildopt.errors import ArmFailed
from buildopt.record import MeasurementRow, Record

__all__ = ["Figures", "figures", "measure_alone"]

_SAMPLE = re.compile(r"sample (\d{1,4})")


class Figures(NamedTuple):
    """What one arm costs in one scenario; seconds are None without a sample."""

    scenario: str
    arm: str
    samples: int
    wall_seconds: float | None
    """Median."""
    wall_least: float | None
    cpu_seconds: float | None
    """Median."""
    cpu_least: float | None
    polluted: int
    """How many of the samples other work disturbed."""
    cpu_complete: bool
    beside: Guards | None
    failure: str | None = None
    """Why there is no sample, as a workspace that does not build."""


def measure_alone(
    lab: Laboratory,
    record: Record,
    experiment: str,
    arm: Arm,
    scenarios: Sequence[Scenario],
    *,
    samples: int,
    deadline: float | None,
    tell: Callable[[Progress], None],
) -> tuple[Figures, ...]:
    """Take `samples` samples of each scenario and return what they cost; those in the record already are not taken again.

    A polluted sample is repeated once. At `deadline` (of `host.monotonic`) it ends, with what is there then.
    """
    sampler = Sampler(lab, record, experiment)
    failures: dict[str, str] = {}
    for number, scenario in enumerate(scenarios):
        missing = sorted({*range(1, samples + 1)} - _counted(sampler.rows, arm, scenario).keys())
        if not missing or (deadline is not None and sampler.now() >= deadline):
            continue
        tell(Progress(f"{scenario.name}: building what {arm.name} starts from"))
        try:
            sampler.prepare(arm, scenario)
            for done, sample in enumerate(missing):
                cost = sampler.cost(arm, scenario) or 0.0
                if deadline is not None and sampler.now() + cost > deadline:
                    break
                usual = cost or sampler.typical_cost()
                left = len(missing) - done + samples * (len(scenarios) - number - 1)
                text = f"{scenario.name}: {arm.name}, sample {sample} of {samples}"
                tell(Progress(text, None if usual is None else usual * left))
                until = math.inf if deadline is None else deadline
                sampler.take(arm, scenario, f"sample {sample}", repeats=1, until=until)
        except ArmFailed as error:
            failures[scenario.name] = error.message
            tell(Progress(f"{scenario.name}: {arm.name} cannot be measured: {error.message}", stays=True))
    if not sampler.is_recorded:
        tell(Progress("the record could not be written: nothing of this is in the history", stays=True))
    return figures(sampler.rows, arm, scenarios, failures=failures)


def figures(
    rows: Iterable[MeasurementRow], arm: Arm, scenarios: Sequence[Scenario], *, failures: dict[str, str] | None = None
) -> tuple[Figures, ...]:
    """Return what the measurements of an experiment say about one arm. Pure."""
    rows = tuple(rows)
    beside = {found.scenario: found for found in guards(rows, (arm,), scenarios)}
    found = []
    for scenario in scenarios:
        own = _counted(rows, arm, scenario).values()
        wall, cpu = sorted(row.wall_seconds for row in own), sorted(row.cpu_seconds for row in own)
        found.append(
            Figures(
                scenario.name,
                arm.name,
                len(own),
                _median(wall),
                min(wall, default=None),
                _median(cpu),
                min(cpu, default=None),
                sum(row.polluted is not None for row in own),
                all(row.cpu_complete for row in own),
                beside.get(scenario.name),
                (failures or {}).get(scenario.name),
            )
        )
    return tuple(found)


def _counted(rows: Iterable[MeasurementRow], arm: Arm, scenario: Scenario) -> dict[int, MeasurementRow]:
    """Return the samples that count, by number: of those repeated the last."""
    own = (row for row in rows if (row.scenario, row.arm, row.result) == (scenario.name, arm.name, "success"))
    found = ((_SAMPLE.fullmatch(row.part), row) for row in own)
    return {int(place[1]): row for place, row in found if place}


def _median(ordered: Sequence[float]) -> float | None:
    middle = len(ordered) // 2
    if not ordered:
        return None
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
