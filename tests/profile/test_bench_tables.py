from __future__ import annotations

import pytest
from profile_texts import lines_of, load_text

from buildopt.profile.bench_tables import ACTIONS, TASKS


def test_what_is_measured_tuned_and_held_is_read() -> None:
    profile = load_text(
        """
        version = 1
        [bench]
        scenarios = ["clean/build", "leaf/cycle"]
        leaf = "tally-store"
        pairs = 12
        smallest-effect = 5
        revision = "main~1"
        [tune]
        cargo-profile = "dev-fast"
        weights = { "clean/build" = 1, "leaf/build" = 9 }
        may-change = ["debug", "package.*.debug", "build-override.opt-level"]
        candidates = ["codegen-units=16", 'split-debuginfo="unpacked"']
        budget = "20m"
        [budgets]
        scenarios = { "leaf/check" = "2s" }
        target-size = "2GiB"
        artifacts = { "wasm32-unknown-unknown/release/*.wasm" = "2MiB" }
        crates = 200
        critical = 150
        """
    ).profile
    assert profile.bench.scenarios == ("clean/build", "leaf/cycle")
    assert (profile.bench.leaf, profile.bench.pairs, profile.bench.smallest_effect) == ("tally-store", 12, 5)
    assert profile.tune.weights == {"clean/build": 1, "leaf/build": 9}
    assert profile.tune.budget == 1200
    assert profile.budgets.scenarios == {"leaf/check": 2}
    assert profile.budgets.target_size == 2 * 1024**3
    assert profile.budgets.artifacts == {"wasm32-unknown-unknown/release/*.wasm": 2 * 1024**2}
    assert (profile.budgets.crates, profile.budgets.critical) == (200, 150)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[bench]\nscenarios = ["clean/bild"]', ["bench.scenarios", "clean/bild", 'did you mean "clean/build"?']),
        ('[bench]\nleaf = "../up"', ["bench.leaf", "is no package"]),
        ('[bench]\nrevision = "--upload-pack=x"', ["bench.revision", "is no branch or revision"]),
        ("[bench]\npairs = 4", ["bench.pairs", "a whole number from 5 to 500"]),
        ('[tune.weights]\n"leaf/biuld" = 1', ["tune.weights", "leaf/biuld", "did you mean"]),
        ('[tune]\nmay-change = ["Debug level"]', ["tune.may-change", "is no key of a Cargo profile"]),
        ("[tune]\ncandidates = ['debug=0\"; evil']", ["tune.candidates", "is no setting"]),
        ('[budgets.scenarios]\nclean = "1s"', ["budgets.scenarios", "no such scenario"]),
        ('[budgets.artifacts]\n"../x.wasm" = "1MiB"', ["budgets.artifacts", "no path inside the target directory"]),
        ("[budgets]\ncritical = 99", ["budgets.critical", "a whole number from 100 to 10000"]),
    ],
)
def test_a_wrong_value_is_named_with_what_would_be_right(text: str, told: list[str]) -> None:
    (line,) = lines_of(f"version = 1\n{text}\n")
    for part in told:
        assert part in line


def test_every_action_and_task_makes_a_scenario_that_the_profile_takes() -> None:
    names = ", ".join(f'"{action}/{task}"' for action in ACTIONS for task in TASKS)
    profile = load_text(f"version = 1\n[bench]\nscenarios = [{names}]\n").profile
    assert len(profile.bench.scenarios) == len(ACTIONS) * len(TASKS)
