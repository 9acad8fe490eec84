"""The lab: scratch copies of the workspace, and one timed run after the other in them.

Nothing is written in the user's work tree. Each arm has a target directory of its own. An edit of a sample replaces that
of the sample before, with no build of the original between them: every sample then rebuilds after exactly one change, and
costs one build instead of two.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from buildopt.bench.arms import Arm
from buildopt.bench.commands import Call, calls
from buildopt.bench.measured import Measured, Sizes, artifacts_in, joined
from buildopt.bench.own_cache import OwnCache
from buildopt.bench.place import Copies, Surround, surround
from buildopt.bench.revision import Switch, find_revision, switch
from buildopt.bench.scenarios import EDITS, Scenario, choose_targets
from buildopt.bench.scratch import open_scratch
from buildopt.bench.site import SWITCHED, Site, Spot
from buildopt.bench.timed import DISK_FULL, Timed, run_calls
from buildopt.cargo.model import Workspace
from buildopt.errors import ArgumentError, ArmFailed, BuildoptError, MachineRefused, ToolMissing, UnsafePath
from buildopt.host import Host
from buildopt.host.copies import remove_tree, tree_bytes
from buildopt.profile.model import Profile
from buildopt.units import format_size

__all__ = ["Lab", "Measured", "Sizes"]

_LEAST_FREE = 1 << 30
_PREPARE_SECONDS = 4 * 3600.0


class _Bench:
    """What is known of the target directory of one arm."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.ready: str | None = None
        """Scenario that it is prepared for."""
        self.seen: Mapping[str, int] = {}
        """Marks of the site when it was built last."""
        self.edits = 0
        self.slowest = 0.0


class _Run(NamedTuple):
    """Everything that one run of the calls depends on."""

    arm: Arm
    scenario: Scenario
    bench: _Bench
    site: Site
    spot: Spot | None = None


