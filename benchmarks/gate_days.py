"""The gate over 300 simulated days, drawn from the recorded noise of real builds.

Each day the gate measures a scenario three times and twice more where it would fail, by the very functions that `buildopt
gate` calls. Nothing changes: what fails is a false alarm. Then, on a day after the first 40, every build becomes slower for
good, by 10 % and by 25 %: is it found that day, and within three days? The days are drawn in two ways: stretches of
neighbouring builds from anywhere, and all in the order in which they were recorded (a machine that drifts). CPU seconds are
held as they are, as the gate does for short builds, and as on a machine of one speed, as it does for the others.
Wall time is there too, held against a budget of 1.5 times what a quiet build takes.
Call: python benchmarks/gate_days.py NOISE.csv [--runs 100]
NOISE.csv is what benchmarks/build_noise.py writes.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import random
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from buildopt.measure.gate import RERUNS, Answer, Kind, Reading, fails, hold_budget, hold_history, median
from buildopt.measure.samples import pollution
from buildopt.report.gate_scenarios import ROUNDS

_DAYS = 300
_WARM = 40
_CORES = 2


class Build(NamedTuple):
    """One recorded build."""

    wall: float
    cpu: float
    doubt: str | None
    steady: float | None
    """CPU seconds at one speed, that of the median of the recording; None where one of its builds was too short to tell."""


Days = Callable[[random.Random], Iterator[tuple[Build, ...]]]


def recorded(path: Path) -> list[Build]:
    """Return the builds of a noise file, in order."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    units = [float(row["unit_milliseconds"] or 0) for row in rows]
    usual = statistics.median(units) if all(units) else None
    found = []
    for row, unit in zip(rows, units, strict=True):
        wall, cpu, share = (float(row[name]) for name in ("wall_seconds", "cpu_seconds", "external_share"))
        doubt = pollution(wall, cpu, share, False, cores=_CORES)
        found.append(Build(wall, cpu, doubt, None if usual is None else cpu * usual / unit))
    return found


def anywhere(noise: list[Build], chance: random.Random) -> Iterator[tuple[Build, ...]]:
    """Yield days: five builds each that were recorded one after the other, from a random place."""
    while True:
        at = chance.randrange(len(noise) - ROUNDS - RERUNS)
        yield tuple(noise[at : at + ROUNDS + RERUNS])


def in_order(noise: list[Build], chance: random.Random) -> Iterator[tuple[Build, ...]]:
    """Yield days in the order of the recording, round and round from a random place."""
    at = chance.randrange(len(noise))
    while True:
        day = [noise[(at + step) % len(noise)] for step in range(ROUNDS + RERUNS)]
        at += ROUNDS
        yield tuple(day)


def judged(builds: tuple[Build, ...], factor: float, hold: Callable[[list[Build], int], Answer]) -> Answer:
    """Return the verdict of one day on which every build takes `factor` times as long."""
    slower = [build._replace(wall=build.wall * factor, cpu=build.cpu * factor) for build in builds]
    answer = hold(slower[:ROUNDS], 0)
    if answer.level != "none" and not answer.confirmed:
        answer = hold(slower, RERUNS)
    return answer


def history_days(
    days: Iterator[tuple[Build, ...]], kind: Kind, slow_from: int, factor: float
) -> Iterator[tuple[int, bool]]:
    """Yield each day and whether the gate fails for its history on it."""
    history: list[float] = []

    def hold(builds: list[Build], reruns: int) -> Answer:
        readings = [Reading(build.cpu if kind == "cpu" else build.wall, build.doubt) for build in builds]
        return hold_history(readings, history, kind=kind, reruns=reruns)

    for day in range(_DAYS):
        builds, slow = next(days), factor if day >= slow_from else 1.0
        yield day, fails(judged(builds, slow, hold))
        counted = [b for b in builds[:ROUNDS] if kind == "cpu" or b.doubt is None]
        history += [slow * median([b.cpu if kind == "cpu" else b.wall for b in counted])] if counted else []


