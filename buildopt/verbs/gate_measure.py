"""What a gate measures: each scenario three times, and again where it would fail; the sizes of what was built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from buildopt.bench.arms import Arm
from buildopt.bench.progress import Progress
from buildopt.bench.sampling import Laboratory, Sampler
from buildopt.bench.scenarios import Scenario
from buildopt.errors import ArmFailed
from buildopt.host import Host
from buildopt.measure.gate import RERUNS
from buildopt.record import MeasurementRow, Record
from buildopt.report.gate_scenarios import ROUNDS
from buildopt.report.gate_view import GateLine

__all__ = ["Gauged", "artifact_sizes", "measure"]


class Gauged(NamedTuple):
    """What was measured."""

    rows: Mapping[str, tuple[MeasurementRow, ...]]
    """By scenario, in order; those that failed are left out."""
    artifacts: Mapping[str, int]
    """Bytes of what was built, by path in the target directory."""
    crates: Mapping[str, Mapping[str, float]]
    """By scenario, seconds by package of its last build."""
    broken: tuple[tuple[str, str], ...]
    """Scenarios whose build or tests fail, and what was said."""


def measure(
    lab: Laboratory,
    record: Record,
    experiment: str,
    arm: Arm,
    scenarios: Sequence[Scenario],
    stand: Callable[[str, tuple[MeasurementRow, ...]], Iterable[GateLine]],
    tell: Callable[[Progress], None],
) -> Gauged:
    """Measure each scenario three times, and twice more where `stand`, which is given its rows, has anything to say.

    Every build is in the record at once. A scenario that does not build is told and left out.
    """
    sampler = Sampler(lab, record, experiment)
    artifacts: dict[str, int] = {}
    broken: list[tuple[str, str]] = []
    for number, scenario in enumerate(scenarios):
        try:
            for turn in range(1, ROUNDS + RERUNS + 1):
                if turn == ROUNDS + 1 and not _wants_rerun(stand(scenario.name, _rows(sampler, scenario))):
                    break
                again = turn > ROUNDS
                text = f"{scenario.name}: {f'measured again, {turn - ROUNDS} of {RERUNS}' if again else f'{turn} of {ROUNDS}'}"
                cost = sampler.cost(arm, scenario) or sampler.typical_cost()
                left = max(1, ROUNDS + 1 - turn) + ROUNDS * (len(scenarios) - number - 1)
                tell(Progress(text, None if cost is None else cost * left))
                sampler.take(arm, scenario, f"gate {turn}", repeats=0)
            artifacts.update(lab.sizes(arm).artifacts)
        except ArmFailed as error:
            why = _why(lab, arm, scenario) or error.message
            broken.append((scenario.name, why))
            tell(Progress(f"{scenario.name} cannot be measured: {why}", stays=True))
    if not sampler.is_recorded:
        tell(Progress("the record could not be written: the next gate will not know of this one", stays=True))
    failed = {name for name, _ in broken}
    rows = {each.name: _rows(sampler, each) for each in scenarios if each.name not in failed}
    return Gauged(rows, artifacts, sampler.crates, tuple(broken))


def artifact_sizes(host: Host, target: Path, pattern: str, built: Mapping[str, int]) -> dict[str, int]:
    """Return the bytes of the files that `pattern` names, by path in the target directory.

    Those just `built` count; only where none of them fits, what lies in `target` does. A `*` does not cross a `/`.
    """
    parts = pattern.split("/")
    fitting = {path: size for path, size in built.items() if _fits(path.split("/"), parts)}
    if fitting:
        return fitting
    found: dict[str, int] = {}
    folders = [""]
    for part in parts[:-1]:
        folders = [f"{f}{name}/" for f in folders for name in host.files.folders(target / f) if fnmatchcase(name, part)]
    for folder in folders:
        for name in host.files.names(target / folder):
            path = f"{folder}{name}"
            if fnmatchcase(name, parts[-1]) and host.files.mode(target / path) is not None:
                stamp = host.files.stamp(target / path)
                if stamp is not None and name not in host.files.folders(target / folder):
                    found[path] = stamp[0]
    return found


def _fits(path: Sequence[str], pattern: Sequence[str]) -> bool:
    return len(path) == len(pattern) and all(fnmatchcase(name, part) for name, part in zip(path, pattern, strict=True))


def _why(lab: Laboratory, arm: Arm, scenario: Scenario) -> str | None:
    """Return the compiler's words: a sample only says that it failed. None where it builds now."""
    try:
        lab.prepare(arm, scenario)
    except ArmFailed as error:
        return error.message
    return None


def _wants_rerun(lines: Iterable[GateLine]) -> bool:
    return any(line.answer.level != "none" and not line.answer.confirmed for line in lines)


def _rows(sampler: Sampler, scenario: Scenario) -> tuple[MeasurementRow, ...]:
    return tuple(row for row in sampler.rows if row.scenario == scenario.name and row.result == "success")
