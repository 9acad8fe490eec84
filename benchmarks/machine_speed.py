"""What it is worth to know how fast the machine was: equal builds, in CPU seconds and in CPU seconds at one speed.

A published crate is edited and built, again and again; for half of the time another workspace is built beside it. Of four builds
three are the same, the fourth is without debug info: where that made the known work itself faster or slower, what is
compared by it would be wrong by as much.
Then comparisons are drawn out of the equal builds, as benchmarks/honesty.py draws them.

Call: python benchmarks/machine_speed.py FOLDER [--workspace sqlparser] [--scenario leaf/test-no-run] [--samples 400]
                                                [--out SAMPLES.csv | --read SAMPLES.csv]
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import random
import shutil
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from build_noise import Neighbour
from honesty import drawn
from published import assemble

from buildopt.bench.arms import Arm
from buildopt.bench.lab import Lab
from buildopt.bench.scenarios import parse_scenario
from buildopt.cargo import load_workspace
from buildopt.host import Host
from buildopt.profile.model import Profile

_ROUND = ("equal", "equal", "equal", "without debug info")
_SPELL = 40  # samples with another build beside them, then as many without
_COMPARISONS = 4000


class Sample(NamedTuple):
    """One build."""

    arm: str
    busy: bool
    wall_seconds: float
    cpu_seconds: float
    unit_seconds: float


def measure(folder: Path, name: str, scenario_name: str, count: int) -> list[Sample]:
    """Build `count` times."""
    root, state, host = assemble(name, folder), folder / "speed-state", Host()
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    scenario = parse_scenario(scenario_name)
    arms = {"equal": Arm("equal"), "without debug info": Arm("without", ("profile.dev.debug=0",))}
    neighbour, found = Neighbour(assemble("rustcrypto", folder), folder / "neighbour-target"), []
    try:
        with Lab.open(
            host, root, state, load_workspace(host, root, state), profile=Profile(version=1), note=print
        ) as lab:
            for each in arms.values():
                lab.prepare(each, scenario)
            for number in range(count):
                busy = number // _SPELL % 2 == 1
                neighbour.want(busy)
                arm = _ROUND[number % len(_ROUND)]
                one = lab.sample(arms[arm], scenario)
                if one.unit_seconds is None:
                    raise SystemExit(
                        f"{scenario_name} takes {one.wall_seconds:.1f} s here: too short to know the speed"
                    )
                found.append(Sample(arm, busy, one.wall_seconds, one.cpu_seconds, one.unit_seconds))
                if number % _SPELL == _SPELL - 1:
                    print(f"{number + 1} builds", flush=True)
    finally:
        neighbour.end()
    return found


def show(samples: Sequence[Sample]) -> None:
    """Print what the samples say."""
    equal = [each for each in samples if each.arm == "equal"]
    for busy in (False, True):
        own = [each for each in equal if each.busy == busy]
        plain = [math.log(each.cpu_seconds) for each in own]
        steady = [math.log(each.cpu_seconds / each.unit_seconds) for each in own]
        print(
            f"{len(own)} equal builds {'beside another' if busy else 'alone'}, {statistics.median(e.wall_seconds for e in own):.1f} s:"
            f" CPU seconds differ by {_percent(plain)}, from one to the next by {_percent(_steps(plain))};"
            f" at one speed by {_percent(steady)}, {_percent(_steps(steady))}"
        )
    inner = range(_ROUND.index("without debug info"), len(samples) - 1, len(_ROUND))
    walks = [_beside([samples[each].unit_seconds for each in (at - 1, at, at + 1)]) for at in inner]
    builds = [_beside([samples[each].cpu_seconds for each in (at - 1, at, at + 1)]) for at in inner]
    print(f"debug = 0 changes the known work by {_mean(walks)}")
    print(f"  and the build, in CPU seconds as they are, by {_mean(builds)}")
    print(f"  at one speed by {_mean([build - walk for build, walk in zip(builds, walks, strict=True)])}")
    simulate("as they are", [each.cpu_seconds for each in equal])
    simulate("at one speed", [each.cpu_seconds / each.unit_seconds for each in equal])


def simulate(name: str, seconds: Sequence[float]) -> None:
    """Print what comparisons drawn out of equal builds say of builds that are slower by some percent."""
    for most in (10, 20, 40):
        chance, said = random.Random(1), []
        for percent in (0, 5, 10):
            found = [drawn(seconds, 1 + percent / 100, most, chance) for _ in range(_COMPARISONS)]
            verdicts = Counter(each.verdict for each in found)
            wrong = verdicts["faster"] + (verdicts["slower"] if percent == 0 else 0)
            good = "" if percent == 0 else f"{100 * verdicts['slower'] / len(found):.1f} % found, "
            pairs = statistics.mean(each.pairs for each in found)
            said.append(f"{percent} %: {good}{100 * wrong / len(found):.2f} % wrong, {pairs:.1f} pairs")
        print(f"  CPU seconds {name}, at most {most} pairs: {'; '.join(said)}", flush=True)


def _beside(three: Sequence[float]) -> float:
    """Return by how much the one in the middle differs from those beside it."""
    before, own, after = map(math.log, three)
    return own - (before + after) / 2


def _steps(logs: Sequence[float]) -> list[float]:
    return [(b - a) / math.sqrt(2) for a, b in itertools.pairwise(logs)]


def _percent(logs: Sequence[float]) -> str:
    return f"{100 * statistics.stdev(logs):.1f} %"


def _mean(logs: Sequence[float]) -> str:
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    return f"{100 * statistics.mean(logs):+.1f} % (standard error {100 * error:.1f}, {len(logs)} builds)"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workspace", default="sqlparser")
    parser.add_argument("--scenario", default="leaf/test-no-run")
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--read", type=Path)
    arguments = parser.parse_args()
    if arguments.read:
        with arguments.read.open(newline="") as file:
            found = [Sample(a, b == "True", float(w), float(c), float(u)) for a, b, w, c, u in csv.reader(file)]
    else:
        found = measure(arguments.folder.resolve(), arguments.workspace, arguments.scenario, arguments.samples)
    if arguments.out:
        with arguments.out.open("w", newline="") as file:
            csv.writer(file).writerows(found)
    show(found)