class Lab:
    """Where arms are built and timed; `Lab.open` makes one."""

    def __init__(
        self, host: Host, folder: Path, around: Surround, copies: Copies, profile: Profile, note: Callable[[str], None]
    ) -> None:
        self._host = host
        self._note = note
        self._folder = folder
        self._around = around
        self._copies = copies
        self._profile = profile
        self._benches: dict[str, _Bench] = {}
        self._spots: dict[tuple[Path, str], Spot] = {}
        self._switches: dict[Path, tuple[Switch, ...]] = {}
        self._commits: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._largest = 0
        self._cache: OwnCache | None = None

    @classmethod
    @contextmanager
    def open(
        cls,
        host: Host,
        root: Path,
        state: Path,
        workspace: Workspace,
        *,
        profile: Profile,
        note: Callable[[str], None] = lambda _text: None,
    ) -> Iterator[Lab]:
        """Yield a lab for the workspace in `root`; when the with block ends, everything that it made is gone.

        Raises MachineRefused when another process measures this workspace, the disk is full, or the copy would be built by
        another toolchain; ToolMissing without Cargo.
        """
        with host.interrupts(), open_scratch(host, root) as (folder, left):
            if left:
                note("what an earlier measuring left, that was cut short, is removed")
            around = surround(host, root, state, folder)
            lab = cls(host, folder, around, Copies(host, folder, workspace, around, note), profile, note)
            try:
                yield lab
            finally:
                if lab._cache is not None:
                    lab._cache.stop()

    @property
    def host(self) -> Host:
        """The machine."""
        return self._host

    def prepare(self, arm: Arm, scenario: Scenario) -> float:
        """Build what a sample of `scenario` starts from, and return the seconds that took.

        Raises ArmFailed, with the compiler's words, when the arm does not build or its tests fail twice; MachineRefused
        when the disk has no room for it; ArgumentError for a revision that git does not know.
        """
        started = self._host.monotonic()
        run = self._run_of(arm, scenario)
        self._guard_disk(run)
        run.bench.ready = None
        if scenario.action == "warm-cache":
            remove_tree(run.bench.target)
        if scenario.action == "second-tree":
            self._build(run._replace(site=self._copies.site(self._commit(arm.revision))))
            remove_tree(run.bench.target)
        self._build(run)
        if scenario.action in EDITS:
            self._choose_spot(run)
        elif scenario.action == "branch-switch":
            self._there_and_back(run)
        run.bench.ready = scenario.name
        self._largest = max(self._largest, tree_bytes(run.bench.target))
        return self._host.monotonic() - started

    def sample(self, arm: Arm, scenario: Scenario) -> Measured:
        """Return what one run of `scenario` costs. Edits are taken back, whatever happens.

        It is prepared first, untimed, where something else was done with the arm since. Raises as `prepare` does.
        """
        run = self._run_of(arm, scenario)
        if not self._is_ready(run):
            self.prepare(arm, scenario)
            run = self._run_of(arm, scenario)
        if scenario.action in EDITS:
            assert run.spot is not None
            timed = self._edited(run, run.spot)
            if timed.failed is None and timed.measured.rebuilt == 0:
                raise ArmFailed(f"{arm.name}: {scenario.name}: Cargo did not see the edit of {run.spot.path.name}")
        elif scenario.action == "branch-switch":
            return self._there_and_back(run)
        else:
            if scenario.action != "no-change":
                remove_tree(run.bench.target)
            timed = self._timed(run)
        if timed.failed is not None:
            run.bench.ready = None
            if timed.words == DISK_FULL:
                raise _failed(run, timed)
        return timed.measured

    def sizes(self, arm: Arm) -> Sizes:
        """Return what the target directory of an arm holds now; zeros for one that was not built."""
        bench = self._bench(arm)
        artifacts = artifacts_in(bench.target, self._copies.workspace)
        return Sizes(tree_bytes(bench.target), sum(artifacts.values()) if artifacts else None, artifacts)

    def forget(self, arm: Arm) -> None:
        """Remove what was built for an arm."""
        bench = self._benches.pop(_key(arm), None)
        if bench is not None:
            remove_tree(bench.target)

    def _bench(self, arm: Arm) -> _Bench:
        key = _key(arm)
        if key not in self._benches:
            self._benches[key] = _Bench(self._folder / "targets" / str(next(self._numbers)))
        return self._benches[key]

    def _commit(self, revision: str | None) -> str | None:
        if revision is not None and revision not in self._commits:
            self._commits[revision] = find_revision(self._host, self._around.root, revision)
        return None if revision is None else self._commits[revision]

    def _run_of(self, arm: Arm, scenario: Scenario) -> _Run:
        site = self._copies.site(self._commit(arm.revision), second=scenario.action == "second-tree")
        spot = self._spots.get((site.tree.top, scenario.action))
        return _Run(arm, scenario, self._bench(arm), site, spot)

    def _is_ready(self, run: _Run) -> bool:
        if run.scenario.action in ("clean", "release"):  # begins with nothing, so that nothing has to be there
            return True
        if run.bench.ready != run.scenario.name:
            return False
        if run.scenario.action in ("warm-cache", "second-tree"):
            return True
        own = SWITCHED if run.scenario.action == "branch-switch" else str(run.spot.path) if run.spot else None
        return all(run.bench.seen.get(name) == mark for name, mark in run.site.marks.items() if name != own)

    def _guard_disk(self, run: _Run) -> None:
        free = self._host.free_bytes(self._folder)
        needed = max(_LEAST_FREE, 2 * self._largest)
        if free is not None and free < needed:
            raise MachineRefused(
                f"{self._folder} has {format_size(free)} left, and building {run.arm.name} may need {format_size(needed)}",
                hint="free some disk space, or set XDG_CACHE_HOME to another disk",
            )

    def _build(self, run: _Run) -> Timed:
        """Build untimed. A test that fails is given a second chance; raises ArmFailed."""
        timed = self._timed(run, seconds=_PREPARE_SECONDS)
        if timed.failed is not None and timed.failed.tests:
            timed = self._timed(run, seconds=_PREPARE_SECONDS)
        if timed.failed is not None:
            raise _failed(run, timed)
        return timed

    def _timed(self, run: _Run, *, seconds: float | None = None) -> Timed:
        env, complete = self._environment(run)
        marks = dict(run.site.marks)
        timed = run_calls(
            self._host,
            self._calls(run),
            run.site.tree.root,
            env,
            timeout_seconds=seconds or max(300.0, 20 * run.bench.slowest),
            complete=complete,
        )
        run.bench.seen = marks
        run.bench.slowest = max(run.bench.slowest, timed.measured.wall_seconds)
        if run.arm.kind == "plain":  # `cargo test` builds and runs in one
            timed = timed._replace(measured=timed.measured._replace(test_seconds=None))
        return timed

    def _calls(self, run: _Run) -> tuple[Call, ...]:
        return calls(
            run.arm,
            run.scenario,
            run.site.workspace,
            self._around.components,
            self._profile,
            cargo=self._around.cargo,
            target=run.bench.target,
            edited=None if run.spot is None else run.spot.path,
        )

    def _environment(self, run: _Run) -> tuple[Mapping[str, str | None], bool]:
        """Return the environment of Cargo, and whether all that is done for it is done by its own processes."""
        env = {**self._around.env, "CARGO_BUILD_BUILD_DIR": str(run.bench.target), **run.arm.env}
        wrapper = run.arm.wrapper or ("sccache" if run.scenario.action == "warm-cache" else "none")
        if wrapper == "none":
            return env, True
        try:
            self._cache = self._cache or OwnCache(self._host, self._folder / "cache", self._around.root)
        except ToolMissing as error:
            raise ArmFailed(f"{run.arm.name}: {run.scenario.name}: {error.message}", hint=error.hint) from error
        cold = run.scenario.action in ("clean", "release")
        return {**env, **self._cache.environment(cold=cold)}, False

    def _choose_spot(self, run: _Run) -> None:
        """Edit once, untimed: at the place that is known to compile, or at the first that does."""
        if run.spot is not None:
            timed = self._edited(run, run.spot, seconds=_PREPARE_SECONDS)
            if timed.failed is not None and timed.failed.tests:
                timed = self._edited(run, run.spot, seconds=_PREPARE_SECONDS)
            if timed.failed is not None:
                raise _failed(run, timed)
            return
        action, bench = run.scenario.action, self._profile.bench
        targets = choose_targets(run.site.workspace, bench)
        package = {"leaf": targets.leaf, "hub": targets.hub, "binary": targets.binary}[action]
        if package is None:
            raise ArmFailed(f"{run.scenario.name}: no member of the workspace has a binary")
        last: Timed | None = None
        for spot in run.site.spots(package, bench.edit, binary=action == "binary"):
            try:
                last = self._edited(run, spot, seconds=_PREPARE_SECONDS)
            except (UnsafePath, UnicodeDecodeError):
                continue
            built = last.failed is None or last.failed.tests
            if built and last.measured.rebuilt != 0:
                self._spots[run.site.tree.top, action] = spot
                if spot.place.kind != bench.edit:
                    self._note(f"{package.name} has no function that can be edited; another public one is the edit")
                return
        said = f": {last.words}" if last is not None and last.words else ""
        raise ArmFailed(
            f"{run.scenario.name}: {package.name} cannot be edited{said}", hint=f"name another in bench.{action}"
        )

    def _edited(self, run: _Run, spot: Spot, *, seconds: float | None = None) -> Timed:
        run.bench.edits += 1
        with run.site.edit(spot, next(self._numbers), 1 + run.bench.edits % 2):
            return self._timed(run._replace(spot=spot), seconds=seconds)

    def _there_and_back(self, run: _Run) -> Measured:
        """Switch to the other revision and build, switch back and build: both together are one sample."""
        changes = self._changes(run)
        try:
            run.site.apply(changes, there=True)
            there = self._build(run).measured
        except UnsafePath as error:
            raise ArmFailed(f"{run.arm.name}: {run.scenario.name}: {error.message}") from error
        finally:
            run.site.apply(changes, there=False)
        return joined(there, self._build(run).measured)

    def _changes(self, run: _Run) -> tuple[Switch, ...]:
        top = run.site.tree.top
        if top not in self._switches:
            try:
                commit = self._commit(self._profile.bench.revision or f"{run.arm.revision or 'HEAD'}^")
            except ArgumentError as error:  # a shallow clone has no parent; other scenarios can do without
                why = f"{run.arm.name}: {run.scenario.name}: {error.message}"
                raise ArmFailed(why, hint="name another in bench.revision") from error
            there = self._copies.site(commit).tree
            self._switches[top] = switch(self._host, self._copies.workspace, run.site.tree, there)
            if not self._switches[top]:
                raise ArmFailed(
                    f"{run.arm.name}: {run.scenario.name}: nothing differs there", hint="name another in bench.revision"
                )
        return self._switches[top]


def _key(arm: Arm) -> str:
    return repr(arm)


def _failed(run: _Run, timed: Timed) -> BuildoptError:
    assert timed.failed is not None
    if timed.words == DISK_FULL:
        return MachineRefused(
            f"{run.bench.target}: {DISK_FULL}", hint="free some, or set XDG_CACHE_HOME to another disk"
        )
    what = "the tests fail" if timed.failed.tests else f"cargo {timed.failed.argv[1]} fails"
    return ArmFailed(f"{run.arm.name}: {run.scenario.name}: {what}: {timed.words}")
