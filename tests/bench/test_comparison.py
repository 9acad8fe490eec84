"""Comparisons: in blocks that share drift, until decided, with what disturbed them repeated, and gone on with."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_lab import FakeLab
from hypothesis import given, settings
from hypothesis import strategies as st

from buildopt.bench.alone import measure_alone
from buildopt.bench.arms import Arm
from buildopt.bench.comparison import Comparison, compare, conclude, guards
from buildopt.bench.progress import Progress
from buildopt.bench.sampling import Sampler
from buildopt.bench.scenarios import Scenario
from buildopt.bench.series import Place, Series, order_of_block, parse_place
from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.record import ExperimentRow, MeasurementRow, Record

LEAF, HUB = Scenario("leaf", "build"), Scenario("hub", "build")
DEFAULT, SMALLER, SAME = Arm("default"), Arm("debug=0", ("profile.dev.debug=0",)), Arm("same", ("profile.dev.debug=2",))
SECONDS = {"default": 10.0, "debug=0": 7.0, "same": 10.0}


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    with Record.open(Host(), tmp_path / ".buildopt") as record:
        assert record.begin_experiment(ExperimentRow("e1", "bench", "key", 1.0, "linux-2c", "1.95.0", "1.95.0", "p"))
        yield record


def run(lab: FakeLab, record: Record, *candidates: Arm, **changed: Any) -> tuple[Comparison, ...]:
    asked = {"scenarios": (LEAF,), "most_pairs": 20, "deadline": None, "tell": lambda _progress: None, **changed}
    scenarios = asked.pop("scenarios")
    return compare(lab, record, "e1", DEFAULT, candidates or (SMALLER,), scenarios, **asked)


def deciding(found: tuple[Comparison, ...]) -> list[Comparison]:
    return [comparison for comparison in found if comparison.decides]


def test_a_difference_is_found_and_measuring_stops_there(record: Record) -> None:
    lab = FakeLab(SECONDS)
    (found,) = deciding(run(lab, record))
    assert (found.scenario, found.metric, found.baseline, found.candidate) == (
        "leaf/build",
        "cpu",
        "default",
        "debug=0",
    )
    assert found.verdict == "faster"
    assert found.ratio == pytest.approx(0.7, abs=0.02)
    assert found.interval[0] <= found.ratio <= found.interval[1] < 1
    assert found.pairs < 20, "it stops as soon as it is decided"
    assert found.aa_ratio == pytest.approx(1.0, abs=0.05)
    assert found.baseline_seconds == pytest.approx(10, abs=0.3)
    assert lab.samples() == 2 * found.pairs == len(record.measurements("e1"))
    assert lab.calls[-1] == ("forget", "debug=0", ""), "its target directory is not needed any more"


def test_what_neighbours_do_to_the_machine_is_no_noise_where_its_speed_is_known(record: Record) -> None:
    lab = FakeLab({**SECONDS, "same": 9.4}, noise=0.01)
    lab.slowed = 0.2
    by_cpu, by_wall = run(lab, record, SAME)
    assert (by_cpu.metric, by_cpu.verdict) == ("cpu", "faster")
    assert by_cpu.ratio == pytest.approx(0.94, abs=0.02)
    assert by_cpu.aa_ratio == pytest.approx(1.0, abs=0.02)
    assert by_wall.interval[1] / by_wall.interval[0] > 1.1, "nobody can say what the clock would have shown"
    rows = [row._replace(unit_seconds=None) for row in record.measurements("e1")]
    unknown = conclude(rows, DEFAULT, (SAME,), (LEAF,), most_pairs=20)[0]
    assert unknown.verdict == "unresolved"


@given(st.floats(0.1, 10), st.floats(0.001, 100), st.floats(0.001, 100))
def test_a_machine_slower_for_one_sample_changes_no_ratio(slower: float, one: float, other: float) -> None:
    def pair(factor: float, unit: float | None) -> tuple[float, float]:
        rows = (
            MeasurementRow("e", 0, "s", "a", str(Place("t", 1, 1, "A")), 0.0, "success", 1.0, one, 1, 0.0, None, True)
            ._replace(unit_seconds=unit),
            MeasurementRow("e", 1, "s", "b", str(Place("t", 1, 2, "B")), 0.0, "success", 1.0, other * factor, 1, 0.0, None, True)
            ._replace(unit_seconds=None if unit is None else unit * factor),
        )  # fmt: skip
        return Series(rows).pairs("cpu")[0]

    a, b = pair(slower, 0.001)
    assert b / a == pytest.approx(other / one)
    assert math.sqrt(a * b) == pytest.approx(math.sqrt(one * other * slower)), "they stay seconds of this machine"
    assert pair(slower, None) == pytest.approx((one, other * slower))


def test_the_same_thing_twice_is_never_called_different(record: Record) -> None:
    (found,) = deciding(run(FakeLab(SECONDS), record, SAME))
    assert found.verdict == "equal"


def test_noise_that_hides_the_answer_is_said(record: Record) -> None:
    said: list[Progress] = []
    (found,) = deciding(
        run(FakeLab({**SECONDS, "same": 10.4}, noise=0.6), record, SAME, most_pairs=6, tell=said.append)
    )
    assert (found.verdict, found.pairs) == ("unresolved", 6)
    assert found.more_pairs > 0
    assert any(line.stays and "more pair" in line.text for line in said)


def test_blocks_begin_with_either_arm_and_run_back(record: Record) -> None:
    lab = FakeLab(SECONDS, noise=0.6)
    run(lab, record, SAME)
    arms = ["A" if call[1] == "default" else "B" for call in lab.calls if call[0] == "sample"]
    blocks = {"".join(arms[start : start + 4]) for start in range(0, len(arms), 4)}
    assert blocks == {"ABBA", "BAAB"}
    orders = [order_of_block("tag", "e1", block) for block in range(200)]
    assert 60 < orders.count("ABBA") < 140


def test_candidates_take_turns_and_the_decided_ones_leave(record: Record) -> None:
    lab = FakeLab({**SECONDS, "same": 10.3}, noise=0.15)
    found = deciding(run(lab, record, SMALLER, SAME, most_pairs=12))
    by_name = {comparison.candidate: comparison for comparison in found}
    assert by_name["debug=0"].verdict == "faster"
    assert by_name["debug=0"].pairs < by_name["same"].pairs == 12
    first = [call[1] for call in lab.calls if call[0] == "sample"][:8]
    assert {*first[:4]} == {"default", "debug=0"}
    assert {*first[4:]} == {"default", "same"}


@pytest.mark.parametrize("most_pairs", [5, 6, 7])
def test_never_more_pairs_than_asked_for(record: Record, most_pairs: int) -> None:
    (found,) = deciding(run(FakeLab({**SECONDS, "same": 10.4}, noise=0.6), record, SAME, most_pairs=most_pairs))
    assert found.pairs == most_pairs


def test_what_changes_how_much_is_done_at_once_is_decided_by_wall_time(record: Record) -> None:
    mold = SMALLER._replace(changes_parallelism=True)
    found = run(FakeLab(SECONDS), record, mold)
    assert [(comparison.metric, comparison.decides) for comparison in found] == [("wall", True), ("cpu", False)]
    both = conclude((), DEFAULT._replace(changes_parallelism=True), (mold,), (LEAF,), most_pairs=5)
    assert both[0].metric == "cpu", "what both have makes no difference"
    config = ("profile.dev.debug=0", "profile.dev.codegen-units=16")
    one = conclude((), mold, (mold._replace(config=config),), (LEAF,), most_pairs=5)
    assert one[0].metric == "wall"


def test_work_of_a_server_is_not_in_cpu_time_so_wall_time_decides(record: Record) -> None:
    lab = FakeLab(SECONDS)
    lab.script = [{"cpu_complete": False}]
    (found,) = deciding(run(lab, record))
    assert found.metric == "wall"


def test_a_disturbed_sample_is_measured_again_and_does_not_count(record: Record) -> None:
    lab = FakeLab(SECONDS)
    slow = {"wall_seconds": 40.0, "cpu_seconds": 40.0, "lock_wait": True}
    lab.script = [{}, slow, {}, slow]
    (found,) = deciding(run(lab, record))
    assert (found.polluted, found.polluted_kept) == (2, 0)
    assert lab.samples() == 2 * found.pairs + 2
    assert max(found.baseline_seconds, found.candidate_seconds) < 11
    rows = record.measurements("e1")
    assert [row.polluted for row in rows].count("waited for a lock") == 2, "the record keeps them, marked"


def test_on_a_machine_that_is_always_loaded_it_costs_no_more_than_twice(record: Record) -> None:
    lab = FakeLab(SECONDS)
    lab.external = 0.7
    (found,) = deciding(run(lab, record))
    assert found.verdict == "faster", "CPU time decides all the same"
    assert found.polluted_kept == 2 * found.pairs
    assert lab.samples() <= 2 * 2 * found.pairs
    assert found.polluted == 4, "after a block without a clean sample it no longer tries"


def test_an_arm_that_does_not_build_says_so_and_the_others_go_on(record: Record) -> None:
    lab = FakeLab(SECONDS)
    lab.broken = {"debug=0"}
    failed, fine = deciding(run(lab, record, SMALLER, SAME))
    assert failed.failure == "debug=0 does not build: error[E0432]"
    assert math.isnan(failed.ratio)
    assert (fine.verdict, fine.failure) == ("equal", None)
    assert ("forget", "debug=0", "") in lab.calls


def test_a_baseline_that_does_not_build_leaves_nothing_to_compare(record: Record) -> None:
    lab = FakeLab(SECONDS)
    lab.broken = {"default"}
    found = deciding(run(lab, record, SMALLER, SAME))
    assert [comparison.failure for comparison in found] == ["the baseline: default does not build: error[E0432]"] * 2
    assert lab.samples() == 0


def test_a_flaky_test_is_run_once_more(record: Record) -> None:
    lab = FakeLab(SECONDS)
    lab.script = [{"result": "failure"}]
    (found,) = deciding(run(lab, record))
    assert (found.verdict, found.polluted, found.failure) == ("faster", 1, None)


def test_tests_that_fail_twice_are_a_failure_of_the_arm(record: Record) -> None:
    lab = FakeLab(SECONDS)
    lab.script = [{}, {"result": "failure"}, {"result": "failure"}]
    (found,) = deciding(run(lab, record))
    assert found.failure is not None
    assert found.failure.endswith("the build or its tests failed, twice in a row")


def test_a_full_disk_ends_it_and_keeps_what_was_measured(record: Record) -> None:
    lab = FakeLab(SECONDS)
    lab.script = [{}, {}, {}, MachineRefused("no space left")]
    with pytest.raises(MachineRefused):
        run(lab, record)
    assert len(record.measurements("e1")) == 3


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 14), max_size=4), data=st.data())
def test_cut_short_anywhere_it_goes_on_and_comes_to_the_same_end(
    cuts: list[int], data: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Record.open(Host(), tmp_path_factory.mktemp("state")) as record:
        record.begin_experiment(ExperimentRow("e1", "bench", "key", 1.0, "linux-2c", "1.95.0", "1.95.0", "p"))
        for cut in cuts:
            lab = FakeLab(SECONDS, seed=cut)
            lab.script = [*({} for _ in range(cut)), KeyboardInterrupt()]
            try:
                run(lab, record, most_pairs=8)
            except KeyboardInterrupt:
                assert lab.samples() == cut + 1
        lab = FakeLab(SECONDS)
        (found,) = deciding(run(lab, record, most_pairs=8))
        assert found.verdict == "faster"
        rows = record.measurements("e1")
        assert [row.position for row in rows] == list(range(len(rows)))
        assert found.pairs <= 8
        assert len(rows) <= 2 * found.pairs + sum(cut % 2 for cut in cuts)
        before = lab.samples()
        assert deciding(run(lab, record, most_pairs=8)) == [found], "asked again, nothing is left to do"
        assert lab.samples() == before


def test_the_time_is_shared_among_the_scenarios_and_kept(record: Record) -> None:
    lab = FakeLab({**SECONDS, "same": 10.4}, noise=0.6)
    found = deciding(run(lab, record, SAME, scenarios=(LEAF, HUB), deadline=lab.host.time + 400, most_pairs=500))
    pairs = [comparison.pairs for comparison in found]
    assert min(pairs) >= 4
    assert abs(pairs[0] - pairs[1]) <= 6
    assert lab.host.time - 1_700_000_000 < 400 + 10
    assert all(comparison.verdict == "unresolved" for comparison in found)


def test_what_all_scenarios_start_from_is_in_the_share_of_none(record: Record) -> None:
    lab = FakeLab({**SECONDS, "same": 10.4}, noise=0.6)
    lab.first_build = 100.0
    found = deciding(run(lab, record, SAME, scenarios=(LEAF, HUB), deadline=lab.host.time + 600, most_pairs=500))
    pairs = [comparison.pairs for comparison in found]
    assert min(pairs) >= 7
    assert abs(pairs[0] - pairs[1]) <= 2


def test_what_a_decided_scenario_leaves_over_goes_to_one_that_is_not(record: Record) -> None:
    lab = FakeLab({**SECONDS, "same": 10.3, "same in hub/build": 4.0}, noise=0.2)
    leaf, hub = deciding(run(lab, record, SAME, scenarios=(LEAF, HUB), deadline=lab.host.time + 700, most_pairs=500))
    assert (leaf.verdict, hub.verdict) == ("unresolved", "faster")
    began = 1_700_000_000
    assert 700 - 60 < lab.host.time - began <= 700 + 10, "a pair with what it starts from takes longer than is left"
    assert leaf.pairs >= 18, "half of the time has room for fifteen"
    assert [call for call in lab.calls if call[0] == "forget"] == [], "the leaf is still built with it"


def test_a_clean_build_starts_from_nothing_in_the_second_round_too(record: Record) -> None:
    clean = Scenario("clean", "build")
    lab = FakeLab({**SECONDS, "same": 10.3, "same in hub/build": 4.0}, noise=0.2)
    run(lab, record, SAME, scenarios=(clean, HUB), deadline=lab.host.time + 700, most_pairs=500)
    assert [call[1] for call in lab.calls if call[::2] == ("prepare", clean.name)] == ["default", "same"]


def test_a_scenario_asked_for_twice_is_measured_once(record: Record) -> None:
    lab = FakeLab(SECONDS)
    found = deciding(run(lab, record, scenarios=(LEAF, LEAF)))
    assert {comparison.verdict for comparison in found} == {"faster"}
    assert lab.samples() == 2 * found[0].pairs


def test_a_call_that_goes_on_begins_with_the_candidate_that_had_no_time(record: Record) -> None:
    seconds = {**SECONDS, "same": 10.3, "debug=0": 10.2}
    both = [
        deciding(run(FakeLab(seconds, noise=0.6), record, SAME, SMALLER, deadline=1_700_000_000 + 95)) for _ in "ab"
    ]
    (same, smaller), (same_again, smaller_again) = both
    assert smaller.pairs < same.pairs == same_again.pairs
    assert smaller_again.pairs > same.pairs


def test_what_is_too_little_for_all_goes_to_the_one_with_the_fewest_pairs(record: Record) -> None:
    seconds = {"default": 10.0, "same": 10.3, "default in hub/build": 40.0, "same in hub/build": 41.0}
    lab = FakeLab(seconds, noise=0.3)
    leaf, hub = deciding(run(lab, record, SAME, scenarios=(HUB, LEAF), deadline=lab.host.time + 700, most_pairs=14))[
        ::-1
    ]
    assert leaf.pairs == 14
    assert hub.pairs >= 4
    assert lab.host.time - 1_700_000_000 > 700 - 130


def test_disturbed_samples_are_not_repeated_beyond_the_time_there_is(record: Record) -> None:
    lab = FakeLab({"default": 60.0, "debug=0": 60.0})
    lab.external = 0.8
    clean = Scenario("clean", "build")
    (found,) = deciding(run(lab, record, scenarios=(clean,), deadline=lab.host.time + 200))
    assert found.pairs == 1
    assert lab.host.time - 1_700_000_000 <= 210


def test_a_clean_build_that_cannot_be_measured_in_time_is_not_begun(record: Record) -> None:
    lab = FakeLab({"default": 60.0, "debug=0": 60.0})
    (found,) = deciding(run(lab, record, scenarios=(Scenario("clean", "build"),), deadline=lab.host.time + 39))
    assert (found.pairs, lab.samples()) == (0, 0), "two were prepared in ten seconds each, two builds more take as long"


def test_what_there_is_no_time_to_prepare_is_left_out(record: Record) -> None:
    lab = FakeLab(SECONDS)
    said: list[Progress] = []
    found = deciding(run(lab, record, deadline=lab.host.time + 15, tell=said.append))
    assert [(comparison.pairs, comparison.failure) for comparison in found] == [(0, None)]
    assert [line.text for line in said if line.stays] == [
        "leaf/build: no time is left to build what debug=0 starts from"
    ]
    assert lab.host.time == 1_700_000_010


def test_progress_says_what_is_done_and_the_time_left(record: Record) -> None:
    said: list[Progress] = []
    run(
        FakeLab({**SECONDS, "same": 10.4}, noise=0.6),
        record,
        SAME,
        scenarios=(LEAF, HUB),
        most_pairs=6,
        tell=said.append,
    )
    passing = [line for line in said if not line.stays]
    assert passing[0] == Progress("leaf/build: building what default starts from")
    told = [line for line in passing if "pair" in line.text]
    assert told[0] == Progress("leaf/build: same against default, pair 1 of at most 6")
    assert told[-1].text.startswith("hub/build: same against default, pair 6 of at most 6, ")
    left = [line.seconds_left for line in told[1:]]
    assert None not in left
    assert left[0] == pytest.approx(2 * 6 * 2 * 11, rel=0.4)
    assert left[-1] == pytest.approx(2 * 11, rel=0.4)


def test_a_record_that_cannot_be_written_is_said_and_the_answer_is_there(tmp_path: Path) -> None:
    said: list[Progress] = []
    with Record.open(Host(), tmp_path / "state") as record:  # no such experiment in it
        (found,) = deciding(run(FakeLab(SECONDS), record, tell=said.append))
    assert found.verdict == "faster"
    assert [line.text for line in said if line.stays][-1].startswith("the record could not be written")


def test_guards_tell_what_an_arm_costs_beside_time(record: Record) -> None:
    lab = FakeLab(SECONDS)
    lab.script = [{"test_seconds": 1.0, "peak_bytes": 5}, {"test_seconds": 3.0, "peak_bytes": 7 * 10**9}]
    run(lab, record)
    found = guards(record.measurements("e1"), (DEFAULT, SMALLER), (LEAF,))
    assert [(guard.scenario, guard.arm, guard.target_bytes, guard.artifact_bytes) for guard in found] == [
        ("leaf/build", "default", 7000, 100),
        ("leaf/build", "debug=0", 7000, 100),
    ]
    assert max(guard.peak_bytes for guard in found) == 7 * 10**9
    assert {guard.test_seconds for guard in found} == {1.0, 3.0}
    assert sum(call[0] == "sizes" for call in lab.calls) == 2, "a walk through a target directory takes its time"


def test_two_samplers_of_one_experiment_do_not_get_into_each_others_way(record: Record) -> None:
    lab = FakeLab(SECONDS)
    early = Sampler(lab, record, "e1")
    run(lab, record)
    early.take(SAME, LEAF, "screen row 1", repeats=0)
    assert early.is_recorded
    assert record.measurements("e1")[-1].part == "screen row 1"


def test_measurements_for_something_else_do_not_count(record: Record) -> None:
    row = MeasurementRow("e1", 0, "leaf/build", "default", "screen row 7", 1.0, "success", 1, 1, 1, None, None, True)
    record.add_measurement(row)
    (found,) = deciding(run(FakeLab(SECONDS), record))
    assert found.verdict == "faster"
    other = Arm("debug=0", ("profile.dev.debug=1",))
    (again,) = deciding(conclude(record.measurements("e1"), DEFAULT, (other,), (LEAF,), most_pairs=20))
    assert again.pairs == 0, "an arm of the same name that does something else"


@given(st.text(max_size=40))
def test_no_text_breaks_the_reading_of_a_place(text: str) -> None:
    assert parse_place(text) is None or str(parse_place(text)) == text


@given(st.integers(1, 99_999), st.integers(1, 4), st.sampled_from("AB"), st.from_regex(r"\A[0-9a-f]{12}\Z"))
def test_a_place_is_read_as_it_is_written(block: int, sample: int, letter: str, tag: str) -> None:
    place = Place(tag, block, sample, letter)
    assert parse_place(str(place)) == place


def test_a_steady_drift_is_no_difference_between_the_baseline_and_itself() -> None:
    series = Series()
    seconds = itertools.count(100)
    for block in range(1, 41):
        for number, letter in enumerate(order_of_block("t", "s", block), start=1):
            row = MeasurementRow("e", 0, "leaf/build", letter, str(Place("t", block, number, letter)), 1.0, "success", 1.0,
                                 next(seconds), 1, None, None, True)  # fmt: skip
            series.add(row)
    pairs = series.baseline_pairs("cpu")
    assert len(pairs) == 40
    assert 8 < sum(late > early for early, late in pairs) < 32


def test_an_arm_alone_is_measured_as_often_as_asked(record: Record) -> None:
    lab = FakeLab(SECONDS)
    lab.script = [{}, {"lock_wait": True, "wall_seconds": 99.0}, {"result": "failure"}]
    found = measure_alone(
        lab, record, "e1", SMALLER, (LEAF, HUB), samples=3, deadline=None, tell=lambda _progress: None
    )
    assert [(each.scenario, each.samples, each.polluted, each.failure) for each in found] == [
        ("leaf/build", 3, 0, None),
        ("hub/build", 3, 0, None),
    ]
    assert lab.samples() == 8
    assert found[0].wall_seconds == pytest.approx(7, abs=0.3)
    assert found[0].cpu_least is not None
    assert found[0].cpu_least <= (found[0].cpu_seconds or 0)
    assert measure_alone(lab, record, "e1", SMALLER, (LEAF, HUB), samples=3, deadline=None, tell=print) == found
    assert lab.samples() == 8, "what is in the record is not measured again"


def test_an_arm_alone_that_does_not_build_or_has_no_time_says_so(record: Record) -> None:
    lab = FakeLab(SECONDS)
    lab.broken = {"debug=0"}
    (found,) = measure_alone(lab, record, "e1", SMALLER, (LEAF,), samples=3, deadline=None, tell=lambda _line: None)
    assert (found.samples, found.wall_seconds, found.failure) == (0, None, "debug=0 does not build: error[E0432]")
    late = measure_alone(
        lab, record, "e1", SAME, (LEAF, HUB), samples=9, deadline=lab.host.time + 60, tell=lambda _line: None
    )
    assert [each.samples for each in late] == [4, 0]
