"""Experiments and baselines: written at once, asked for by key, never mixed across machines, bounded."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildopt.host import Host
from buildopt.record import BaselineRow, ExperimentRow, MeasurementRow, Record, RunRow
from buildopt.record.schema import STEPS

START = 1_750_000_000.0
EXPERIMENT = ExperimentRow("one", "bench", "key", START, "linux-2c", "1.95.0", "1.95.0", "profile", "a1b2", dirty=True)
ROW = MeasurementRow(
    "one",
    0,
    "leaf/build",
    "current",
    "pair 1 A",
    START,
    "success",
    2.5,
    4.25,
    10**8,
    0.125,
    None,
    True,
    10**9,
    10**6,
    0.5,
)


@pytest.fixture
def record(host: Host, state: Path) -> Record:
    return Record.open(host, state)


def test_an_experiment_comes_back_as_it_was_written(record: Record, host: Host, state: Path) -> None:
    assert record.begin_experiment(EXPERIMENT), record.note
    second = ROW._replace(position=1, polluted="waited for a lock", cpu_complete=False, test_seconds=None)
    assert record.add_measurement(ROW)
    assert record.add_measurement(second)
    with Record.open(host, state) as another:
        assert another.open_experiment("bench", "key") == EXPERIMENT
        assert another.open_experiment("tune", "key") is None
        assert another.open_experiment("bench", "other") is None
        assert another.measurements("one") == (ROW, second), "at once: nothing was closed or finished"
        assert another.finish_experiment("one", '{"version": 1}')
        assert another.open_experiment("bench", "key") is None, "what is done is not gone on with"
        assert another.experiments("bench") == (EXPERIMENT._replace(state="done", document='{"version": 1}'),)


def test_looking_for_experiments_creates_nothing(record: Record, state: Path) -> None:
    assert record.open_experiment("bench", "key") is None
    assert record.measurements("one") == ()
    assert record.scenario_history("leaf/build", host_class="linux-2c", rustc="1.95.0") == ()
    assert record.baselines("linux-2c") == ()
    assert not state.exists()


def test_a_measurement_belongs_to_an_experiment_and_has_a_place_of_its_own(record: Record) -> None:
    record.begin_experiment(EXPERIMENT)
    assert not record.add_measurement(ROW._replace(experiment="nobody's"))
    assert record.add_measurement(ROW)
    assert not record.add_measurement(ROW), "the same position again"
    assert not record.add_measurement(ROW._replace(position=10_000)), "an experiment is bounded"
    assert record.measurements("one") == (ROW,)


def test_the_last_experiment_of_a_key_is_the_one_to_go_on_with(record: Record) -> None:
    record.begin_experiment(EXPERIMENT)
    record.begin_experiment(EXPERIMENT._replace(id="two", started_at=START - 500))
    found = record.open_experiment("bench", "key")
    assert found is not None
    assert found.id == "two", "begun later, whatever the clock said"
    record.finish_experiment("two", "{}")
    assert record.open_experiment("bench", "key") is None, "the one before was given up"


@pytest.mark.parametrize("field", ["host_class", "rustc"])
def test_history_never_mixes_machines_and_compilers(record: Record, field: str) -> None:
    record.begin_experiment(EXPERIMENT)
    record.begin_experiment(EXPERIMENT._replace(id="two", **{field: "another"}))
    record.add_measurement(ROW)
    record.add_measurement(ROW._replace(experiment="two"))
    found = record.scenario_history("leaf/build", host_class="linux-2c", rustc="1.95.0")
    assert [row.experiment for row in found] == ["one"]


def test_history_holds_successes_of_one_arm_in_the_order_of_writing(record: Record) -> None:
    record.begin_experiment(EXPERIMENT)
    rows = [
        ROW._replace(position=0, started_at=START + 100),
        ROW._replace(position=1, started_at=START),
        ROW._replace(position=2, result="failure"),
        ROW._replace(position=3, arm="debug=0"),
        ROW._replace(position=4, scenario="hub/build"),
        ROW._replace(position=5, polluted="waited for a lock"),
    ]
    for row in rows:
        assert record.add_measurement(row)
    sought = {"host_class": "linux-2c", "rustc": "1.95.0"}
    assert [row.position for row in record.scenario_history("leaf/build", **sought)] == [0, 1, 5]
    assert [row.position for row in record.scenario_history("leaf/build", last=2, **sought)] == [1, 5]
    assert [row.position for row in record.scenario_history("leaf/build", arm="debug=0", **sought)] == [3]


def test_an_accepted_baseline_separates_what_is_older(record: Record, write_run: Callable[..., str]) -> None:
    like = RunRow("x", "run", START, cargo="1.95.0", rustc="1.95.0", profile_fingerprint="p", host_class="linux-2c")
    fields = {name: getattr(like, name) for name in ("cargo", "rustc", "profile_fingerprint", "host_class")}
    write_run(1, **fields)
    record.begin_experiment(EXPERIMENT)
    record.add_measurement(ROW)
    assert record.accept_baseline(BaselineRow("leaf/build", "linux-2c", START, "a new parser", "a1b2"))
    assert record.accept_baseline(BaselineRow("leaf/build", "another", START, "elsewhere"))
    write_run(2, **fields)
    write_run(3, **{**fields, "rustc": "1.96.0"})
    record.add_measurement(ROW._replace(position=1))

    (baseline,) = record.baselines("linux-2c")
    assert baseline[:5] == ("leaf/build", "linux-2c", START, "a new parser", "a1b2")
    sought = {"host_class": "linux-2c", "rustc": "1.95.0"}
    assert [
        row.position for row in record.scenario_history("leaf/build", after=baseline.after_measurement, **sought)
    ] == [1]
    assert [run.id for run, _ in record.stage_history("quick-check", like=like)] == ["run-00001", "run-00002"]
    newer = record.stage_history("quick-check", like=like, after=baseline.after_run)
    assert [(run.id, stage.wall_seconds) for run, stage in newer] == [("run-00002", 4.0)]

    record.accept_baseline(BaselineRow("leaf/build", "linux-2c", START - 9, "and again"))
    assert [row.reason for row in record.baselines("linux-2c")] == ["and again"], (
        "the last one, whatever the clock said"
    )


def test_pruning_bounds_experiments_with_their_measurements(record: Record) -> None:
    for number in range(5):
        record.begin_experiment(EXPERIMENT._replace(id=f"e{number}"))
        record.add_measurement(ROW._replace(experiment=f"e{number}"))
    record.prune(2)
    assert [row.id for row in record.experiments("bench")] == ["e4", "e3"]
    assert record.measurements("e2") == ()
    assert record.measurements("e3") != ()
    record.prune(2)
    record.begin_experiment(EXPERIMENT._replace(id="later"))
    record.add_measurement(ROW._replace(experiment="later"))
    found = record.scenario_history("leaf/build", host_class="linux-2c", rustc="1.95.0")
    assert [row.experiment for row in found] == ["e3", "e4", "later"]


def test_a_record_of_yesterday_gains_the_tables(host: Host, state: Path) -> None:
    state.mkdir()
    with contextlib.closing(sqlite3.connect(state / "record.sqlite")) as connection:
        for statement in (statement for step in STEPS[:4] for statement in step):
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 4")
        connection.commit()
    with Record.open(host, state) as record:
        assert record.begin_experiment(EXPERIMENT), record.note
        assert record.add_measurement(ROW)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=600), st.floats(), st.text(max_size=100))
def test_whatever_names_a_measurement_has_it_is_kept_or_refused_in_silence(
    host: Host, tmp_path: Path, name: str, seconds: float, key: str
) -> None:
    state = tmp_path / "any"
    shutil.rmtree(state, ignore_errors=True)
    with Record.open(host, state) as record:
        assert record.begin_experiment(EXPERIMENT._replace(key=key, git_sha=name))
        taken = record.add_measurement(ROW._replace(arm=name, wall_seconds=seconds))
        assert len(record.measurements("one")) == int(taken)
        found = record.open_experiment("bench", key)
        assert found is not None
        assert record.finish_experiment("one", name)
