"""How long tests and stages took: the last few samples of each, the same whatever way they came in."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildopt.host import Host
from buildopt.record import Record, RunRow, StageRow, TimeRow, exchange
from buildopt.record.exchange import read_times, times_as_json
from buildopt.record.schema import STEPS

AT = 1_750_000_000_000
HERE = "linux-2c-24g"
DAY = 24 * 3600 * 1000


def row(name: str = "one", seconds: float = 1.0, at: int = AT, binary: str = "core", host_class: str = HERE) -> TimeRow:
    return TimeRow(host_class, binary, name, at, seconds)


def added(state: Path, *rows: TimeRow) -> tuple[TimeRow, ...]:
    with Record.open(Host({}), state) as record:
        assert record.add_times(rows) <= len(rows)
        assert record.note is None
        return record.times()


def run(state: Path, number: int, *stages: StageRow, tests: Iterable[tuple[str, str, float]] = ()) -> Record:
    record = Record.open(Host({}), state)
    record.begin_run(RunRow(f"run-{number}", "dev-test", AT / 1000 + number, host_class=HERE))
    for stage in stages:
        record.add_stage(stage)
    record.add_tests(tests)
    assert record.finish_run("success", wall_seconds=1.0)
    assert record.note is None
    return record


def test_a_run_leaves_the_times_of_its_tests_and_of_its_stages(state: Path):
    stage = StageRow("core", "success", 4.5)
    with run(state, 1, stage, tests=[("core", "one", 0.25), ("core::it", "two", 1.5)]) as record:
        assert record.times() == (
            row("core", 4.5, AT + 1000, ""),
            row("one", 0.25, AT + 1000),
            row("two", 1.5, AT + 1000, "core::it"),
        )


def test_a_stage_that_did_not_pass_or_was_held_up_is_no_sample(state: Path):
    stages = [
        StageRow("a", "failure", 1.0),
        StageRow("b", "success", 1.0, lock_wait=True),
        StageRow("c", "skipped", 0.0),
    ]
    with run(state, 1, *stages) as record:
        assert record.times() == ()


def test_a_run_that_was_dropped_leaves_no_test_for_the_next(state: Path):
    with Record.open(Host({}), state) as record:
        record.begin_run(RunRow("run-1", "dev-test", 1.0, host_class=HERE))
        record.add_tests([("core", "one", 1.0)])
        record.begin_run(RunRow("run-2", "dev-test", 2.0, host_class=HERE))
        assert record.finish_run("success", wall_seconds=1.0)
        assert record.times() == ()


@pytest.mark.parametrize("started_at", [float("inf"), float("nan"), -1.0, 1e300])
def test_a_clock_that_is_off_costs_the_times_and_not_the_run(state: Path, started_at: float):
    with Record.open(Host({}), state) as record:
        record.begin_run(RunRow("run-1", "dev-test", started_at, host_class=HERE))
        record.add_tests([("core", "one", 1.0)])
        record.finish_run("success", wall_seconds=1.0)
        assert record.times() == ()


def test_five_samples_of_a_test_and_fifty_of_a_stage_are_kept(state: Path):
    for number in range(60):
        run(state, number, StageRow("core", "success", float(number)), tests=[("core", "one", float(number))]).close()
    with Record.open(Host({}), state) as record:
        kept = record.times()
        assert [each.seconds for each in kept if each.binary] == [55, 56, 57, 58, 59]
        assert [each.seconds for each in kept if not each.binary] == list(range(10, 60))
        assert [seconds for _, seconds in record.stage_times(["core"], HERE, last=3)] == [59.0, 58.0, 57.0]
        assert record.stage_times(["core"], "linux-64c-512g", last=3) == ()
        assert record.stage_times(["one", "two"], HERE, last=3) == ()


def test_the_stages_of_an_older_record_are_taken_over(state: Path):
    state.mkdir()
    with contextlib.closing(sqlite3.connect(state / "record.sqlite", isolation_level=None)) as connection:
        for statement in [statement for step in STEPS[:3] for statement in step]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 3")
        columns = "(run, position, name, result, wall_seconds, packages, fresh, rebuilt, lock_wait)"
        for number, (result, lock_wait) in enumerate([("success", 0), ("success", 0), ("failure", 0), ("success", 1)]):
            connection.execute(
                "INSERT INTO run (id, verb, started_at, host_class, ci) VALUES (?, 'run core', ?, ?, 0)",
                (f"run-{number}", 10.0 + number, HERE),
            )
            connection.execute(
                f"INSERT INTO stage {columns} VALUES (?, 0, 'core', ?, ?, '[]', 0, 1, ?)",
                (number + 1, result, 2.0 * number, lock_wait),
            )
    with Record.open(Host({}), state) as record:
        assert record.times() == (row("core", 0.0, 10_000, ""), row("core", 2.0, 11_000, ""))


def test_what_is_not_sound_is_left_out(state: Path):
    odd = [
        row("x" * 501), row("\ud800"), row("a\0b"), row(""), row(host_class=""), row(at=-1), row(at=2**60),
        row(seconds=-1.0), row(seconds=float("nan")), row(seconds=float("inf")), row(seconds=1e9),
    ]  # fmt: skip
    good = row("ünï <T, U>")
    assert added(state, *odd, good) == (good,)


def test_a_test_that_was_long_not_seen_is_forgotten(state: Path):
    found = added(state, row("old"), row("stage", binary=""), row("new", at=AT + 15 * DAY), row("x", host_class="mac"))
    assert {each.name for each in found} == {"stage", "new", "x"}
    with Record.open(Host({}), state) as record:
        record.prune(10)
        assert len(record.times()) == 3


SAMPLES = st.lists(
    st.builds(
        TimeRow,
        st.sampled_from(["linux-2c-8g", "linux-4c-16g"]),
        st.sampled_from(["", "a", "a::b"]),
        st.sampled_from(["one", "two", 'od"d\u2028\\']),
        st.integers(AT, AT + 20 * DAY),
        st.sampled_from([0.0, 0.25, 3.0, 1e-9]),
    ),
    max_size=30,
)


@settings(max_examples=25)
@given(SAMPLES, st.integers(0, 30), st.randoms())
def test_times_added_twice_or_in_another_order_lead_to_the_same_record(
    tmp_path_factory: pytest.TempPathFactory, rows: list[TimeRow], cut: int, chance: random.Random
):
    folder = tmp_path_factory.mktemp("records")
    once = added(folder / "once", *rows)
    shuffled = list(rows)
    chance.shuffle(shuffled)
    added(folder / "parts", *shuffled[cut:])
    assert added(folder / "parts", *shuffled[:cut]) == once
    for each in shuffled:
        added(folder / "single", each)
    assert added(folder / "single") == once
    assert added(folder / "again", *once) == once


@given(SAMPLES)
def test_a_file_of_times_comes_back_as_it_was_written(rows: list[TimeRow]):
    text = times_as_json(rows)
    assert read_times(text.encode()) == tuple(sorted(set(rows)))
    assert times_as_json(reversed(rows)) == text


def document(samples: object) -> bytes:
    return json.dumps({"version": 1, "times": {HERE: {"core": {"one": samples}}}}).encode()


@pytest.mark.parametrize(
    "text",
    [
        b"", b"null", b"[]", b"{}", b'{"version": 2, "times": {}}', b'{"version": 1}', b'{"version": 1, "times": []}',
        b'{"version": 1, "times": {"h": []}}', b'{"version": 1, "times": {"h": {"b": 1}}}', b"\xff\xfe", b"[" * 200_000,
        document({}), document([1]), document([[1]]), document([["1", 1]]), document([[1.5, 1]]), document([[1, "1"]]),
        document([[True, 1]]), document([[1, True]]), document([[1, -1]]), document([[1, float("nan")]]),
        document([[1, 1e300]]), document([[1, float("inf")]]), document([[1, 1, 1]]), document([[-1, 1]]),
        document([[1, 1]])[:-3], document([[1, 1]]).replace(b"one", b"\\ud800"), document([[10**300, 1]]),
        b'{"version": 1, "times": {"h": {"b": {"t": [[1, ' + b"9" * 5000 + b"]]}}}}",
    ],
)  # fmt: skip
def test_a_file_that_is_damaged_is_refused_and_says_why(text: bytes):
    with pytest.raises(ValueError) as refused:
        read_times(text)
    assert 10 < len(str(refused.value)) < 300


@given(
    st.binary(max_size=80)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode)
)
def test_anything_is_read_or_refused(text: bytes):
    with contextlib.suppress(ValueError):
        read_times(text)


def test_a_huge_file_is_not_parsed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exchange, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="more than"):
        read_times(b"[" * 11)


def test_a_file_of_too_many_samples_is_not_parsed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exchange, "_MOST_SAMPLES", 10)
    read_times(document([[number, 1.0] for number in range(9)]))
    with pytest.raises(ValueError, match="more than 10 samples"):
        read_times(document([[number, 1.0] for number in range(10)]))


def test_there_is_an_end_to_what_is_kept(state: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("buildopt.record.times._MOST_TIMED", 3)
    found = added(state, row("b"), row("a"), row("c", at=AT + 1), row("d", at=AT - 1), row("e", at=AT + 2))
    assert [each.name for each in found] == ["b", "c", "e"]


def test_ten_thousand_tests_are_written_in_a_moment(state: Path, write_run: Callable[..., str]):
    tests = [(f"package-{number % 50}::it", f"module::test_{number}", number / 1000) for number in range(10_000)]
    run(state, 1, tests=tests).close()
    started = time.process_time()
    with run(state, 2, tests=tests) as record:
        record.prune(10)
        spent = time.process_time() - started
        assert len(record.times()) == 20_000
    assert spent < 2, "about 0.15 s on the machine this was written on"
