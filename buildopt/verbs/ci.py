"""`ci-matrix`: which stages and test groups a change has to pass."""

from __future__ import annotations

from typing import NamedTuple

from buildopt.generate.ci.lanes import MatrixEntry, matrix_entries
from buildopt.verbs.context import Context
from buildopt.verbs.run import changed
from buildopt.verbs.tests import packages_of

__all__ = ["Matrix", "ci_matrix"]


class Matrix(NamedTuple):
    """What CI has to run for a change."""

    lanes: tuple[str, ...]
    """Stages that have something to do: all of CI's, or none where the change affects no package."""
    tests: tuple[MatrixEntry, ...]
    """Jobs of the test groups that cover an affected package."""
    why: str


def ci_matrix(context: Context, base: str | None = None) -> Matrix:
    """Return what CI has to run for what was changed since `base`; without it, since what CI or the profile says.

    Raises ArgumentError for a test group that names a package which is not there.
    """
    profile, members = context.ci_profile, context.workspace.members
    affected = changed(context, base)
    names = {package.name for package in affected.packages}
    groups = {name: packages_of(group, members, f"tests.{name}.packages") for name, group in profile.tests.items()}
    covering = {name for name, packages in groups.items() if any(package.name in names for package in packages)}
    stages = (profile.ci.stages if profile.ci else ()) or tuple(profile.stages)
    jobs = tuple(job for job in matrix_entries(profile) if job.group in covering)
    return Matrix(stages if names else (), jobs, affected.why)
