"""How a day of watching stands in the report, as JSON for scripts and as text for people."""

from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.host import Host
from buildopt.record import CycleRow, Record, RunRow, StageRow
from buildopt.report.runs import as_json, as_text, view_runs
from buildopt.report.watching import Spread, as_lines, sum_up

CENTRAL_EUROPE = "CET-1CEST,M3.5.0,M10.5.0/3"
DAY = [
    CycleRow(0, 1, 2, 41, "success", "full", 0.3, 9.0, None, None, 14.0, "linux-8c-32g"),
    CycleRow(0, 1, 2, 41, "cancelled", "quick-check", None, None, "edit", 0.02, 0.4, "linux-8c-32g"),
    CycleRow(0, 3, 41, 41, "failure", "quick-check", 4.2, None, None, None, 31.0, "linux-8c-32g"),
    CycleRow(0, 1, 41, 41, "cancelled", "core", 4.5, None, "edit", 0.06, 40.0, "linux-8c-32g"),
    CycleRow(0, 1, 3, 41, "cancelled", "full", 0.5, None, "SIGTERM", 0.04, 8.0, "linux-8c-32g"),
    CycleRow(0, 2, 3, 42, "success", "full", 0.6, 75.0, None, None, 90.0, "linux-8c-32g"),
]


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", CENTRAL_EUROPE)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def local(text: str) -> float:
    day = text.split(maxsplit=1)[0]
    summer = "2026-03-29" < day < "2026-10-25" or text in ("2026-03-29 23:59:59", "2026-10-25 00:00:00")
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M:%S")) - (7200 if summer else 3600)


NOW = local("2026-08-22 18:00:00")


@pytest.fixture
def record(host: Host, tmp_path: Path) -> Iterator[Record]:
    with Record.open(host, tmp_path / ".buildopt") as record:
        yield record


@pytest.fixture
def watched(record: Record) -> Callable[..., None]:
    def write(since: float, cycles: list[CycleRow] = DAY) -> None:
        for number, cycle in enumerate(cycles):
            record.add_cycle(cycle._replace(started_at=since + 60 * number))
        assert record.note is None

    return write


@pytest.fixture
def a_run(record: Record) -> None:
    record.begin_run(RunRow("run-1", "watch core", NOW - 30))
    record.add_stage(StageRow("core", "success", 4.0, 6.0, packages=("core",), fresh=4, rebuilt=2))
    assert record.finish_run("success", wall_seconds=4.0)


def test_where_nobody_watched_nothing_is_said(record: Record, a_run: None) -> None:
    view = view_runs(record, None, now=NOW)
    assert "watch" not in as_text(view).lower().replace("watch core", "")
    assert as_json(view)["watch"] is None


def test_the_day_as_json(record: Record, a_run: None, watched: Callable[..., None]) -> None:
    watched(NOW - 3600)
    document = json.loads(json.dumps(as_json(view_runs(record, None, now=NOW))))
    assert document["watch"] == {
        "day": "2026-08-22",
        "today": True,
        "cycles": 6,
        "edits": 9,
        "passed": 2,
        "failed": 1,
        "cancelled": 3,
        "cancelled_by": {"edit": 2, "SIGTERM": 1},
        "first_diagnostic_seconds": {"median": 0.6, "p90": 4.5},
        "green_seconds": {"median": 42.0, "p90": 75.0},
        "cancel_seconds": {"median": 0.04, "p90": 0.06},
        "cpu_seconds": {"median": 22.5, "p90": 90.0},
        "packages": {"median": 3, "p90": 41},
        "total_packages": 42,
    }


def test_the_day_for_people(record: Record, a_run: None, watched: Callable[..., None], snapshot: Any) -> None:
    watched(NOW - 3600)
    text = as_text(view_runs(record, None, now=NOW), 100)
    assert text == snapshot
    assert as_text(view_runs(record, None, now=NOW), 60) == snapshot(name="narrow")


def test_what_was_not_measured_takes_no_line(snapshot: Any) -> None:
    only = CycleRow(NOW, 1, 1, 1, "cancelled", cancelled_by="key")
    day = sum_up("2026-08-22", [only], today=True)
    assert day is not None
    assert "\n".join(as_lines(day, 100, False)) == snapshot


def test_days_begin_at_local_midnight(record: Record, watched: Callable[..., None]) -> None:
    watched(local("2026-08-21 23:59:59"), DAY[:1])
    watched(local("2026-08-22 00:00:00"), DAY[:1])
    watched(local("2026-08-22 00:30:00"), DAY[:1])
    day = view_runs(record, None, now=NOW).watch
    assert day is not None
    assert (day.day, day.today, day.cycles) == ("2026-08-22", True, 2)


