from __future__ import annotations

from pathlib import Path

import pytest

from buildopt.cargo.model import Components, Package, Target, Workspace
from buildopt.errors import ToolMissing
from buildopt.pipeline.plan import PlannedStep, Selection, Work, feature_notes, plan_stage
from buildopt.profile.model import Cargo, CargoProfile, Profile, Stage

ROOT = Path("/ws")
COMPONENTS = Components("0.1.95", "1.8.0", "0.9.143")


def package(name: str, *features: str, doctest: bool = True) -> Package:
    lib = Target(name, ("lib",), f"{name}/src/lib.rs", doctest, True)
    return Package(name, name, "0.1.0", ROOT / name / "Cargo.toml", True, dict.fromkeys(features, ()), (), (lib,))


API, CORE = package("api", "gpu"), package("core", "gpu", "development", doctest=False)
WORKSPACE = Workspace(ROOT, ROOT / "target", (API, CORE), {}, 0, True)
WHOLE = Selection((API, CORE), whole=True, why="all 2 packages")
ONE = Selection((CORE,), whole=False, why="1 of 2 packages: core (edited)")


def work(*run: str, **changes: object) -> Work:
    return Work("stage", run, "default", None, False, None, None)._replace(**changes)


def lines(
    planned_work: Work,
    selection: Selection = WHOLE,
    components: Components = COMPONENTS,
    profile: Profile | None = None,
) -> list[str]:
    planned = plan_stage(planned_work, selection, WORKSPACE, components, cargo="cargo", profile=profile)
    own = {"-v", "--timings", "--message-format=json-render-diagnostics"}
    return [
        " ".join(word for word in invocation.argv if word not in own)
        for step in planned.steps
        for invocation in step.invocations
    ]


def test_check_before_clippy_is_done_once_and_says_so():
    planned = plan_stage(work("check", "clippy"), WHOLE, WORKSPACE, COMPONENTS, cargo="cargo", profile=None)
    assert planned.steps[0].invocations == ()
    assert "clippy" in str(planned.steps[0].skipped)
    assert lines(work("check", "clippy")) == ["cargo clippy --workspace"]


def test_check_after_clippy_is_kept():
    assert lines(work("clippy", "check")) == ["cargo clippy --workspace", "cargo check --workspace"]


def with_targets(*more: Target) -> Selection:
    return Selection((API._replace(targets=(*API.targets, *more)),), whole=True, why="")


def test_what_the_tests_compile_is_not_built_before():
    planned = plan_stage(work("build", "test"), with_targets(), WORKSPACE, COMPONENTS, cargo="cargo", profile=None)
    assert planned.steps[0] == PlannedStep("build", (), "covered by test, which compiles these libraries")
    assert [call.argv[1] for call in planned.steps[1].invocations] == ["test", "nextest", "test"]


@pytest.mark.parametrize("kind", ["bin", "cdylib", "staticlib"])
def test_what_no_test_links_is_built(kind: str):
    selection = with_targets(Target("other", (kind,), "api/src/other.rs", False, True))
    assert lines(work("build", "test"), selection)[0] == "cargo build --workspace"


def test_a_library_that_no_test_links_is_built():
    untested = Target("t", ("test",), "core/tests/t.rs", False, False)
    gated = Target("t", ("test",), "core/tests/t.rs", False, True, ("gpu",))
    integration = Target("t", ("test",), "core/tests/t.rs", False, True)
    assert lines(work("build", "test"), ONE)[0] == "cargo build --package core@0.1.0"
    for target, first in ((untested, "build"), (gated, "build"), (integration, "test")):
        core = CORE._replace(targets=(*CORE.targets, target))
        assert lines(work("build", "test"), Selection((core,), whole=True, why=""))[0].split()[1] == first


def test_a_build_alone_or_after_the_tests_or_of_all_targets_is_done():
    alone, after, all_targets = work("build"), work("test", "build"), work("build", "test", all_targets=True)
    for each in (alone, after, all_targets):
        assert any(line.startswith("cargo build") for line in lines(each, with_targets()))


def test_doc_tests_can_be_left_to_another_stage():
    kept = work("test", doc_tests=False)
    assert lines(kept) == [
        "cargo test --no-run --tests --workspace",
        "cargo nextest run --tests --workspace --no-tests=pass",
    ]
    assert lines(kept, components=COMPONENTS._replace(nextest=None)) == [
        "cargo test --no-run --tests --workspace",
        "cargo test --tests --workspace",
    ]


