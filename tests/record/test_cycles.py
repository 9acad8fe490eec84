"""The cycles of a watch: written at once, asked for by time, pruned, and never the reason why a watch fails."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.host import Host
from buildopt.record import CycleRow, Record
from buildopt.record.schema import FORMAT, STEPS

START = 1_750_000_000.0
CYCLE = CycleRow(START, 2, 3, 41, "success", "full", 0.4, 12.5, None, None, 20.25, "linux-2c-24g")
CANCELLED = CycleRow(START + 5, 1, 41, 41, "cancelled", "core", None, None, "edit", 0.031, 7.5, "linux-2c-24g")


def add(host: Host, state: Path, *cycles: CycleRow) -> str | None:
    with Record.open(host, state) as record:
        for cycle in cycles:
            record.add_cycle(cycle)
        return record.note


def starts(host: Host, state: Path) -> list[float]:
    with Record.open(host, state) as record:
        return [cycle.started_at for cycle in record.cycles(0.0)]


def test_a_cycle_comes_back_as_it_was_written(host: Host, state: Path) -> None:
    assert add(host, state, CYCLE, CANCELLED) is None
    with Record.open(host, state) as record:
        assert record.cycles(0.0) == (CANCELLED, CYCLE)
        assert record.cycles(START) == (CANCELLED, CYCLE), "from that moment on, itself included"
        assert record.cycles(START + 0.5) == (CANCELLED,)
        assert record.cycles(START + 6) == ()
        assert record.last_cycle() == CANCELLED
        assert record.runs() == (), "a cycle is no run"


def test_looking_for_cycles_creates_nothing(host: Host, state: Path) -> None:
    with Record.open(host, state) as record:
        assert record.cycles(0.0) == ()
        assert record.last_cycle() is None
    assert not state.exists()


def test_a_clock_that_was_set_back_hides_no_cycle(host: Host, state: Path) -> None:
    add(host, state, CANCELLED, CYCLE)
    with Record.open(host, state) as record:
        assert record.cycles(0.0) == (CANCELLED, CYCLE)
        assert record.last_cycle() == CANCELLED


def test_cycles_are_pruned_with_the_runs(host: Host, state: Path, write_run: Callable[..., str]) -> None:
    add(host, state, *(CYCLE._replace(started_at=START + number) for number in range(45)))
    for number in range(3):
        write_run(number)
    with Record.open(host, state) as record:
        assert record.prune(5) == 0
        assert len(record.cycles(0.0)) == 45
        assert record.prune(2) == 1, "the runs that went, as ever"
        assert [cycle.started_at for cycle in record.cycles(0.0)] == [START + number for number in range(44, 24, -1)]
        record.add_cycle(CYCLE._replace(started_at=START + 45))
        record.prune(2)
        assert len(record.cycles(0.0)) == 20
        record.prune(0)
        assert len(record.cycles(0.0)) == 10, "the last run is always kept, and so are ten cycles"


def test_pruning_where_nobody_watched_is_nothing(host: Host, state: Path, write_run: Callable[..., str]) -> None:
    write_run(1)
    with Record.open(host, state) as record:
        assert record.prune(1) == 0
        assert record.note is None


def test_a_record_of_an_earlier_format_takes_cycles(host: Host, state: Path) -> None:
    state.mkdir()
    with contextlib.closing(sqlite3.connect(state / "record.sqlite", isolation_level=None)) as connection:
        for statement in [*STEPS[0], *STEPS[1]]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 2")
        connection.execute("INSERT INTO run (id, verb, started_at, ci) VALUES ('run-0', 'run core', 0.5, 0)")
    assert add(host, state, CYCLE) is None
    with Record.open(host, state) as record:
        assert record.cycles(0.0) == (CYCLE,)
        assert [run.id for run in record.runs()] == ["run-0"]
    with contextlib.closing(sqlite3.connect(state / "record.sqlite")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)


def test_a_record_that_cannot_be_written_is_a_note(host: Host, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    note = add(host, tmp_path / "file" / ".buildopt", CYCLE, CANCELLED)
    assert note is not None
    assert note.startswith("nothing is recorded: ")


def test_a_lock_held_too_long_costs_one_cycle(host: Host, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(host, state, CYCLE)
    monkeypatch.setattr("buildopt.record.database._BUSY_SECONDS", 0.05)
    with contextlib.closing(sqlite3.connect(state / "record.sqlite", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert "locked" in (add(host, state, CANCELLED) or "")
    assert add(host, state, CANCELLED._replace(started_at=START + 9)) is None
    assert starts(host, state) == [START + 9, START]


def test_a_record_that_is_removed_while_it_is_open_is_begun_anew(host: Host, state: Path) -> None:
    with Record.open(host, state) as record:
        record.add_cycle(CYCLE)
        shutil.rmtree(state)
        assert record.cycles(0.0) == ()
        assert not state.exists(), "looking creates nothing, here neither"
        record.add_cycle(CANCELLED)
        assert record.note is None
    assert starts(host, state) == [CANCELLED.started_at]


def test_a_record_that_another_process_replaced_is_used(host: Host, state: Path) -> None:
    with Record.open(host, state) as watch:
        watch.add_cycle(CYCLE)
        (state / "record.sqlite").replace(state / "record.sqlite.damaged-1")
        with Record.open(host, state) as other:
            other.add_cycle(CYCLE._replace(started_at=START + 1))
            watch.add_cycle(CYCLE._replace(started_at=START + 2))
            other.add_cycle(CYCLE._replace(started_at=START + 3))
        watch.add_cycle(CYCLE._replace(started_at=START + 4))
        assert watch.note is None
    assert starts(host, state) == [START + number for number in (4, 3, 2, 1)]


def test_threads_share_a_record(host: Host, state: Path, write_run: Callable[..., str]) -> None:
    with Record.open(host, state) as record:
        record.add_cycle(CYCLE)

        def write(thread: int) -> None:
            for number in range(50):
                record.add_cycle(CYCLE._replace(edits=100 * thread + number))
                record.cycles(START + 1)

        threads = [threading.Thread(target=write, args=(number,)) for number in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert record.note is None
        assert len({cycle.edits for cycle in record.cycles(0.0)}) == 151


anything = st.text(st.characters(codec=None), max_size=60)  # lone surrogates included


@given(texts=st.tuples(anything, anything, anything, anything), seconds=st.floats(), count=st.integers())
def test_any_text_and_any_number_is_written_or_refused_politely(
    tmp_path_factory: pytest.TempPathFactory, texts: tuple[str, str, str, str], seconds: float, count: int
) -> None:
    state = tmp_path_factory.mktemp("any")
    result, stage, cause, machine = texts
    cycle = CycleRow(START, count, 1, 1, result, stage, seconds, seconds, cause, seconds, seconds, machine)
    note = add(Host({}), state, cycle)
    assert (note is None) == (-(2**63) <= count < 2**63)
    assert starts(Host({}), state) == ([] if note else [START])


def test_credentials_are_not_kept(host: Host, state: Path) -> None:
    add(host, state, CYCLE._replace(stage="https://token:hunter2@example.com/" + "x" * 5000))
    assert b"hunter2" not in (state / "record.sqlite").read_bytes()
    with Record.open(host, state) as record:
        assert len(record.cycles(0.0)[0].stage or "") == 500
