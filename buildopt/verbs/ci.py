"""`ci-matrix`: which stages and test groups a change has to pass."""

from __future__ import annotations

from typing import NamedTuple

from buildopt.profile.model import Profile
from buildopt.verbs.context import Context
from buildopt.verbs.run import changed
from buildopt.verbs.tests import packages_of

__all__ = ["Matrix", "TestJob", "ci_matrix"]


class TestJob(NamedTuple):
    """One job of the matrix of tests."""

    name: str
    """As people see it: `gpu`, or `gpu 2/4`."""
    group: str
    shard: int
    shards: int
    timeout: int
    """Minutes after which the host ends the job."""


class Matrix(NamedTuple):
    """What CI has to run for a change."""

    lanes: tuple[str, ...]
    """Stages that have something to do."""
    tests: tuple[TestJob, ...]
    why: str


def ci_matrix(context: Context, base: str | None = None) -> Matrix:
    """Return what CI has to run for what was changed since `base`; without it, since what CI or the profile says.

    Raises ArgumentError for a test group that names a package which is not there.
    """
    profile, members = context.loaded.profile, context.workspace.members
    affected = changed(context, base)
    names = {package.name for package in affected.packages}
    jobs: list[TestJob] = []
    for name, group in profile.tests.items():
        packages = packages_of(group, members, f"tests.{name}.packages")
        if names.isdisjoint(package.name for package in packages):
            continue
        jobs += (
            TestJob(
                name if group.shards == 1 else f"{name} {shard}/{group.shards}",
                name,
                shard,
                group.shards,
                _minutes(profile, name),
            )
            for shard in range(1, group.shards + 1)
        )
    stages = (profile.ci.stages if profile.ci else ()) or tuple(profile.stages)
    return Matrix(stages if names else (), tuple(jobs), affected.why)


def _minutes(profile: Profile, name: str) -> int:
    timeout = profile.tests[name].timeout
    seconds = 900.0 if timeout is None else 3600.0 if timeout == "auto" else timeout
    return int(-(-seconds // 60)) + 10
