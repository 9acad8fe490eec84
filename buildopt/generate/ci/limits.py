"""What of a profile cannot be made into CI. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from buildopt.errors import Problem
from buildopt.profile.model import Ci, Profile, Stage

__all__ = ["ci_problems", "may_use_nextest", "storage_of"]

_MOST_TEST_JOBS = 256  # GitHub starts no more out of one matrix


def ci_problems(profile: Profile, ci: Ci, stages: Mapping[str, Stage], oldest: str | None) -> Iterator[Problem]:
    """Yield what is asked for and cannot be; `stages` have a lane, `oldest` is the toolchain that the packages declare."""
    yield from _alike("stages", stages)
    yield from _alike("tests", profile.tests)
    yield from _sharding(profile)
    if ci.cache == "sccache" and storage_of(profile) == "none":
        hint = 'set cache.wrapper = "sccache", for CI at least'
        yield Problem('is "sccache", and no CI job uses it', key="ci.cache", hint=hint)
    yield from _without_stages(ci, stages)
    if ci.github:
        for key, runner in (("runner", ci.github.runner), *(("platforms", name) for name in ci.github.platforms)):
            if runner.lower().startswith("windows"):
                hint = "name images of Linux and macOS"
                yield Problem(f"buildopt does not run on {runner}", key=f"ci.github.{key}", hint=hint)
    if ci.msrv and oldest is None:
        hint = "declare it, or leave this key out"
        yield Problem("no package declares its rust-version", key="ci.msrv", hint=hint)


def may_use_nextest(profile: Profile) -> bool:
    """Whether tests are run by cargo-nextest where it is there."""
    return profile.cargo is None or profile.cargo.test_runner != "cargo"


def storage_of(profile: Profile) -> str:
    """Return the kind of storage that sccache uses (`local`, `gha`, `redis`, …); `none` where it is not used."""
    if profile.cache is None or profile.cache.wrapper == "none":
        return "none"
    return profile.cache.storage.partition(":")[0]


def _without_stages(ci: Ci, stages: Mapping[str, Stage]) -> Iterator[Problem]:
    wanted = {"ci.msrv": ci.msrv, "ci.minimal-versions": ci.minimal_versions}
    wanted["ci.github.platforms"] = bool(ci.github and ci.github.platforms)
    for key in (key for key, value in wanted.items() if value and not stages):
        yield Problem("the lane runs a stage, and none is declared", key=key, hint='extends = ["stages"]')


def _alike(table: str, names: Mapping[str, object]) -> Iterator[Problem]:
    """Yield names that differ in their case alone: expressions of GitHub take them for one."""
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            yield Problem(f"{seen[name.lower()]!r} differs in its case alone", key=f"{table}.{name}", hint="rename one")
        seen[name.lower()] = name


def _sharding(profile: Profile) -> Iterator[Problem]:
    jobs = sum(group.shards for group in profile.tests.values())
    if jobs > _MOST_TEST_JOBS:
        yield Problem(
            f"{jobs} jobs in all groups", key="tests.*.shards", hint=f"{_MOST_TEST_JOBS} is what GitHub starts"
        )
    for name, group in profile.tests.items():
        if group.shards > 1 and not may_use_nextest(profile):
            yield Problem(
                "only cargo-nextest can run a part of the tests",
                key=f"tests.{name}.shards",
                hint='cargo.test-runner is "cargo"',
            )
