"""`dev-test`: from the name of a group, of a package, or a part of test names, to a recorded run of tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from buildopt.cargo.model import Package
from buildopt.errors import ArgumentError
from buildopt.pipeline.events import Event
from buildopt.pipeline.plan import PlannedStage, Selection, Work
from buildopt.pipeline.runner import Outcome
from buildopt.profile.model import Profile, Stage, TestGroup
from buildopt.record import Record
from buildopt.verbs.context import Context
from buildopt.verbs.run import execute, plan_work

__all__ = ["packages_of", "run_tests"]


def run_tests(context: Context, names: Sequence[str], *, emit: Callable[[Event], None]) -> Outcome:
    """Run the tests that each of `names` means: a test group, else a package, else a part of test names.

    Without names, all tests of the workspace run. Raises ArgumentError when a group names a package that is not there.
    """
    context.check_requires()
    planned = [_planned(context, name) for name in names or ("",)]
    with Record.open(context.host, context.state) as record:
        return execute(context, record, planned, " ".join(("dev-test", *names)), emit)


def _planned(context: Context, name: str) -> PlannedStage:
    members = context.workspace.members
    group = _group(context.loaded.profile, name, members)
    packages = packages_of(group, members, f"tests.{name}.packages")
    work = Work(
        name=f"dev-test {name}".strip(),
        run=("test",),
        features=group.features,
        cargo_profile=group.cargo_profile,
        all_targets=False,
        timeout=None if group.timeout == "auto" else group.timeout,
        budget=group.budget,
        test_filter=group.filter,
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
