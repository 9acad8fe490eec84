"""A workspace in which every setting does what a test says, on a clock that only builds move."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

from buildopt.bench.arms import Arm
from buildopt.bench.measured import Measured, Sizes
from buildopt.bench.scenarios import Scenario
from buildopt.errors import ArmFailed
from buildopt.generate.toml import value_text
from buildopt.testing import ScriptedHost

BASE = {"clean/build": 20.0, "leaf/build": 2.0, "hub/build": 4.0, "no-change/build": 0.1, "no-change/test": 5.0}


def arm_of(name: str, settings: Mapping[str, Any]) -> Arm:
    parallel = any(key in ("linker", "jobs", "codegen-units") for key in settings)
    return Arm(
        name, tuple(f"{key}={value_text(value)}" for key, value in settings.items()), changes_parallelism=parallel
    )


class World:
    """`effects`: by setting, the factor on everything, or one for each scenario."""

    def __init__(
        self, effects: Mapping[str, float | Mapping[str, float]], *, noise: float = 0.02, seed: int = 1
    ) -> None:
        self.host = ScriptedHost({})
        self.effects = effects
        self.noise = noise
        self.chance = random.Random(seed)
        self.broken: set[str] = set()
        self.failing_tests: set[str] = set()
        self.sizes_of: dict[str, int] = {}
        self.slower = 1.0
        """How much longer everything takes from now on, by the clock on the wall only."""
        self.slowed = 0.0
        """How much neighbours make the machine slower and faster, from one sample to the next; known where it is not 0."""
        self.dies_after = math.inf
        """Samples after which Ctrl-C is pressed."""
        self.samples = 0
        self.built: set[str] = set()
        self.most_built = 0

    def prepare(self, arm: Arm, scenario: Scenario) -> float:
        self._build(arm)
        if arm.name not in self.built:
            self.host.time += self._seconds(arm, "clean/build")
        self._keep(arm)
        if scenario.task == "test" and self.failing_tests.intersection(arm.config):
            raise ArmFailed(f"{arm.name}: the tests fail")
        return 0.0

    def sample(self, arm: Arm, scenario: Scenario) -> Measured:
        self.samples += 1
        if self.samples > self.dies_after:
            raise KeyboardInterrupt
        self._build(arm)
        self._keep(arm)
        slowed = math.exp(self.slowed * self.chance.gauss(0, 1)) if self.slowed else 1.0
        cpu = slowed * self._seconds(arm, scenario.name)
        unit = 0.001 * slowed if self.slowed else None
        began = self.host.time
        self.host.time += self.slower * cpu
        return Measured(cpu, cpu, 10**8, 0.0, False, True, began, test_seconds=1.0, unit_seconds=unit)

    def sizes(self, arm: Arm) -> Sizes:
        size = 10**6 + sum(self.sizes_of.get(line, 0) for line in arm.config)
        return Sizes(10 * size, size, {"debug/app": size})

    def forget(self, arm: Arm) -> None:
        self.built.discard(arm.name)

    def _build(self, arm: Arm) -> None:
        if self.broken.intersection(arm.config):
            self.host.time += 1
            raise ArmFailed(f"{arm.name}: cargo build fails: linker not found")

    def _keep(self, arm: Arm) -> None:
        self.built.add(arm.name)
        self.most_built = max(self.most_built, len(self.built))

    def _seconds(self, arm: Arm, scenario: str) -> float:
        seconds = BASE[scenario] * math.exp(self.noise * self.chance.gauss(0, 1))
        for line in arm.config:
            factor = self.effects.get(line, 1.0)
            seconds *= factor if isinstance(factor, (int, float)) else factor.get(scenario, 1.0)
        return seconds
