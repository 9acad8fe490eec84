"""Which recorded build is looked at, and its units as jobs that wait for each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from buildopt.cargo.crate_graph import CrateGraph
from buildopt.measure.critical_path import Job, Need
from buildopt.record import Record, RunRow, UnitRow

__all__ = ["Build", "cargo_profile", "find_build", "jobs_of", "label", "packages_by_unit"]

_LOOKED_AT = 100  # runs
_ROUNDING_SECONDS = 0.02
_DEV_TARGETS = ("test", "bench", "example")


class Build(NamedTuple):
    """One call of Cargo in the record: a step of a stage."""

    run: RunRow
    stage: str
    step: str
    features: tuple[str, ...]
    """The arguments about features that Cargo was called with."""
    cargo_profile: str
    """`dev` where Cargo was not told."""
    units: tuple[UnitRow, ...]
    """Those that were rebuilt, and whose times are known."""
    fresh: int
    rebuilt: int
    """Also those without a time."""
    newest: bool
    """Whether no later run built anything."""
    cpu_seconds: float | None
    """Of Cargo and its compilers; None where it is not known, or where a compiler cache did a part of the work."""

    @property
    def seconds(self) -> float:
        """Return how long Cargo took until the last unit was done."""
        return max((unit.start_seconds or 0.0) + (unit.duration_seconds or 0.0) for unit in self.units)

    @property
    def work_seconds(self) -> float:
        """Return the sum over all units."""
        return sum(unit.duration_seconds or 0.0 for unit in self.units)

    @property
    def mostly_rebuilt(self) -> bool:
        """Whether it rebuilt at least half of what it covers."""
        return self.rebuilt >= self.fresh


def find_build(record: Record) -> Build | None:
    """Return the newest build that rebuilt at least half of its units; without one, that which rebuilt most; None without any.

    Of the steps of a run that passed, it is the one with the most work. `newest` says whether no later run built anything.
    """
    best: Build | None = None
    newest = True
    for run in record.runs(_LOOKED_AT):
        units = record.units(run.id)
        if not units:
            continue
        builds = [build for build in _builds(record, run, units, newest=newest) if build.units]
        newest = False
        found = max(builds, key=lambda build: (build.mostly_rebuilt, build.work_seconds), default=None)
        if found is not None and found.mostly_rebuilt:
            return found
        if found is not None and (best is None or found.work_seconds > best.work_seconds):
            best = found
    return best


def _builds(record: Record, run: RunRow, units: Sequence[UnitRow], *, newest: bool) -> Iterator[Build]:
    by_step: dict[tuple[str, str], list[UnitRow]] = defaultdict(list)
    for unit in units:
        by_step[unit.stage, unit.step].append(unit)
    stages = {stage.name: stage for stage in record.stages(run.id)}
    steps = {(step.stage, step.name): step for step in record.steps(run.id)}
    # Of older runs the record keeps the rebuilt units alone, and how many were fresh.
    forgotten = not any(unit.fresh for unit in units)
    for (stage, step), found in by_step.items():
        rebuilt = [unit for unit in found if not unit.fresh]
        fresh = len(found) - len(rebuilt)
        if forgotten and stage in stages:
            fresh = stages[stage].fresh
        row = steps.get((stage, step))
        if row is not None and row.result != "success":
            continue  # it ended before it was done
        cached = stage in stages and stages[stage].cache is not None
        timed = tuple(unit for unit in rebuilt if unit.start_seconds is not None and unit.duration_seconds is not None)
        cpu = row.cpu_seconds if row is not None and not cached else None
        argv = row.argv if row is not None else ()
        features, profile = _feature_arguments(argv), cargo_profile(argv)
        yield Build(run, stage, step, features, profile, timed, fresh, len(rebuilt), newest, cpu)


def cargo_profile(argv: Sequence[str]) -> str:
    """Return the Cargo profile that a command line asks for."""
    return argv[argv.index("--profile") + 1] if "--profile" in argv[:-1] else "dev"


def _feature_arguments(argv: Sequence[str]) -> tuple[str, ...]:
    kept = [word for word in argv if word in ("--all-features", "--no-default-features")]
    if "--features" in argv[:-1]:
        kept += ["--features", argv[argv.index("--features") + 1]]
    return tuple(kept)


def label(unit: UnitRow) -> str:
    """Return a unit as people read it: `regex`, `regex (build script)`, `app bin "app"`."""
    words = {"lib": "", "build-script": " (build script)"}.get(unit.target, f" {unit.target}")
    if unit.mode == "run-custom-build":
        words = " (running its build script)"
    elif unit.mode in ("test", "doc"):
        words += f" ({unit.mode})"
    return f"{unit.package}{words}"


def packages_by_unit(units: Iterable[UnitRow], graph: CrateGraph) -> list[str | None]:
    """Return the package id of each unit; None for one that is not in the graph any more."""
    ids = _ids(graph)
    return [ids.get((unit.package, unit.version)) for unit in units]


def jobs_of(units: Sequence[UnitRow], graph: CrateGraph) -> tuple[Job, ...]:
    """Return each unit as a job with what it had to wait for.

    Cargo tells neither the graph of its units nor which of two equal units (a package built for the host and for the target) a third
    one used. What packages declare gives the graph; the times say which one it was, since nothing starts before what it needs.
    """
    weave = _Weave(units, graph)
    return tuple(
        Job(unit.start_seconds or 0.0, unit.duration_seconds or 0.0, unit.frontend_seconds, tuple(weave.needs(at)))
        for at, unit in enumerate(units)
    )


def _ids(graph: CrateGraph) -> Mapping[tuple[str, str], str]:
    # Two packages of one name and version, from two sources, are as good as never in one build: the member is meant.
    crates = sorted(graph.values(), key=lambda crate: crate.member)
    return {(crate.name, crate.version): crate.id for crate in crates}


class _Weave:
    """Finds what each unit needs."""

    def __init__(self, units: Sequence[UnitRow], graph: CrateGraph) -> None:
        self.units = units
        self.graph = graph
        self.of = packages_by_unit(units, graph)
        self.at: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        """By package id, kind of target and mode."""
        for at, package in enumerate(self.of):
            if package is not None:
                kind = units[at].target.partition(" ")[0]
                self.at[package, kind, units[at].mode].append(at)

    def needs(self, at: int) -> Iterator[Need]:
        """Yield what the unit `at` waited for."""
        package = self.of[at]
        if package is None:
            return
        unit, crate = self.units[at], self.graph[package]
        kind = unit.target.partition(" ")[0]
        if unit.mode == "run-custom-build":
            yield from self._choose(at, self.at[package, "build-script", "build"])
            for edge in crate.edges:
                if self.graph[edge.id].links and "dev" not in edge.kinds:
                    yield from self._choose(at, self.at[edge.id, "build-script", "run-custom-build"])
            return
        if kind == "build-script":
            for edge in crate.edges:
                if "build" in edge.kinds:
                    yield from self._library(at, edge.id, "build")
            return
        yield from self._choose(at, self.at[package, "build-script", "run-custom-build"])
        if kind != "lib":
            yield from self._library(at, package, _mode_below(unit))
        if kind in ("test", "bench"):
            yield from (need for program in self.at[package, "bin", "build"] for need in self._choose(at, [program]))
        wanted = {"normal", "dev"} if kind in _DEV_TARGETS or unit.mode == "test" else {"normal"}
        for edge in crate.edges:
            if wanted & set(edge.kinds):
                yield from self._library(at, edge.id, _mode_below(unit))

    def _library(self, at: int, package: str, mode: str) -> Iterator[Need]:
        """Yield the library of `package` as the unit `at` used it: a check uses checked ones, a procedural macro is always built."""
        found = self.at[package, "lib", "build" if self.graph[package].proc_macro else mode]
        yield from self._choose(at, found or self.at[package, "lib", "build"])

    def _choose(self, at: int, candidates: Iterable[int]) -> Iterator[Need]:
        """Yield the one of several equal units that the unit `at` can have used: the first that was there when it started."""
        started = (self.units[at].start_seconds or 0.0) + _ROUNDING_SECONDS
        ready = sorted((self._ready(at, other), other) for other in candidates if other != at)
        if ready and ready[0][0] <= started:
            yield Need(ready[0][1], self._metadata_is_enough(at, ready[0][1]))

    def _ready(self, at: int, other: int) -> float:
        unit = self.units[other]
        seconds = unit.duration_seconds or 0.0
        if self._metadata_is_enough(at, other) and unit.frontend_seconds is not None:
            seconds = min(seconds, unit.frontend_seconds)
        return (unit.start_seconds or 0.0) + seconds

    def _metadata_is_enough(self, at: int, other: int) -> bool:
        """Cargo's own rule: a library that links nothing starts with the metadata of one that is built the same way."""
        return self._is_plain_library(at) and self._is_plain_library(other)

    def _is_plain_library(self, at: int) -> bool:
        unit, package = self.units[at], self.of[at]
        macro = package is not None and self.graph[package].proc_macro
        return unit.target == "lib" and unit.mode == "build" and not macro


def _mode_below(unit: UnitRow) -> str:
    """Return in which mode a unit uses libraries: documentation and checks use checked ones, all else built ones."""
    return "check" if unit.mode in ("check", "doc") else "build"
