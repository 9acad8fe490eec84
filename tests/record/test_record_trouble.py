"""A record that is damaged, newer, older, not writable or on a full disk never fails a run: it says so in one line."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import buildopt
from buildopt.errors import MachineRefused
from buildopt.host import Files, Host
from buildopt.record import CacheRow, Record, RunRow, StageRow, UnitRow
from buildopt.record.schema import FORMAT, STEPS

PROJECT = Path(buildopt.__file__).parents[1]


def run_once(state: Path, name: str = "run-1", host: Host | None = None) -> tuple[bool, str | None]:
    with Record.open(host or Host({}), state) as record:
        record.begin_run(RunRow(name, "run quick-check", 1.0))
        record.add_stage(StageRow("quick-check", "success", 4.0, cache=CacheRow(1, 0, 0, {}, "Local disk")))
        record.add_units("quick-check", "check", [UnitRow("core", "0.1.0", "lib", "check", False)] * 20)
        return record.finish_run("success", wall_seconds=4.0), record.note


def ask_everything(state: Path) -> str | None:
    with Record.open(Host({}), state) as record:
        for run in record.runs(100):
            record.stages(run.id)
            record.steps(run.id)
            record.units(run.id)
            record.notes(run.id)
        record.cycles(0.0)
        record.last_cycle()
        record.slowest()
        record.usual_seconds("quick-check")
        record.last_stage("quick-check")
        record.health()
        record.prune(10)
        return record.note


def names(state: Path) -> list[str]:
    return sorted(path.name for path in state.iterdir() if path.name not in (".gitignore", "record.lock"))


@contextlib.contextmanager
def opened(state: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(state / "record.sqlite", isolation_level=None)) as connection:
        yield connection


def test_a_record_of_the_first_format_is_brought_up_and_keeps_its_runs(state: Path) -> None:
    state.mkdir()
    with opened(state) as connection:
        for statement in STEPS[0]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
        connection.execute(
            "INSERT INTO run (id, verb, started_at, result, ci) VALUES ('run-0', 'run core', 0.5, 'success', 0)"
        )
        connection.execute(
            "INSERT INTO unit VALUES (1, 0, 'core', '0.1.0', 'lib', 'check', 0, 'edited', 0, 1.5, 1, 0, 'core', 'check')"
        )
    assert run_once(state) == (True, None)
    with Record.open(Host({}), state) as record:
        assert [(run.id, run.verb, run.polluted) for run in record.runs()] == [
            ("run-1", "run quick-check", None),
            ("run-0", "run core", None),
        ]
        assert record.stages("run-1")[0].cache == CacheRow(1, 0, 0, {}, "Local disk")
        assert record.slowest()[0].seconds == 1.5
    with opened(state) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)


def test_every_step_leads_to_the_schema_of_a_new_file(tmp_path: Path) -> None:
    def schema(state: Path) -> set[tuple[str, ...]]:
        run_once(state)
        with opened(state) as connection:
            return set(connection.execute("SELECT type, name, sql FROM sqlite_master"))

    new = schema(tmp_path / "new")
    for found in range(1, FORMAT):
        state = tmp_path / f"from-{found}"
        state.mkdir()
        with opened(state) as connection:
            for statement in [statement for step in STEPS[:found] for statement in step]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {found}")
        assert schema(state) == new


def test_a_migration_that_cannot_finish_leaves_the_older_file_as_it_was(state: Path) -> None:
    state.mkdir()
    with opened(state) as connection:
        for statement in STEPS[0]:
            connection.execute(statement)
        connection.execute("CREATE TABLE note (somebody INTEGER)")  # in the way of the second step
        connection.execute("PRAGMA user_version = 1")
    before = (state / "record.sqlite").read_bytes()
    written, note = run_once(state)
    assert not written
    assert note is not None
    assert "note" in note
    assert (state / "record.sqlite").read_bytes() == before


def test_a_newer_record_is_left_alone(state: Path) -> None:
    run_once(state)
    with opened(state) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 5}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = (state / "record.sqlite").read_bytes()
    written, note = run_once(state, "run-2")
    assert not written
    assert note == (
        f"nothing is recorded: the record has format {FORMAT + 5} of a newer buildopt, this one knows {FORMAT}; "
        "upgrade buildopt, or move record.sqlite away"
    )
    assert ask_everything(state) == note
    with Record.open(Host({}), state) as record:
        assert record.note == note, "it is said before the run begins"
        assert record.runs() == ()
        assert not record.health().usable
    assert (state / "record.sqlite").read_bytes() == before


@pytest.mark.parametrize("content", [b"this is no database", b"x" * 100_000, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_record_is_set_aside(state: Path, content: bytes) -> None:
    state.mkdir()
    (state / "record.sqlite").write_bytes(content)
    written, note = run_once(state)
    assert written
    assert note == "the record was damaged: it was set aside as record.sqlite.damaged-1, and a new one is begun"
    assert names(state) == ["record.sqlite", "record.sqlite.damaged-1"]
    assert (state / "record.sqlite.damaged-1").read_bytes() == content
    with Record.open(Host({}), state) as record:
        assert record.note is None
        health = record.health()
        assert (health.usable, health.runs, health.set_aside) == (True, 1, ("record.sqlite.damaged-1",))


def test_a_second_damaged_file_does_not_replace_the_first(state: Path) -> None:
    state.mkdir()
    for content in (b"first" * 100, b"second" * 100):
        (state / "record.sqlite").write_bytes(content)
        run_once(state, content.decode())
    assert (state / "record.sqlite.damaged-1").read_bytes() == b"first" * 100
    assert (state / "record.sqlite.damaged-2").read_bytes() == b"second" * 100


def test_another_database_is_not_written_into(state: Path) -> None:
    state.mkdir()
    with opened(state) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    written, note = run_once(state)
    assert written
    assert "record.sqlite.damaged-1" in (note or "")
    with contextlib.closing(sqlite3.connect(state / "record.sqlite.damaged-1")) as connection:
        assert connection.execute("SELECT count(*) FROM bookmarks").fetchone() == (0,)


def test_an_empty_file_becomes_a_record(state: Path) -> None:
    state.mkdir()
    (state / "record.sqlite").touch()
    assert run_once(state) == (True, None)


def test_damage_that_shows_only_while_writing_is_set_aside_too(state: Path) -> None:
    for number in range(30):
        run_once(state, f"run-{number}")
    file = state / "record.sqlite"
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xee" * (len(content) - 4096)  # the first page, with format and schema, stays sound
    file.write_bytes(content)
    written, note = run_once(state, "run-new")
    assert written
    assert "set aside as record.sqlite.damaged-1" in (note or "")


@pytest.fixture(scope="module")
def sound_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(15):
            run_once(Path(folder), f"run-{number}")
        return (Path(folder) / "record.sqlite").read_bytes()


@given(data=st.data())
@settings(max_examples=60)
def test_no_damage_reaches_the_caller(sound_file: bytes, data: st.DataObject) -> None:
    content = bytearray(sound_file)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        garbage = data.draw(st.binary(min_size=1, max_size=300))
        content[at : at + len(garbage)] = garbage
    length = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        (state / "record.sqlite").write_bytes(content[:length])
        ask_everything(state)
        written, note = run_once(state, "run-new")
        assert written or note
        ask_everything(state)


def test_a_state_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    written, note = run_once(tmp_path / "file" / ".buildopt")
    assert not written
    assert note is not None
    assert note.startswith("nothing is recorded: ")


def test_a_folder_in_the_place_of_the_file_is_said(state: Path) -> None:
    (state / "record.sqlite").mkdir(parents=True)
    written, note = run_once(state)
    assert not written
    assert note is not None
    assert ask_everything(state) is not None
    assert names(state) == ["record.sqlite"]


class RefusingFiles(Files):
    """A file system that refuses the lock under which a damaged file is set aside."""

    def lock(self, path: Path) -> contextlib.AbstractContextManager[None]:
        raise MachineRefused(f"cannot lock {path}: Permission denied")


def test_a_damaged_file_that_cannot_be_set_aside_is_said(state: Path) -> None:
    state.mkdir()
    (state / "record.sqlite").write_bytes(b"no database" * 50)
    written, note = run_once(state, host=Host({}, RefusingFiles()))
    assert not written
    assert "is damaged and cannot be set aside" in (note or "")
    assert names(state) == ["record.sqlite"]


READ_ONLY = """
import os, sqlite3, sys, urllib.parse
from pathlib import Path
from buildopt.host import Host
from buildopt.record import Record, RunRow
import buildopt.record.database
if os.geteuid() == 0:
    os.seteuid(65534)
