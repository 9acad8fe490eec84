"""`dev-test`: from the name of a group, of a package, or a part of test names, to a recorded run of tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from buildopt.cargo.model import Package
from buildopt.cargo.nextest import SLICES_SINCE
from buildopt.errors import ArgumentError, Problem, ProfileError, ToolMissing
from buildopt.measure.shards import weights
from buildopt.pipeline.events import Event
from buildopt.pipeline.plan import PlannedStage, Selection, Work
from buildopt.pipeline.runner import Outcome
from buildopt.pipeline.sharding import Shard
from buildopt.profile.model import Profile, Stage, TestGroup
from buildopt.record import Record, TimeRow
from buildopt.verbs.context import Context
from buildopt.verbs.run import execute, plan_work, timeout_of

__all__ = ["packages_of", "run_tests"]

_OWN_RECORD = "the record of this machine says which shard runs what, and every run changes it: give all shards one file (--durations)"


def run_tests(
    context: Context,
    names: Sequence[str],
    *,
    emit: Callable[[Event], None],
    shard: tuple[int, int] | None = None,
    durations: Path | None = None,
) -> Outcome:
    """Run the tests that each of `names` means: a test group, else a package, else a part of test names.

    Without names, all tests of the workspace run. With `shard` (I, N) only the part I of N of them, balanced by what the
    file `durations` knows of each test, or else the record; a file that cannot be used is said and costs balance. What
    the file knows of whole groups counts for a timeout that follows the record.
    Raises ArgumentError when a group names a package that is not there, and for a shard of a part of test names;
    ToolMissing for a shard without a nextest that can split.
    """
    context.check_requires()
    rows: tuple[TimeRow, ...] = ()
    notes = []
    if durations:
        from buildopt.verbs.durations import read_durations  # noqa: PLC0415 - in CI only

        rows, note = read_durations(context.host, durations)
        notes += [note] if note else []
    with Record.open(context.host, context.state) as record:
        part = None
        if shard is not None:
            _check_nextest(context)
            known = rows if durations else record.times()
            part = Shard(*shard, weights(((row.binary, row.name), row.seconds) for row in known if row.binary))
            notes += [] if durations or not part.seconds else [_OWN_RECORD]
        planned = [_planned(context, name, part, rows) for name in names or ("",)]
        command = " ".join(("dev-test", *names, *(("--shard", str(part)) if part else ())))
        return execute(context, record, planned, command, emit, notes)


def _check_nextest(context: Context) -> None:
    cargo = context.loaded.profile.cargo
    if cargo is not None and cargo.test_runner == "cargo":
        problem = Problem("tests are split by cargo-nextest", key="cargo.test-runner", hint='"auto" or "nextest"')
        raise ProfileError("the profile cannot be used with --shard", problems=(problem,))
    found = context.components.nextest
    if found is None or tuple(int(part) for part in re.findall(r"\d+", found)[:3]) < SLICES_SINCE:
        wanted = ".".join(map(str, SLICES_SINCE))
        raise ToolMissing(
            f"--shard needs cargo-nextest {wanted} or later, {f'this is {found}' if found else 'which is not there'}",
            hint="cargo install --locked cargo-nextest",
        )


def _planned(context: Context, name: str, shard: Shard | None, rows: Iterable[TimeRow]) -> PlannedStage:
    members = context.workspace.members
    group = _group(context.loaded.profile, name, members)
    if shard is not None and group.filter is not None:
        raise ArgumentError(
            f"--shard: {name!r} means a part of test names, and those are not split",
            hint="name test groups or packages, or nothing for all tests",
        )
    packages = packages_of(group, members, f"tests.{name}.packages")
    title = f"dev-test {name}".strip()
    titles = [title] if shard is None else [f"{title} {number}/{shard.of}" for number in range(1, shard.of + 1)]
    work = Work(
        name=title if shard is None else titles[shard.number - 1],
        run=("test",),
        features=group.features,
        cargo_profile=group.cargo_profile,
        all_targets=False,
        timeout=timeout_of(context, group.timeout, titles, rows),
        budget=group.budget,
        test_filter=group.filter,
        shard=shard and shard._replace(group=title),
    )
    selection = Selection(packages, whole=not group.packages, why=_why(group, packages, len(members)))
    if packages:
        return plan_work(context, work, selection)
    nothing = plan_work(context, work._replace(run=()), selection)
    return nothing._replace(skipped=f"no package matches {', '.join(group.packages)}")


def _group(profile: Profile, name: str, members: Sequence[Package]) -> TestGroup:
    if name in profile.tests:
        return profile.tests[name]
    packages = (name,) if name in {package.name for package in members} else ()
    # Features and Cargo profile of the first stage that tests, so that what it has built is used again.
    stage = next((stage for stage in profile.stages.values() if "test" in stage.run), Stage(run=("test",)))
    return TestGroup(
        packages=packages,
        filter=None if packages else name or None,
        features=stage.features,
        cargo_profile=stage.cargo_profile,
    )


def packages_of(group: TestGroup, members: Sequence[Package], key: str) -> tuple[Package, ...]:
    """Return the members that a group covers; ArgumentError names `key` for a package that is not there."""
    names = [package.name for package in members]
    for pattern in group.packages:
        if not any(sign in pattern for sign in "*?[") and pattern not in names:
            from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

            close = get_close_matches(pattern, names, 1)
            raise ArgumentError(
                f"{key}: there is no package {pattern!r} in the workspace",
                hint=f"did you mean {close[0]!r}?" if close else "name a member, or a glob",
            )
    if not group.packages:
        return tuple(members)
    return tuple(package for package in members if any(fnmatchcase(package.name, glob) for glob in group.packages))


def _why(group: TestGroup, packages: Sequence[Package], total: int) -> str:
    named = "" if group.filter is None else f", tests with {group.filter!r} in their name"
    if not group.packages:
        return f"all {total} packages{named}"
    return f"{len(packages)} of {total} packages: {', '.join(package.name for package in packages)}{named}"
