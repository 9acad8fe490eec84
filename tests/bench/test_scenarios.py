from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from buildopt.bench.scenarios import Action, Scenario, Task, choose_targets, parse_scenario, source_of
from buildopt.cargo.model import Package, Target, Workspace
from buildopt.errors import ArgumentError, ProfileError
from buildopt.profile.bench_tables import ACTIONS, TASKS, Bench

ROOT = Path("/ws")


def package(name: str, *kinds: str) -> Package:
    targets = tuple(
        Target(name, (kind,), f"/ws/{name}/src/{'main' if kind == 'bin' else 'lib'}.rs", True, True) for kind in kinds
    )
    return Package(name, name, "0.1.0", ROOT / name / "Cargo.toml", True, {}, (), targets)


def workspace(packages: list[Package], needs: dict[str, tuple[str, ...]], *, dev: tuple[str, ...] = ()) -> Workspace:
    edges = {
        above: tuple((below, ("dev",) if above in dev else ("normal",)) for below in belows)
        for above, belows in needs.items()
    }
    return Workspace(ROOT, ROOT / "target", tuple(packages), edges, 0, True)


LAYERS = workspace(
    [package("app", "bin"), package("api", "lib"), package("base", "lib"), package("tool", "lib", "bin")],
    {"app": ("api",), "api": ("base",), "tool": ("base",)},
)


def test_the_profile_and_the_scenarios_name_the_same_actions_and_tasks() -> None:
    assert get_args(Action) == ACTIONS
    assert get_args(Task) == TASKS


def test_a_scenario_is_read_and_named_alike() -> None:
    assert parse_scenario("hub/test-no-run") == Scenario("hub", "test-no-run")
    assert parse_scenario("hub/test-no-run").name == "hub/test-no-run"


def test_an_unknown_scenario_says_the_nearest() -> None:
    with pytest.raises(ArgumentError) as found:
        parse_scenario("leaf/biuld")
    assert found.value.hint == 'did you mean "leaf/build"?'


def test_the_leaf_is_needed_by_the_fewest_and_the_hub_by_the_most() -> None:
    targets = choose_targets(LAYERS, Bench())
    assert (targets.leaf.name, targets.hub.name) == ("tool", "base")
    assert targets.binary is not None
    assert targets.binary.name == "app"


def test_what_only_tests_need_counts_for_nothing() -> None:
    found = workspace(
        [package("a", "lib"), package("b", "lib"), package("c", "lib")], {"a": ("b",), "b": ("c",)}, dev=("a",)
    )
    assert choose_targets(found, Bench()).hub.name == "c"
    assert choose_targets(found, Bench()).leaf.name == "a"


def test_a_circle_of_dev_dependencies_is_no_circle() -> None:
    found = workspace([package("a", "lib"), package("b", "lib")], {"a": ("b",), "b": ("a",)}, dev=("b",))
    assert choose_targets(found, Bench()).hub.name == "b"


def test_without_a_library_a_binary_is_edited() -> None:
    found = workspace([package("one", "bin")], {})
    assert choose_targets(found, Bench()).leaf.name == "one"
    assert source_of(choose_targets(found, Bench()).leaf, binary=False).name == "main.rs"


def test_a_procedural_macro_is_no_hub_while_there_is_a_library() -> None:
    macro, library = package("derive", "proc-macro"), package("core", "lib")
    assert choose_targets(workspace([macro, library], {"core": ("derive",)}), Bench()).hub.name == "core"
    assert choose_targets(workspace([macro], {}), Bench()).hub.name == "derive"


def test_a_package_with_both_is_edited_where_it_is_asked_for() -> None:
    tool = choose_targets(LAYERS, Bench()).leaf
    assert source_of(tool, binary=True).name == "main.rs"
    assert source_of(tool, binary=False).name == "lib.rs"


def test_the_profile_names_the_packages() -> None:
    targets = choose_targets(LAYERS, Bench(leaf="base", hub="api", binary="tool"))
    assert [package.name for package in targets if package is not None] == ["base", "api", "tool"]


@pytest.mark.parametrize(
    ("bench", "key"), [(Bench(leaf="bsae"), "bench.leaf"), (Bench(hub="nope"), "bench.hub"), (Bench(binary="api"), "bench.binary")]
)  # fmt: skip
def test_a_name_that_cannot_be_edited_is_refused_with_its_key(bench: Bench, key: str) -> None:
    with pytest.raises(ProfileError) as found:
        choose_targets(LAYERS, bench)
    (problem,) = found.value.problems
    assert problem.key == key
    assert problem.hint