with Record.open(Host({}), Path(sys.argv[1])) as record:
    print(len(record.runs()))
    record.begin_run(RunRow("run-2", "run", 2.0))
    print(record.finish_run("success", wall_seconds=1.0), record.prune(1))
    print(record.health().writable)
    print(record.note)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Return a folder that other users may enter, which `tmp_path` is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("exists", [True, False])
def test_a_read_only_workspace_can_be_looked_at_and_is_not_recorded(open_folder: Path, exists: bool) -> None:
    state = open_folder / ".buildopt"
    if exists:
        run_once(state)
        (state / "record.sqlite").chmod(0o444)
        state.chmod(0o555)
    open_folder.chmod(0o555)
    lines = in_child(READ_ONLY, str(state))
    assert lines[:3] == ["1" if exists else "0", "False 0", "False" if exists else "True"]
    assert lines[3].startswith("nothing is recorded: ")


DISK_FULL = """
import resource, sys
from pathlib import Path
from buildopt.host import Host
from buildopt.record import Record, RunRow, UnitRow
state = Path(sys.argv[1])
def run(name, units=300):
    with Record.open(Host({}), state) as record:
        record.begin_run(RunRow(name, "run", 1.0))
        record.add_units("core", "build", [UnitRow("core", "0.1.0", "lib", "build", False, "x" * 400)] * units)
        return record.finish_run("success", wall_seconds=1.0), record.note
print(run("run-1"))
size = (state / "record.sqlite").stat().st_size
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, limits[1]))
print(run("run-2", 600))
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
print(run("run-3"))
with Record.open(Host({}), state) as record:
    print([run.id for run in record.runs()])
"""


def test_a_full_disk_is_said_and_harms_nothing(state: Path) -> None:
    first, full, after, ids = in_child(DISK_FULL, str(state))
    assert first == "(True, None)"
    assert full.startswith("(False, 'the record record.sqlite was left as it is: ")
    assert after == "(True, None)"
    assert ids == "['run-3', 'run-1']"
    assert names(state) == ["record.sqlite"]


def test_a_lock_that_is_held_too_long_is_said(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_once(state)
    monkeypatch.setattr("buildopt.record.database._BUSY_SECONDS", 0.05)
    with opened(state) as connection:
        connection.execute("BEGIN IMMEDIATE")
        written, note = run_once(state, "run-2")
    assert not written
    assert "locked" in (note or "")
    assert run_once(state, "run-3") == (True, None)


def in_child(program: str, *arguments: str) -> list[str]:
    environ = {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}
    found = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environ, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
    return found.stdout.splitlines()
