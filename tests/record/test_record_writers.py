"""Sessions of `nox -j` write at the same time, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import buildopt
from buildopt.host import Host
from buildopt.record import Record

PROJECT = Path(buildopt.__file__).parents[1]
WRITERS, RUNS = 8, 50

WRITER = f"""
import sys
import time
from pathlib import Path
from buildopt.host import Host
from buildopt.record import Record, RunRow, StageRow, UnitRow, new_run_id
host, who = Host(), sys.argv[2]
units = [UnitRow(f"crate-{{n}}", "1.0.0", "lib", "check", n % 2 == 0) for n in range(50)]
sys.stdin.readline()
for number in range({RUNS}):
    with Record.open(host, Path(sys.argv[1])) as record:
        record.begin_run(RunRow(new_run_id(host.now()), f"run {{who}}", host.now()))
        record.add_stage(StageRow(who, "success", 1.0))
        record.add_units(who, "check", units)
        if not record.finish_run("success", wall_seconds=1.0):
            sys.exit(f"{{who}}, run {{number}}: {{record.note}}")
        record.prune(10_000)
"""


@pytest.mark.parametrize("start", ["no file", "a damaged file"])
def test_eight_processes_write_fifty_runs_each_and_none_is_lost(state: Path, start: str) -> None:
    if start == "a damaged file":
        state.mkdir()
        (state / "record.sqlite").write_bytes(b"no database" * 1000)
    environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(state), f"writer-{number}"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environ,
            text=True,
        )
        for number in range(WRITERS)
    ]
    for writer in writers:  # all have imported what they need before the first one begins
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    said = [writer.communicate()[1] for writer in writers]
    assert said == [""] * WRITERS
    with Record.open(Host(), state) as record:
        assert len(record.runs(10_000)) == WRITERS * RUNS
        assert {run.verb for run in record.runs(10_000)} == {f"run writer-{number}" for number in range(WRITERS)}
        assert all(len(record.stages(run.id)) == 1 for run in record.runs(10_000))
        assert len(record.units(record.runs(1)[0].id)) == 50
    damaged = [path.name for path in state.iterdir() if "damaged" in path.name]
    assert damaged == ([] if start == "no file" else ["record.sqlite.damaged-1"])


def test_a_writer_that_is_killed_leaves_whole_runs_and_a_sound_file(state: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
    for number in range(6):
        with subprocess.Popen(
            [
                sys.executable,
                "-c",
                WRITER.replace(f"number in range({RUNS})", "number in range(10_000)"),
                str(state),
                f"killed-{number}",
            ],
            stdin=subprocess.PIPE,
            env=environ,
            text=True,
        ) as writer:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
            wait_for_runs(state, f"run killed-{number}")
            time.sleep(0.003 * number)
            writer.kill()
    with Record.open(Host(), state) as record:
        runs = record.runs(100_000)
        assert {run.verb for run in runs} == {f"run killed-{number}" for number in range(6)}
        assert all(len(record.stages(run.id)) == 1 for run in runs)
        counts = {len(record.units(run.id)) for run in runs}
        assert counts == {25, 50}, (record.note, "older runs keep what was rebuilt")
        assert record.note is None


def wait_for_runs(state: Path, verb: str) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with Record.open(Host(), state) as record:
            if [run for run in record.runs(1) if run.verb == verb]:
                return
        time.sleep(0.01)
    raise AssertionError(f"no {verb} within 20 seconds")