def test_a_stage_that_builds_or_has_examples_compiles_them_without_doc_tests_too():
    whole = ["cargo test --no-run --workspace", "cargo nextest run --workspace --no-tests=pass"]
    integration = Target("t", ("test",), "core/tests/t.rs", False, True)
    tested = Selection((CORE._replace(targets=(*CORE.targets, integration)),), whole=True, why="")
    assert lines(work("build", "test", doc_tests=False), tested) == whole
    example = Target("e", ("example",), "core/examples/e.rs", False, False)
    shown = Selection((CORE._replace(targets=(*CORE.targets, example)),), whole=True, why="")
    assert lines(work("test", doc_tests=False), shown) == whole


def test_a_stage_becomes_what_it_asks_for():
    stage = Stage(
        run=("build", "test"), features="all", cargo_profile="fast", all_targets=True, budget=3.0, doc_tests=False
    )
    assert Work.of("core", stage, 5.0) == Work(
        "core", ("build", "test"), "all", "fast", True, 5.0, 3.0, doc_tests=False
    )


def test_affected_packages_are_named_with_their_versions():
    assert lines(work("check"), ONE) == ["cargo check --package core@0.1.0"]


def test_cargo_fmt_is_given_names_which_is_all_that_it_knows():
    assert lines(work("fmt"), ONE) == ["cargo fmt --package core --check"]
    assert lines(work("fmt")) == ["cargo fmt --all --check"]


def test_a_package_is_named_so_that_no_published_one_can_be_meant():
    here = CORE._replace(id="path+file:///ws/core#0.1.0")
    assert here.spec == "path+file:///ws/core#0.1.0"
    assert CORE._replace(id="core 0.1.0 (path+file:///ws/core)").spec == "core@0.1.0"


def test_features_go_to_the_packages_that_have_them():
    assert lines(work("check", features=("development",))) == ["cargo check --workspace --features core/development"]
    assert lines(work("check", features=("gpu", "development")), ONE) == [
        "cargo check --package core@0.1.0 --features core/gpu,core/development"
    ]
    assert lines(work("check", features=("core/gpu",)), ONE) == ["cargo check --package core@0.1.0 --features core/gpu"]
    assert lines(work("check", features=("another/gpu",)), ONE) == ["cargo check --package core@0.1.0"]
    assert lines(work("check", features="all")) == ["cargo check --workspace --all-features"]
    assert lines(work("check", features="none")) == ["cargo check --workspace --no-default-features"]


def test_tests_are_built_first_then_run_by_nextest_and_doctests_by_cargo():
    assert lines(work("test", cargo_profile="dev-fast")) == [
        "cargo test --no-run --workspace --profile dev-fast",
        "cargo nextest run --workspace --cargo-profile dev-fast --no-tests=pass",
        "cargo test --doc --package api@0.1.0 --profile dev-fast",
    ]


def test_without_nextest_cargo_runs_all_tests():
    components = COMPONENTS._replace(nextest=None)
    assert lines(work("test", test_filter="parse"), ONE, components) == [
        "cargo test --no-run --package core@0.1.0",
        "cargo test --package core@0.1.0 -- parse",
    ]


def test_a_test_filter_that_looks_like_an_option_stays_a_filter():
    for line in lines(work("test", test_filter="--no-capture"))[1:]:
        assert line.endswith("-- --no-capture")


def test_a_missing_component_is_refused_before_anything_runs():
    with pytest.raises(ToolMissing) as caught:
        lines(work("check", "clippy"), components=COMPONENTS._replace(clippy=None))
    assert caught.value.hint == "rustup component add clippy"


def test_a_cargo_profile_that_no_sync_has_written_is_passed_along():
    fast = CargoProfile(inherits="quick", debug="line-tables-only", package={"*": CargoProfile(opt_level=1)})
    quick = CargoProfile(inherits="dev", incremental=True)
    profile = Profile(version=1, cargo=Cargo(profile={"fast": fast, "quick": quick, "other": CargoProfile()}))
    (line,) = lines(work("check", cargo_profile="fast"), ONE, profile=profile)
    assert line == (
        "cargo check --package core@0.1.0 --profile fast"
        ' --config profile.fast.inherits="quick" --config profile.fast.debug="line-tables-only"'
        ' --config profile.fast.package."*".opt-level=1'
        ' --config profile.quick.inherits="dev" --config profile.quick.incremental=true'
    )


def test_a_feature_that_no_package_has_is_said():
    profile = Profile(version=1, features={"core": {"fast": ()}})
    notes = feature_notes(work("check", features=("gpu", "fast", "nope")), WORKSPACE, profile)
    assert notes == (
        "stage: no package has the feature 'fast': run sync first",
        "stage: no package has the feature 'nope': it is left out",
    )
