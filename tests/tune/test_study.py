"""A whole tuning, in a world where the truth is known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from world import World, arm_of

from buildopt.bench.scenarios import parse_scenario
from buildopt.errors import AnswerIsNo, ArgumentError
from buildopt.host import Host
from buildopt.record import ExperimentRow, Record
from buildopt.tune.candidates import Candidate
from buildopt.tune.question import Question
from buildopt.tune.study import Result, Study

WEIGHTS = {"clean/build": 1.0, "leaf/build": 2.0, "hub/build": 1.0}
TEN = tuple(
    Candidate((pair,))
    for pair in [
        ("debug", "line-tables-only"), ("debug", 0), ("package.*.debug", 0), ("split-debuginfo", "unpacked"), ("strip", "debuginfo"),
        ("overflow-checks", False), ("debug-assertions", False), ("codegen-units", 16), ("linker", "mold"), ("jobs", 3),
    ]
)  # fmt: skip
TRUTH = {
    'debug="line-tables-only"': 0.88,
    "debug=0": 0.80,
    "package.*.debug=0": 0.95,
    'split-debuginfo="unpacked"': 1.04,
    "codegen-units=16": 1.12,
    "overflow-checks=false": 0.93,
}
APART = (Candidate((("incremental", False),), apart=True), Candidate((("build-override.opt-level", 1),), apart=True))


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    with Record.open(Host(), tmp_path / ".buildopt") as record:
        begun(record, "e1")
        yield record


def begun(record: Record, name: str) -> str:
    assert record.begin_experiment(ExperimentRow(name, "tune", name, 1.0, "linux-2c", "1.95.0", "1.95.0", "p"))
    return name


def tuned(world: World, record: Record, *candidates: Candidate, **changed: Any) -> Result:
    announced: list[float] = []
    question = Question(
        today=changed.pop("today", {}), candidates=candidates or TEN, weights=WEIGHTS,
        scenarios=tuple(map(parse_scenario, WEIGHTS)), budget_seconds=changed.pop("budget", 3600.0), smallest_effect=0.03,
        seed=7, arm_of=arm_of,
    )  # fmt: skip
    experiment = changed.pop("experiment", "e1")
    result = Study(world, record, experiment, question, lambda _: None).run(lambda *told: announced.append(told[2]))
    assert announced == [result.announced_seconds], "the time is said once, before the rest is done"
    return result


def names(result: Result) -> set[str]:
    return {each.name for each in result.chosen}


@pytest.mark.parametrize("seed", range(4))
def test_what_helps_is_found_and_confirmed_and_nothing_else(record: Record, seed: int) -> None:
    result = tuned(World(TRUTH, seed=seed), record)
    assert result.why_not is None
    assert {"debug=0", "package.*.debug=0", "overflow-checks=false"} <= names(result)
    assert not names(result) & {'split-debuginfo="unpacked"', "codegen-units=16", 'debug="line-tables-only"'}
    assert result.weighted is not None
    assert result.weighted.ratio == pytest.approx(0.80 * 0.95 * 0.93, abs=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_neighbours_of_the_machine_hide_nothing_where_its_speed_is_known(record: Record, seed: int) -> None:
    world = World(TRUTH, seed=seed)
    world.slowed = 0.3
    result = tuned(world, record)
    assert result.why_not is None
    assert result.plan.resolves(result.costs.noise) < 0.1
    assert {"debug=0", "package.*.debug=0", "overflow-checks=false"} <= names(result)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("budget", [900.0, 1200.0, 3600.0])
def test_it_ends_within_a_fifth_of_the_time_that_it_announced(record: Record, seed: int, budget: float) -> None:
    result = tuned(World(TRUTH, seed=seed, noise=0.05), record, *TEN, *APART, budget=budget)
    assert result.announced_seconds <= budget
    assert result.spent_seconds <= 1.2 * result.announced_seconds


@pytest.mark.parametrize(
    ("noise", "budget", "way_out"),
    [
        (0.02, 60.0, r"--budget \d+m would do; it goes on with the 3 builds that are timed"),
        (3.0, 36000.0, "no budget would do: end what else is running here, then tune with --fresh"),
    ],
)
def test_a_budget_that_tells_nothing_apart_is_refused_with_a_way_out(
    record: Record, noise: float, budget: float, way_out: str
) -> None:
    with pytest.raises(ArgumentError, match="cannot tell settings apart") as refused:
        tuned(World({}, noise=noise), record, TEN[1], budget=budget)
    assert re.fullmatch(way_out, refused.value.hint or "")


@pytest.mark.parametrize("times", [1.3, 2.5])
def test_a_machine_that_gets_slower_makes_it_do_less_not_take_longer(record: Record, times: float) -> None:
    world = World(TRUTH)
    sample = world.sample

    def slowing(arm: Any, scenario: Any) -> Any:
        world.slower = 1.0 if world.samples < 40 else times
        return sample(arm, scenario)

    world.sample = slowing  # type: ignore[method-assign]
    result = tuned(world, record)
    assert result.spent_seconds <= 1.2 * result.announced_seconds
    assert bool(result.changes) == (times > 1.5), "it says what it left out"


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_adopted_where_nothing_helps(record: Record, seed: int) -> None:
    result = tuned(World({}, seed=seed, noise=0.04), record)
    assert not result.chosen or result.why_not is not None


def test_a_setting_that_gains_here_and_loses_there_is_not_taken(record: Record) -> None:
    truth = {"debug=0": {"clean/build": 0.5, "leaf/build": 1.3, "hub/build": 1.0}}
    result = tuned(World(truth), record)
    assert "debug=0" not in names(result)


@pytest.mark.parametrize("seed", range(3))
def test_a_setting_that_gains_in_one_scenario_and_costs_nothing_elsewhere_is_taken(record: Record, seed: int) -> None:
    result = tuned(World({"debug=0": {"clean/build": 0.90}}, seed=seed), record)
    assert result.why_not is None
    assert "debug=0" in names(result)


@pytest.mark.parametrize("seed", range(6))
def test_a_level_replaces_another_only_after_pairs_of_the_two(record: Record, seed: int) -> None:
    """One row is lucky now and then: the weaker level seemed better by it, and was adopted."""
    mild, strong = Candidate((("debug", "line-tables-only"),)), Candidate((("debug", 0),))
    effects = {'debug="line-tables-only"': 0.88, "debug=0": 0.85}
    result = tuned(World(effects, seed=seed, noise=0.04), record, mild, strong, *TEN[2:])
    assert strong in result.chosen
    assert mild not in result.chosen


def test_what_few_pairs_leave_open_is_left_to_the_confirmation(record: Record) -> None:
    """On a noisy machine five pairs of a gain of 12 % decided nothing, and a third of the announced time stayed unused."""
    effects = {"debug=0": {"clean/build": 0.88, "leaf/build": 0.93}}
    found = []
    for seed in range(10, 24):
        name = begun(record, f"seed {seed}")
        result = tuned(World(effects, seed=seed, noise=0.06), record, TEN[1], budget=1500.0, experiment=name)
        found.append(result.why_not is None and names(result) == {"debug=0"})
    assert sum(found) >= 7


@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_one_unlucky_build_does_not_end_a_tuning(record: Record, seed: int) -> None:
    """It seemed to gain nothing, and eight minutes that had been announced were given up after one."""
    world = World({"debug=0": 0.85}, noise=0.06, seed=seed)
    seconds = world._seconds

    def unlucky(arm: Any, scenario: str) -> float:
        first_row = len(record.measurements("e1")) < 3 * 7 + 1 + 7
        return seconds(arm, scenario) * (1.18 if first_row and "debug=0" in arm.config else 1.0)

    world._seconds = unlucky  # type: ignore[method-assign]
    result = tuned(world, record, TEN[1], budget=1500.0)
    assert names(result) == {"debug=0"}
    assert result.why_not is None


def test_a_confirmation_takes_the_time_that_is_left_until_it_is_decided(record: Record) -> None:
    undecided = {"debug=0": {"clean/build": 0.8, "leaf/build": 0.96, "hub/build": 0.96}}
    result = tuned(World(undecided, noise=0.05), record, budget=2400.0)
    own = [each for each in result.whole if each.decides]
    assert all(each.verdict != "unresolved" or each.pairs > result.plan.pairs for each in own)
    assert result.spent_seconds <= 1.2 * result.announced_seconds


def test_what_is_far_slower_apart_costs_one_row_only(record: Record) -> None:
    world = World(
        {**TRUTH, "incremental=false": {"leaf/build": 3.2, "hub/build": 2.9}, "build-override.opt-level=1": 2.2}
    )
    result = tuned(world, record, *TEN, *APART)
    outcomes = {each.candidate.name: (each.outcome, each.builds) for each in result.judged}
    assert outcomes["incremental=false"] == ("hurts", 1)
    assert outcomes["build-override.opt-level=1"] == ("hurts", 1)
    assert not result.settled.keys() & set(APART)


def test_what_helps_apart_is_settled_by_pairs_before_it_is_taken(record: Record) -> None:
    world = World({**TRUTH, "build-override.opt-level=1": {"leaf/build": 0.6, "hub/build": 0.6, "clean/build": 0.95}})
    result = tuned(world, record, *TEN, *APART)
    assert APART[1] in result.settled
    assert "build-override.opt-level=1" in names(result)


def test_a_setting_that_does_not_build_is_named_and_the_others_go_on(record: Record) -> None:
    world = World(TRUTH)
    world.broken = {'linker="mold"'}
    result = tuned(world, record)
    outcomes = {each.candidate.name: each.outcome for each in result.judged}
    assert outcomes['linker="mold"'] == "fails"
    assert "debug=0" in names(result)
    assert 'linker="mold"' not in names(result)


def test_a_call_that_was_cut_short_is_gone_on_with(record: Record) -> None:
    world = World(TRUTH)
    world.dies_after = 60
    with pytest.raises(KeyboardInterrupt):
        tuned(world, record)
    first = world.samples
    again = World(TRUTH, seed=2)
    result = tuned(again, record)
    assert "debug=0" in names(result)
    assert first == 61
    assert len(record.measurements("e1")) == 60 + again.samples, "nothing that was measured is measured again"
    assert again.samples < rows_of(result) - 59 + 2 * 3 * 8 * (1 + len(result.chosen) + len(result.settled))


def test_a_call_that_goes_on_knows_what_rows_took_beside_their_samples(record: Record) -> None:
    """Without that it announced rows at half of what they took, and ran out of time before any pair."""

    def preparing() -> World:
        world = World(TRUTH)
        prepare = world.prepare

        def slowly(arm: Any, scenario: Any) -> float:
            world.host.time += 10.0
            return prepare(arm, scenario)

        world.prepare = slowly  # type: ignore[method-assign]
        return world

    whole = tuned(preparing(), record)
    begun(record, "e2")
    world = preparing()
    world.dies_after = 60
    with pytest.raises(KeyboardInterrupt):
        tuned(world, record, experiment="e2")
    again = tuned(preparing(), record, experiment="e2")
    assert whole.costs.beside_seconds > 10
    assert again.costs.beside_seconds == pytest.approx(whole.costs.beside_seconds, rel=0.2)


def test_without_time_to_settle_the_most_promising_goes_to_the_confirmation(record: Record) -> None:
    world = World({"debug=0": 0.85, "jobs=3": 0.99}, noise=0.03)
    sample = world.sample

    def slowing(arm: Any, scenario: Any) -> Any:
        world.slower = 8.0 if 24 <= world.samples < 38 else 1.0
        return sample(arm, scenario)

    world.sample = slowing  # type: ignore[method-assign]
    result = tuned(world, record, TEN[1], Candidate((("jobs", 3),)), budget=1200.0)
    assert any("was not settled by pairs" in text for text in result.changes)
    assert names(result) == {"debug=0"}
    assert result.spent_seconds <= 1.2 * result.announced_seconds


def rows_of(result: Result) -> int:
    return (3 + result.plan.rows + len(result.plan.apart)) * (1 + 2 * result.plan.edits)


def test_one_target_directory_at_a_time_is_kept_while_screening(record: Record) -> None:
    world = World(TRUTH)
    tuned(world, record)
    assert world.most_built <= 6, "the baseline, and the arms that are compared with it at once"
    assert len(world.built) <= 2


def test_a_budget_that_resolves_nothing_is_refused_with_one_that_would(record: Record) -> None:
    with pytest.raises(ArgumentError) as caught:
        tuned(World(TRUTH), record, budget=120.0)
    assert caught.value.hint is not None
    minutes = int(caught.value.hint.split()[1].removesuffix("m"))
    tuned(World(TRUTH), record, budget=minutes * 60.0)


def test_a_workspace_that_does_not_build_is_said_so(record: Record) -> None:
    world = World(TRUTH)
    world.broken = {"jobs=9"}
    with pytest.raises(AnswerIsNo, match="does not build with today's settings"):
        tuned(world, record, today={"jobs": 9})


def test_what_changes_how_much_is_done_at_once_needs_pairs_of_wall_time(record: Record) -> None:
    result = tuned(World({**TRUTH, 'linker="mold"': 0.85}), record)
    linker = Candidate((("linker", "mold"),))
    assert {each.metric for each in result.settled[linker] if each.decides} == {"wall"}
    assert 'linker="mold"' in names(result)


def test_a_confirmation_without_time_is_unfinished_and_the_next_call_ends_it(record: Record) -> None:
    world = World(TRUTH)
    sample = world.sample

    def stalling(arm: Any, scenario: Any) -> Any:
        world.slower = 1000.0 if arm.name.startswith("all: ") else 1.0
        return sample(arm, scenario)

    world.sample = stalling  # type: ignore[method-assign]
    result = tuned(world, record)
    assert result.unfinished
    assert result.why_not is not None
    again = tuned(World(TRUTH), record)
    assert not again.unfinished
    assert again.why_not is None


def test_a_confirmation_that_is_not_decided_is_gone_on_with_and_nothing_is_built_twice(record: Record) -> None:
    """Its pairs were thrown away, and on a noisy machine every call ended where the one before it had ended."""
    first, all_calls = 0, 0
    for seed in range(8):
        name = begun(record, f"seed {seed}")
        pairs, result = 0, None
        for call in range(4):
            before = len(record.measurements(name))
            world = World({"debug=0": 0.92}, seed=seed * 10 + call, noise=0.10)
            result = tuned(world, record, TEN[1], budget=1500.0, experiment=name)
            assert result.spent_seconds <= 1.2 * result.announced_seconds <= 1.2 * 1500.0
            assert {each.part.split(",")[0] for each in record.measurements(name)[before:]}.isdisjoint(
                {"tests", "first row 1"} if call else ()
            )
            known, pairs = pairs, min((each.pairs for each in result.whole if each.decides), default=0)
            assert pairs >= known
            first += call == 0 and result.why_not is None and names(result) == {"debug=0"}
            if not result.unfinished:
                break
            assert result.why_not is not None
            assert "the same call goes on" in result.why_not
        assert result is not None
        assert not result.unfinished, "four calls are enough for forty pairs"
        all_calls += result.why_not is None and names(result) == {"debug=0"}
    assert all_calls > first


def test_a_setting_that_spoils_the_whole_is_left_out_and_the_rest_confirmed(record: Record) -> None:
    world = World({"debug=0": 0.8, "overflow-checks=false": 0.93})
    seconds = world._seconds

    def together(arm: Any, scenario: str) -> float:
        both = {"debug=0", "overflow-checks=false"} <= set(arm.config)
        return seconds(arm, scenario) * (
            2.0 if both and arm.name.startswith("all: ") and scenario == "leaf/build" else 1.0
        )

    world._seconds = together  # type: ignore[method-assign]
    result = tuned(world, record)
    assert names(result) == {"debug=0"}
    assert result.why_not is None
    assert any("overflow-checks=false is left out" in text for text in result.changes)
