"""The report on past runs, as JSON for scripts and as text for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from buildopt.host import Host
from buildopt.profile.model import Profile, Stage
from buildopt.record import CacheRow, Record, RunRow, StageRow, UnitRow
from buildopt.report.layout import columns, wrapped
from buildopt.report.runs import as_json, as_text, view_runs

NOW = 1_750_000_000.0
PROFILE = Profile(
    version=1,
    stages={
        "quick-check": Stage(run=("check",), budget=5.0),
        "core": Stage(run=("build", "test")),
        "full": Stage(run=("test",), budget=60.0),
    },
)
UNITS = (
    UnitRow(
        "core",
        "0.1.0",
        "lib",
        "build",
        False,
        "the file `core/src/lib.rs` has changed (1s, 2s after)",
        0.1,
        1.2,
        1.0,
        0.2,
    ),
    UnitRow("api", "0.1.0", "lib", "check", False, "the dependency `core` was rebuilt", 1.3, 0.8, 0.6, 0.2),
    UnitRow(
        "openssl-sys",
        "0.9.1",
        "build-script (run)",
        "run-custom-build",
        False,
        "the env variable OPENSSL_DIR changed",
        0.1,
        3.8,
    ),
    *(UnitRow(f"dependency-{n}", "1.0.0", "lib", "check", True) for n in range(40)),
)
CACHE = CacheRow(12, 3, 1, {"crate-type": 4, "incremental": 9}, "Local disk: ~/.cache/sccache")


@pytest.fixture
def record(host: Host, tmp_path: Path) -> Iterator[Record]:
    with Record.open(host, tmp_path / ".buildopt") as record:
        yield record


@pytest.fixture
def add(record: Record) -> Callable[..., None]:
    def write(
        ago: float, stage: StageRow, units: tuple[UnitRow, ...] = (), notes: tuple[str, ...] = (), **fields: Any
    ) -> None:
        started = NOW - ago
        record.begin_run(
            RunRow(f"run-{started:.0f}", f"run {stage.name}", started, cargo="1.95.0", cores=2)._replace(**fields)
        )
        record.add_stage(stage)
        record.add_units(stage.name, "check", units)
        for note in notes:
            record.add_note(note)
        assert record.finish_run(stage.result, wall_seconds=stage.wall_seconds or 0.0, cpu_seconds=stage.cpu_seconds)

    return write


def quick(seconds: float, result: str = "success", **fields: Any) -> StageRow:
    return StageRow("quick-check", result, seconds, seconds, 0, ("core", "api"), 40, 3, 5.0, 120.0)._replace(**fields)


@pytest.fixture
def a_week(add: Callable[..., None]) -> None:
    add(6 * 86_400, quick(4.1, cache=CACHE), UNITS)
    add(2 * 86_400, StageRow("core", "success", 41.0, 77.0, 0, ("core",), 1, 0), ci=True)
    add(7200, quick(6.4), UNITS)
    add(3000, quick(6.6), UNITS)
    add(300, StageRow("dev-test gpu", "success", 12.0, 20.0, 0, ("zen-gpu",), 10, 0, 30.0))
    add(20, quick(7.1, cache=CACHE, lock_wait=False), UNITS, ("packages: core (edited), api (depends on core)",))


def test_an_empty_record_says_what_to_run_first(record: Record) -> None:
    view = view_runs(record, PROFILE, now=NOW)
    assert as_text(view) == "no run is recorded yet: buildopt dev-quick (or nox -s dev-quick) makes the first\n"
    assert as_json(view)["runs"] == as_json(view)["units"] == []


def test_a_record_that_cannot_be_read_is_said(host: Host, tmp_path: Path) -> None:
    (tmp_path / "record.sqlite").write_bytes(b"no database" * 99)
    with Record.open(host, tmp_path) as record:
        text = as_text(view_runs(record, PROFILE, now=NOW))
    assert text.startswith("the record was damaged: it was set aside as record.sqlite.damaged-1")
    assert "dev-quick" in text


def test_the_json_has_the_keys_that_scripts_rely_on(record: Record, a_week: None) -> None:
    document = json.loads(json.dumps(as_json(view_runs(record, PROFILE, now=NOW))))
    assert document["version"] == 1
    assert [run["verb"] for run in document["runs"]] == [
        "run quick-check",
        "run dev-test gpu",
        "run quick-check",
        "run quick-check",
        "run core",
        "run quick-check",
    ]
    newest = document["runs"][0]
    assert {"id", "verb", "started_at", "result", "wall_seconds", "cpu_seconds", "stages"} <= newest.keys()
    assert newest["stages"][0]["name"] == "quick-check"
    assert newest["stages"][0]["units"] == {"fresh": 40, "rebuilt": 3}
    assert newest["stages"][0]["packages"] == ["core", "api"]
    assert len(document["units"]) == len(UNITS)
    assert document["units"][0] == {
        "package": "core", "version": "0.1.0", "target": "lib", "mode": "build", "fresh": False,
        "reason": "the file `core/src/lib.rs` has changed (1s, 2s after)", "start_seconds": 0.1, "duration_seconds": 1.2,
        "frontend_seconds": 1.0, "codegen_seconds": 0.2, "stage": "quick-check", "step": "check",
    }  # fmt: skip
    assert document["units_run"] == newest["id"]
    assert [stage["name"] for stage in document["stages"]] == ["quick-check", "core", "full", "dev-test gpu"]
    assert [stage["verdict"] for stage in document["stages"]] == ["over", "unknown", "unknown", "ok"]
    assert [row["package"] for row in document["slowest"]] == ["openssl-sys", "core", "api"]
    assert [row["cause"] for row in document["rebuilt"]] == [
        "edited",
        "environment variable OPENSSL_DIR",
        "depends on core",
    ]
    assert document["cache"]["hits"] == 12
    assert document["record_note"] is None


def test_the_text_for_people(record: Record, a_week: None, snapshot: Any) -> None:
    assert as_text(view_runs(record, PROFILE, now=NOW), 100) == snapshot


def test_the_text_after_a_failure(record: Record, a_week: None, add: Callable[..., None], snapshot: Any) -> None:
    add(
        1,
        quick(2.0, "failure", detail="clippy: exit code 101", rebuilt=0, fresh=43),
        tuple(unit._replace(fresh=True) for unit in UNITS),
    )
    assert as_text(view_runs(record, PROFILE, now=NOW, limit=3), 72) == snapshot


def test_colour_changes_nothing_but_the_colour(record: Record, a_week: None) -> None:
    import re

    view = view_runs(record, PROFILE, now=NOW)
    plain, coloured = as_text(view, 90), as_text(view, 90, color=True)
    assert "\x1b[" not in plain
    assert coloured != plain
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


def test_the_limit_is_how_many_runs_are_shown(record: Record, a_week: None) -> None:
    view = view_runs(record, PROFILE, now=NOW, limit=2)
    assert len(view.runs) == 2
    assert view.standings[0].usual_seconds == 6.5, "the usual time looks further back than the runs that are shown"


def test_without_a_profile_the_budgets_are_those_of_the_runs(record: Record, a_week: None) -> None:
    budgets = {standing.name: standing.budget_seconds for standing in view_runs(record, None, now=NOW).standings}
    assert budgets == {"core": None, "dev-test gpu": 30.0, "quick-check": 5.0}


def test_a_budget_that_was_changed_counts_from_now_on(record: Record, a_week: None) -> None:
    wider = Profile(version=1, stages={"quick-check": Stage(run=("check",), budget=10.0)})
    assert view_runs(record, wider, now=NOW).standings[0].last.verdict == "ok"


def test_a_run_that_waited_for_a_lock_is_not_called_over_budget(record: Record, add: Callable[..., None]) -> None:
    add(10, quick(9.0, lock_wait=True))
    view = view_runs(record, PROFILE, now=NOW)
    assert view.standings[0].last.verdict == "unknown"
    assert "9.0s of 5s, but waited for a lock" in as_text(view)
    assert view.standings[0].usual_seconds is None


def test_a_stage_that_failed_early_has_kept_no_budget(record: Record, add: Callable[..., None]) -> None:
    add(10, quick(0.2, "failure"))
    view = view_runs(record, PROFILE, now=NOW)
    assert view.standings[0].last.verdict == "unknown"
    assert view.standings[0].last_result == "failure"


def test_what_comes_from_outside_cannot_steer_the_terminal(record: Record, add: Callable[..., None]) -> None:
    evil = "\x1b]0;title\x07\x1b[2J\u202etxt.exe\n"
    unit = UnitRow(f"core{evil}", evil, "lib", "check", False, f"the file `{evil}` {evil}", 0.0, 1.0)
    add(
        10,
        quick(1.0, name=f"quick{evil}", detail=evil, cache=CACHE._replace(location=evil)),
        (unit,),
        (evil,),
        verb=f"run {evil}",
    )
    text = as_text(view_runs(record, None, now=NOW))
    assert not [character for character in text if character != "\n" and not character.isprintable()]


def test_any_width_is_kept(record: Record, a_week: None) -> None:
    view = view_runs(record, PROFILE, now=NOW)
    for width in (40, 60, 80, 200):
        assert max(len(line) for line in as_text(view, width).splitlines()) <= width


@example([["0\u20280"]], 20)
@given(st.lists(st.lists(st.text(max_size=20), min_size=1, max_size=4), max_size=6), st.integers(20, 120))
def test_columns_never_break_a_line_or_the_width(rows: list[list[str]], width: int) -> None:
    lines = columns(rows, right=(0,), width=width)
    assert len(lines) == len(rows)
    assert all(len(line) <= width and len(line.splitlines()) <= 1 for line in lines)


@given(st.text(), st.integers(20, 120))
def test_wrapped_text_keeps_every_word(text: str, width: int) -> None:
    from buildopt.report.layout import visible

    assert " ".join(line.strip() for line in wrapped(text, width)).split() == visible(text).split()


def test_the_view_of_a_large_record_is_quick(
    record: Record, add: Callable[..., None], cpu_seconds: Callable[..., float]
) -> None:
    units = tuple(UnitRow(f"crate-{n}", "1.0.0", "lib", "check", n % 2 == 0, None, 0.1, 0.2) for n in range(300))
    for number in range(60):
        add(number, quick(4.0), units)
    assert cpu_seconds(lambda: as_text(view_runs(record, PROFILE, now=NOW, limit=50))) < 0.25
