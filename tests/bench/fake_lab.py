"""A lab in which builds take what a test says, on a clock that only they move."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from buildopt.bench.arms import Arm
from buildopt.bench.measured import Measured, Sizes
from buildopt.bench.scenarios import Scenario
from buildopt.errors import ArmFailed
from buildopt.testing import ScriptedHost


class FakeLab:
    def __init__(self, seconds: Mapping[str, float | tuple[float, ...]], *, noise: float = 0.02, seed: int = 1) -> None:
        self.host = ScriptedHost({})
        self.seconds = seconds
        """By arm, or by arm and scenario; of several, one after the other."""
        self.first_build = 10.0
        """What the first build of an arm takes; another one, 10 s."""
        self.noise = noise
        self.chance = random.Random(seed)
        self.external = 0.0
        self.slowed = 0.0
        """How much neighbours make the machine slower and faster, from one sample to the next; known where it is not 0."""
        self.calls: list[tuple[str, str, str]] = []
        self.broken: set[str] = set()
        self.script: list[object] = []
        """What the next samples are instead: an exception, or changes to what they measure."""

    def prepare(self, arm: Arm, scenario: Scenario) -> float:
        self.calls.append(("prepare", arm.name, scenario.name))
        if arm.name in self.broken:
            raise ArmFailed(f"{arm.name} does not build: error[E0432]")
        first = sum(call[:2] == ("prepare", arm.name) for call in self.calls) == 1
        seconds = self.first_build if first else 10.0
        self.host.time += seconds
        return seconds

    def sample(self, arm: Arm, scenario: Scenario) -> Measured:
        self.calls.append(("sample", arm.name, scenario.name))
        next_up = self.script.pop(0) if self.script else {}
        if isinstance(next_up, BaseException):
            raise next_up
        seconds = self.seconds.get(f"{arm.name} in {scenario.name}", self.seconds[arm.name])
        usual = seconds[self.samples(arm.name) % len(seconds)] if isinstance(seconds, tuple) else seconds
        cpu = usual * (1 + self.noise * self.chance.uniform(-1, 1))
        slower = math.exp(self.slowed * self.chance.gauss(0, 1)) if self.slowed else 1.0
        cpu *= slower
        self.host.time += cpu + 1
        assert isinstance(next_up, dict)
        unit = 0.001 * slower if self.slowed else None
        return Measured(cpu, cpu, 10**8, self.external, False, True, self.host.time, unit_seconds=unit)._replace(
            **next_up
        )

    def sizes(self, arm: Arm) -> Sizes:
        self.calls.append(("sizes", arm.name, ""))
        return Sizes(1000 * len(arm.name), 100, {})

    def forget(self, arm: Arm) -> None:
        self.calls.append(("forget", arm.name, ""))

    def samples(self, arm: str | None = None) -> int:
        return sum(call[0] == "sample" and (arm is None or call[1] == arm) for call in self.calls)