def budget_days(days: Iterator[tuple[Build, ...]], budget: float, factor: float) -> Iterator[bool]:
    """Yield for each day whether the gate fails for its budget of wall seconds."""

    def hold(builds: list[Build], reruns: int) -> Answer:
        readings = [Reading(build.wall, build.doubt, build.cpu / _CORES) for build in builds]
        return hold_budget(readings, budget, kind="wall", reruns=reruns)

    for _ in range(_DAYS):
        yield fails(judged(next(days), factor, hold))


def history_rows(name: str, noise: list[Build], runs: int, kind: Kind) -> None:
    """Print false alarms and what was found of planted regressions."""
    for order, draw in (("drawn from anywhere", anywhere), ("in the order recorded", in_order)):
        alarms = [
            sum(failed for _, failed in history_days(draw(noise, random.Random(run)), kind, _DAYS, 1.0))
            for run in range(runs)
        ]
        share = 100 * sum(alarms) / (_DAYS * runs)
        cells = [f"false alarms {share:.2f} % of {_DAYS * runs} days (worst run {max(alarms)} days)"]
        for factor in (1.10, 1.25):
            same, within = 0, 0
            for run in range(runs):
                chance = random.Random(10_000 + run)
                planted = chance.randrange(_WARM, _DAYS - 3)
                found = dict(itertools.islice(history_days(draw(noise, chance), kind, planted, factor), planted + 3))
                same += found[planted]
                within += any(found[planted + later] for later in range(3))
            cells.append(f"+{factor - 1:.0%} found {same} of {runs} that day, {within} within three")
        print(f"  {name:16} {order:22} {'; '.join(cells)}", flush=True)


def budget_rows(noise: list[Build], runs: int) -> None:
    """Print how often neighbours alone make the gate fail for a budget, and whether a build that doubled is found."""
    quiet = [build.wall for build in noise if build.doubt is None] or [build.wall for build in noise]
    budget = 1.5 * statistics.median(quiet)
    for name, draw in (("drawn from anywhere", anywhere), ("in the order recorded", in_order)):
        over = sum(
            min(b.wall for b in next(days)[:ROUNDS]) > budget
            for days in [draw(noise, random.Random(1))]
            for _ in range(_DAYS)
        )
        counts = [
            sum(sum(budget_days(draw(noise, random.Random(run)), budget, factor)) for run in range(runs))
            for factor in (1.0, 2.5)
        ]
        shares = [100 * count / (_DAYS * runs) for count in counts]
        print(
            f"  budget {budget:.2f}s, {name}: over on {100 * over / _DAYS:.0f} % of the days by wall time alone; the gate fails"
            f" on {shares[0]:.2f} %; of days on which builds take 2.5 times as long, on {shares[1]:.0f} %",
            flush=True,
        )


def main(path: Path, runs: int) -> None:
    """Print the table."""
    noise = recorded(path)
    steady = [build._replace(cpu=build.steady) for build in noise if build.steady is not None]
    series = {
        "CPU seconds": [build.cpu for build in noise],
        "CPU seconds at one speed": [build.cpu for build in steady],
        "wall seconds": [build.wall for build in noise],
    }
    print(f"{len(noise)} builds, {sum(build.doubt is not None for build in noise)} of them beside other processes")
    for name, values in series.items():
        if not values:
            continue
        spread = 100 * statistics.stdev(values) / statistics.mean(values)
        print(f"  {name}: median {statistics.median(values):.2f}, coefficient of variation {spread:.0f} %")
    history_rows("CPU", noise, runs, "cpu")
    if steady:
        history_rows("CPU at one speed", steady, runs, "cpu")
    history_rows("wall", noise, runs, "wall")
    budget_rows(noise, runs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("noise", type=Path)
    parser.add_argument("--runs", type=int, default=100, help="how many times 300 days")
    arguments = parser.parse_args()
    main(arguments.noise, arguments.runs)