@pytest.mark.parametrize(
    ("day", "begin", "end"),
    [
        ("2026-03-29", "2026-03-29 00:00:00", "2026-03-29 23:59:59"),
        ("2026-10-25", "2026-10-25 00:00:00", "2026-10-25 23:59:59"),
    ],
    ids=["23 hours", "25 hours"],
)
def test_a_day_on_which_the_clock_was_changed(
    record: Record, watched: Callable[..., None], day: str, begin: str, end: str
) -> None:
    watched(local(begin) - 1, DAY[:1])
    watched(local(begin), DAY[:1])
    watched(local(end), DAY[:1])
    found = view_runs(record, None, now=local(end) + 0.5).watch
    assert found is not None
    assert (found.day, found.cycles) == (day, 2)


def test_without_any_today_the_latest_day_is_shown(record: Record, watched: Callable[..., None]) -> None:
    watched(local("2026-08-11 09:00:00"))
    watched(local("2026-08-14 00:00:00"), DAY[:2])
    watched(local("2026-08-14 23:50:00"), DAY[:2])
    view = view_runs(record, None, now=NOW)
    assert view.watch is not None
    assert (view.watch.day, view.watch.today, view.watch.cycles) == ("2026-08-14", False, 4)
    assert "Watch on 2026-08-14, the latest day\n  4 cycles, 4 files edited: 2 passed, 2 cancelled" in as_text(view)


def test_a_clock_that_was_set_back_hides_nothing_of_today(record: Record, watched: Callable[..., None]) -> None:
    watched(NOW + 2 * 86_400)
    day = view_runs(record, None, now=NOW).watch
    assert day is not None
    assert (day.cycles, day.today) == (6, True)


def test_cycles_without_runs_are_shown_too(record: Record, watched: Callable[..., None]) -> None:
    watched(NOW - 600)
    text = as_text(view_runs(record, None, now=NOW))
    assert text.startswith("no run is recorded yet: ")
    assert "\n\nWatch today\n" in text
    assert "  edit to first diagnostic " in text


def test_what_comes_from_outside_cannot_steer_the_terminal(record: Record, watched: Callable[..., None]) -> None:
    evil = "\x1b]0;title\x07\x1b[2J\u202etxt.exe\n"
    watched(NOW - 60, [DAY[1]._replace(cancelled_by=evil, stage=evil, host_class=evil)])
    text = as_text(view_runs(record, None, now=NOW))
    assert not [character for character in text if character != "\n" and not character.isprintable()]


@pytest.mark.parametrize("width", [40, 60, 100])
def test_width_is_kept_and_colour_changes_nothing_else(
    record: Record, a_run: None, watched: Callable[..., None], width: int
) -> None:
    watched(NOW - 3600)
    view = view_runs(record, None, now=NOW)
    plain, coloured = as_text(view, width), as_text(view, width, color=True)
    assert max(len(line) for line in plain.splitlines()) <= width
    assert coloured != plain
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


def some(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | value


seconds = st.floats(0, 1e6)
cycles = st.builds(
    CycleRow,
    started_at=st.just(NOW),
    edits=st.integers(1, 1000),
    packages=st.integers(0, 500),
    total_packages=st.just(500),
    result=st.sampled_from(["success", "failure", "cancelled"]),
    first_diagnostic_seconds=some(seconds),
    green_seconds=some(seconds),
    cancelled_by=some(st.sampled_from(["edit", "key", "SIGINT"])),
    cancel_seconds=some(seconds),
    cpu_seconds=some(seconds),
)


@given(st.lists(cycles, min_size=1, max_size=40))
def test_a_day_counts_every_cycle_once_and_spreads_lie_within_what_was_measured(rows: list[CycleRow]) -> None:
    day = sum_up("2026-08-22", rows, today=True)
    assert day is not None
    assert day.cycles == len(rows) == day.passed + day.failed + day.cancelled
    assert day.cancelled == sum(day.cancelled_by.values())
    measured = [row.first_diagnostic_seconds for row in rows if row.first_diagnostic_seconds is not None]
    if not measured:
        assert day.first_diagnostic_seconds is None
    else:
        spread = day.first_diagnostic_seconds
        assert isinstance(spread, Spread)
        assert min(measured) <= spread.median <= spread.p90 <= max(measured)
        assert 10 * sum(one <= spread.p90 for one in measured) >= 9 * len(measured)
    assert as_lines(day, 100, False)


def test_no_cycle_makes_no_day() -> None:
    assert sum_up("2026-08-22", [], today=True) is None


def test_a_day_of_two_thousand_cycles_is_summed_up_quickly(record: Record, cpu_seconds: Callable[..., float]) -> None:
    for number in range(2000):
        record.add_cycle(DAY[number % len(DAY)]._replace(started_at=NOW - number))
    assert cpu_seconds(lambda: as_text(view_runs(record, None, now=NOW))) < 0.1
