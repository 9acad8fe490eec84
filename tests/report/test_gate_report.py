"""What a gate makes of the record: stages and scenarios against budgets and history, and what it says of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.host import Host
from buildopt.measure.gate import Answer, CrateChange
from buildopt.profile.model import Budgets, Cache, Profile, Stage
from buildopt.record import BaselineRow, ExperimentRow, MeasurementRow, Record, RunRow, StageRow, UnitRow
from buildopt.report.gate import as_json, as_text, closing_line
from buildopt.report.gate_markdown import as_markdown
from buildopt.report.gate_scenarios import Point, points, scenario_lines, size_line, wanted_scenarios
from buildopt.report.gate_stages import stage_lines
from buildopt.report.gate_view import Change, GateLine, GateView

NOW = 1_750_000_000.0
LIKE = RunRow("", "gate", NOW, cargo="1.95.0", rustc="1.95.0", profile_fingerprint="p", host_class="linux-2c", cores=2)
PROFILE = Profile(version=1, stages={"core": Stage(run=("build",), budget=5.0)})
BUSY = "other processes used 60 % of the processors"


@pytest.fixture
def record(host: Host, tmp_path: Path) -> Iterator[Record]:
    with Record.open(host, tmp_path / ".buildopt") as record:
        yield record


@pytest.fixture
def ran(record: Record) -> Callable[..., None]:
    """Record a run of the stage core: wall and CPU seconds, what was rebuilt, and what else is to be said of the run."""
    number = iter(range(10_000))

    def write(
        wall: float, cpu: float, crates: dict[str, float] | None = None, *, lock_wait: bool = False, name: str = "core",
        **fields: Any,
    ) -> None:  # fmt: skip
        count = next(number)
        record.begin_run(LIKE._replace(id=f"run-{count:05}", started_at=NOW + count)._replace(**fields))
        rebuilt = {"base": 1.0, "app": 2.0} if crates is None else crates
        record.add_stage(
            StageRow(name, "success", wall, cpu, fresh=3, rebuilt=len(rebuilt), lock_wait=lock_wait, packages=("app",))
        )
        units = (UnitRow(crate, "0.1.0", "lib", "build", False, None, 0.0, took) for crate, took in rebuilt.items())
        record.add_units(name, "build", units)
        assert record.finish_run(
            "success", wall_seconds=wall, cpu_seconds=cpu, external_share=fields.get("external_share", 0.0)
        )

    return write


def stand(record: Record, profile: Profile = PROFILE, like: RunRow = LIKE) -> dict[tuple[str, str], GateLine]:
    baselines = {row.subject: row for row in record.baselines(like.host_class or "")}
    return {(line.subject, line.against): line for line in stage_lines(record, profile, like, baselines)}


def test_without_runs_only_the_budget_is_named(record: Record) -> None:
    (line,) = stand(record).values()
    assert (line.subject, line.answer.verdict, line.answer.level) == ("stage core", "too few runs", "none")


@pytest.mark.parametrize(
    ("walls", "verdict", "failed"),
    [
        ([4.0], "ok", False),
        ([9.0], "over", False),
        ([4.0, 9.0, 9.0], "over", False),
        ([9.0, 9.0, 9.0], "over", True),
        ([9.0, 9.0, 4.0], "ok", False),
    ],
)
def test_a_stage_fails_for_its_budget_when_three_runs_in_a_row_were_over(
    record: Record, ran: Callable[..., None], walls: list[float], verdict: str, failed: bool
) -> None:
    for wall in walls:
        ran(wall, 1.0)
    line = stand(record)["stage core", "budget"]
    assert (line.answer.verdict, GateView((line,), enforce=False).failed) == (verdict, failed)


def test_more_cpu_seconds_than_the_budget_allows_need_no_second_run(record: Record, ran: Callable[..., None]) -> None:
    ran(9.0, 15.0)
    line = stand(record)["stage core", "budget"]
    assert line.answer.confirmed, "15 s of CPU on two processors are 7.5 s at least"
    assert "CPU seconds alone" in line.answer.words


def test_a_run_that_waited_fails_nothing(record: Record, ran: Callable[..., None]) -> None:
    for _ in range(3):
        ran(9.0, 1.0, lock_wait=True)
    answer = stand(record)["stage core", "budget"].answer
    assert answer.verdict == "over, but the machine was busy: not confirmed"
    assert "waited for a lock" in answer.words


def test_a_run_beside_other_processes_fails_nothing(record: Record, ran: Callable[..., None]) -> None:
    for _ in range(3):
        ran(9.0, 1.0, external_share=0.8)
    answer = stand(record)["stage core", "budget"].answer
    assert answer.verdict == "over, but the machine was busy: not confirmed"
    assert "other processes used 80 % of the processors" in answer.words


def test_where_nobody_knows_what_else_the_machine_did_nothing_fails(record: Record, ran: Callable[..., None]) -> None:
    for _ in range(3):
        ran(9.0, 1.0, external_share=None)
    assert not stand(record)["stage core", "budget"].answer.confirmed
    now = point(2.0, 2.0, 2.0, 2.0, 2.0, cpu_complete=False, external_share=None)
    before = [point(1.0, 1.1, 1.2, cpu_complete=False, external_share=None) for _ in range(10)]
    lines = scenario_lines("leaf/build", now, before, Budgets(scenarios={"leaf/build": 1.5}), cores=2)
    assert [line.answer.verdict for line in lines] == ["over, but the machine was busy: not confirmed"] * 2


def test_a_run_that_built_nothing_does_not_hide_the_one_before_it(record: Record, ran: Callable[..., None]) -> None:
    ran(9.0, 1.0)
    ran(0.1, 0.1, {})
    assert stand(record)["stage core", "budget"].answer.verdict == "over"


def test_a_regression_is_confirmed_by_three_runs_and_explained(record: Record, ran: Callable[..., None]) -> None:
    for turn in range(10):
        ran(2.0, 3.0 + turn % 3 / 100)
    ran(2.6, 4.0, {"base": 1.0, "app": 2.9})
    assert not stand(record)["stage core", "history"].answer.confirmed
    ran(2.6, 4.0, {"base": 1.0, "app": 2.9})
    assert not stand(record)["stage core", "history"].answer.confirmed, "what was edited differs from run to run"
    ran(2.6, 4.0, {"base": 1.0, "app": 2.9}, git_sha="f00dfeed")
    line = stand(record)["stage core", "history"]
    assert (line.answer.verdict, line.answer.confirmed, line.answer.runs) == ("regression", True, 10)
    assert line.crates == (CrateChange("app", 2.9, 2.0),)
    assert line.change is not None
    assert (line.change.runs, line.change.started_at) == (3, NOW + 10)


def test_runs_that_rebuilt_something_else_are_another_history(record: Record, ran: Callable[..., None]) -> None:
    for _ in range(20):
        ran(2.0, 3.0)
    ran(30.0, 40.0, {f"crate-{number}": 1.0 for number in range(30)})
    assert stand(record)["stage core", "history"].answer.verdict == "too few runs"


@pytest.mark.parametrize(
    "other",
    [{"host_class": "linux-64c"}, {"rustc": "1.96.0"}, {"cargo": "1.96.0"}, {"profile_fingerprint": "q"}, {"ci": True}],
)
def test_other_hosts_toolchains_and_profiles_are_never_compared(
    record: Record, ran: Callable[..., None], other: dict[str, Any]
) -> None:
    for _ in range(20):
        ran(1.0, 1.0, **other)
    for _ in range(3):
        ran(4.0, 4.0)
    answer = stand(record)["stage core", "history"].answer
    assert (answer.verdict, answer.runs) == ("too few runs", 2)


def test_a_clock_that_goes_back_changes_nothing(record: Record, ran: Callable[..., None]) -> None:
    for _ in range(10):
        ran(2.0, 3.0)
    for back in range(3):
        ran(2.6, 4.0, id=f"a-{back}", started_at=NOW - 10**8 + back)
    assert stand(record)["stage core", "history"].answer.confirmed


def test_an_accepted_baseline_starts_a_new_history(record: Record, ran: Callable[..., None]) -> None:
    for _ in range(10):
        ran(2.0, 3.0)
    for _ in range(3):
        ran(2.6, 4.0)
    assert record.accept_baseline(BaselineRow("stage core", "linux-2c", NOW, "worth it"))
    for _ in range(9):
        ran(2.6, 4.0)
    answer = stand(record)["stage core", "history"].answer
    assert (answer.verdict, answer.runs, answer.usual) == ("ok", 8, 4.0)


def test_with_a_compiler_cache_wall_time_decides_and_only_where_it_is_clean(
    record: Record, ran: Callable[..., None]
) -> None:
    profile = Profile(version=1, stages={"core": Stage(run=("build",))}, cache=Cache(wrapper="sccache"))
    for _ in range(10):
        ran(2.0, 0.5)
        ran(9.0, 0.5, lock_wait=True)
    ran(2.1, 3.0)
    answer = stand(record, profile)["stage core", "history"].answer
    assert (answer.verdict, answer.runs, answer.usual) == ("ok", 10, 2.0)


def test_the_pipeline_is_the_longest_chain_of_stages_that_ci_ran(record: Record, ran: Callable[..., None]) -> None:
    profile = Profile(
        version=1,
        stages={
            "quick": Stage(run=("check",)),
            "core": Stage(run=("build",), requires=("quick",)),
            "docs": Stage(run=("doc",), requires=("quick",)),
        },
        budgets=Budgets(ci_pipeline=10.0),
    )
    for name, wall in (("quick", 3.0), ("core", 6.0), ("docs", 8.0)):
        ran(1000.0, 1.0, name=name)
        ran(wall, 1.0, name=name, ci=True)
    answer = stand(record, profile)["CI pipeline", "budget"].answer
    assert (answer.verdict, answer.value) == ("over", 11.0)


EXPERIMENT = ExperimentRow("e", "gate", "k", NOW, "linux-2c", "1.95.0", "1.95.0", "p")


def rows(*seconds: float, polluted: str | None = None, experiment: str = "e", **fields: Any) -> list[MeasurementRow]:
    return [
        MeasurementRow(
            experiment, position, "leaf/build", "current", "gate", NOW, "success", took, took, 10**8, 0.0, polluted, True
        )._replace(**fields)
        for position, took in enumerate(seconds)
    ]  # fmt: skip


def point(*seconds: float, **fields: Any) -> Point:
    return Point(EXPERIMENT, tuple(rows(*seconds, **fields)))


BEFORE = [point(1.0 + turn % 3 / 100, 1.3, 1.2) for turn in range(10)]


def test_a_budget_is_held_by_the_least_of_the_builds_and_the_history_by_their_median() -> None:
    budget, history = scenario_lines(
        "leaf/build", point(1.4, 1.21, 1.02), BEFORE, Budgets(scenarios={"leaf/build": 1.1}), cores=2
    )
    assert (budget.answer.verdict, budget.answer.value) == ("ok", 1.02)
    assert (history.answer.verdict, history.answer.value, history.answer.usual) == ("ok", 1.21, 1.2)


def test_a_scenario_fails_only_after_its_two_re_runs() -> None:
    first = scenario_lines("leaf/build", point(1.4, 1.5, 1.4), BEFORE, Budgets(), cores=2)[0]
    assert (first.answer.verdict, first.answer.confirmed) == ("regression", False)
    again = scenario_lines("leaf/build", point(1.4, 1.5, 1.4, 1.4, 1.3), BEFORE, Budgets(), cores=2)[0]
    assert GateView((again,), enforce=False).failed
    fine = scenario_lines("leaf/build", point(1.4, 1.5, 1.2, 1.2, 1.01), BEFORE, Budgets(), cores=2)[0]
    assert fine.answer.verdict == "ok"


@pytest.mark.parametrize(
    ("took", "unit", "verdict"),
    [
        (1.5, 0.0015, "ok"),
        (1.5, 0.001, "regression"),
        (1.5, None, "regression"),
        (1.0, 0.0008, "regression"),
        (0.8, 0.0008, "ok"),
    ],
)
def test_cpu_seconds_of_other_days_count_as_on_a_machine_that_is_as_fast_as_now(
    took: float, unit: float | None, verdict: str
) -> None:
    before = [point(1.0, 1.0, 1.01, unit_seconds=0.001) for _ in range(10)]
    (line,) = scenario_lines("leaf/build", point(*[took] * 5, unit_seconds=unit), before, Budgets(), cores=2)
    assert line.answer.verdict == verdict
    assert line.answer.value == pytest.approx(took), "what was measured is shown as it was measured"
    assert line.answer.usual == pytest.approx(1000 * (unit or 0.001))


def test_the_crates_that_explain_it_count_as_on_a_machine_that_is_as_fast_as_now() -> None:
    def day(heavy: float, light: float, unit: float) -> Point:
        found = point(*[heavy + light] * 5, unit_seconds=unit)
        return found._replace(crates={"heavy": heavy, "light": light})

    before = [day(2.0, 3.0, 0.001) for _ in range(10)]
    (line,) = scenario_lines("leaf/build", day(8.0, 6.0, 0.002), before, Budgets(), cores=2)
    assert line.answer.verdict == "regression"
    assert [(each.package, each.before_seconds) for each in line.crates] == [("heavy", pytest.approx(4.0))]


def test_a_day_on_which_nothing_was_long_enough_counts_as_it_was() -> None:
    before = [point(1.0, 1.0, 1.0, unit_seconds=0.001 if turn % 2 else None) for turn in range(10)]
    (line,) = scenario_lines("leaf/build", point(1.5, 1.5, 1.5, unit_seconds=0.001), before, Budgets(), cores=2)
    assert (line.answer.verdict, line.answer.usual) == ("regression", 1.0)


def test_where_a_cache_server_compiles_a_busy_machine_is_no_regression() -> None:
    before = [point(1.0, 1.1, 1.2, cpu_complete=False) for _ in range(10)]
    now = point(2.0, 2.0, 2.0, 2.0, 2.0, cpu_complete=False, polluted=BUSY)
    (line,) = scenario_lines("leaf/build", now, before, Budgets(), cores=2)
    assert (line.kind, line.answer.verdict) == ("wall", "over, but the machine was busy: not confirmed")


def test_the_named_budgets_are_those_of_scenarios() -> None:
    profile = Profile(version=1, budgets=Budgets(test_suite=60.0, scenarios={"hub/check": 5.0}))
    assert wanted_scenarios(profile)[-2:] == ("no-change/test", "hub/check")
    now = point(50.0, 51.0, 52.0, test_seconds=70.0)
    line = scenario_lines("no-change/test", now, (), profile.budgets, cores=2)[0]
    assert (line.answer.verdict, line.answer.value) == ("over", 70.0), "the build before the tests does not count"


def test_points_leave_out_other_profiles_and_cargos() -> None:
    known = {
        "e": EXPERIMENT,
        "q": EXPERIMENT._replace(id="q", profile_fingerprint="q"),
        "c": EXPERIMENT._replace(id="c", cargo="1.9"),
    }
    mixed = [*rows(1.0), *rows(2.0, experiment="q"), *rows(3.0, experiment="c"), *rows(4.0, experiment="gone")]
    assert [each.rows[0].wall_seconds for each in points(mixed, known, EXPERIMENT)] == [1.0]


@pytest.mark.parametrize(("budget", "against", "verdict"), [(100, "budget", "over"), (None, "history", "regression")])
def test_a_size_is_held_without_a_second_look(budget: int | None, against: str, verdict: str) -> None:
    before = [point(1.0, target_bytes=100) for _ in range(10)]
    line = size_line("size of target", point(1.0, target_bytes=150), before, budget, 125)
    assert (line.against, line.answer.verdict, line.answer.confirmed) == (against, verdict, True)


def line_of(
    verdict: Any, level: Any, *, confirmed: bool = True, subject: str = "clean/build", **fields: Any
) -> GateLine:
    answer = Answer(verdict, level, confirmed, 14.2, 12.3, 11.0, 25, "14.2s CPU, usually 11.0s CPU")
    return GateLine(subject, "history", "cpu", answer)._replace(**fields)


VIEW = GateView(
    (
        line_of("ok", "none", subject="leaf/build"),
        line_of("over", "warning", subject="stage core", against="budget"),
        line_of(
            "regression",
            "critical",
            crates=(CrateChange("regex", 4.0, 2.1), CrateChange("heavy", 1.5, None)),
            change=Change(11.0, 14.1, 3, NOW, "f00dfeedf00dfeed"),
        ),
        line_of("too few runs", "none", subject="hub/build"),
    ),
    enforce=False,
    builds=14,
    seconds=125.0,
)


def test_what_fails_stands_first_with_what_explains_it() -> None:
    text = as_text(VIEW, 140)
    assert text.splitlines()[0].split()[:2] == ["regression", "clean/build"]
    assert "it changed 3 runs ago (2025-06-15, commit f00dfeedf00d): 11.0s before, 14.1s since" in text
    assert "regex +1.9s (2.1s → 4.0s), heavy (new, 1.5s)" in text
    assert "the gate fails: 1 regression; 1 warning, 1 ok, 1 with too few runs; 14 builds measured in 2m05s" in text
    assert 'buildopt gate --accept "why"' in text


def test_a_gate_without_anything_to_hold_says_so() -> None:
    assert closing_line(GateView((), enforce=False)) == "the gate passes: nothing was held"


def test_a_scenario_that_does_not_build_fails_the_gate() -> None:
    view = GateView((), enforce=False, broken=(("clean/build", "error[E0432]"),))
    assert view.failed
    assert "clean/build cannot be measured: error[E0432]" in as_text(view)


def test_the_document_has_the_verdicts_of_the_contract() -> None:
    document = json.loads(json.dumps(as_json(VIEW)))
    assert (document["version"], document["gate"], document["exit_code"]) == (1, "failed", 1)
    first = document["verdicts"][0]
    assert (first["subject"], first["verdict"], first["fails"], first["metric"]) == (
        "clean/build",
        "regression",
        True,
        "cpu",
    )
    assert first["crates"][1] == {"package": "heavy", "seconds": 1.5, "before_seconds": None}


def test_the_markdown_shows_what_is_loud_and_folds_the_rest() -> None:
    text = as_markdown(VIEW)
    assert text.startswith("### buildopt gate: failed\n")
    head, folded = text.split("<details>")
    assert "clean&#47;build" in head
    assert "leaf&#47;build" in folded


hostile = st.text(max_size=200) | st.sampled_from(
    [
        "| a | b |",
        "<script>alert(1)</script>",
        "](javascript:x)",
        "`$(x)`",
        "@everyone",
        "a\n\n# b",
        "![x](//y)",
        "\x1b[31m",
    ]
)


def hostile_view(subject: str, crate: str, reason: str, message: str) -> GateView:
    line = line_of("regression", "critical", subject=subject, crates=(CrateChange(crate, 2.0, 1.0),), accepted=reason)
    return GateView((line,), enforce=False, broken=((subject, message),), notes=(message,))


def marks(markdown: str) -> dict[str, int]:
    plain = re.sub(r"&#\d+;", "", markdown)
    return {mark: plain.count(mark) for mark in "|<>`[]()@#*!&\n"}


@given(subject=hostile, crate=hostile, reason=hostile, message=hostile)
def test_nothing_from_outside_is_markup_or_steers_a_terminal(
    subject: str, crate: str, reason: str, message: str
) -> None:
    view = hostile_view(subject, crate, reason, message)
    assert marks(as_markdown(view)) == marks(as_markdown(hostile_view("s", "c", "r", "m")))
    assert not set(as_text(view)) & {"\x1b", "\r", "\x07", "\u202e"}


def test_a_long_summary_is_cut_below_what_github_takes() -> None:
    many = tuple(
        line_of(
            "regression", "critical", subject="s" * 90, crates=tuple(CrateChange("é" * 80, 2.0, 1.0) for _ in range(5))
        )
        for _ in range(400)
    )
    text = as_markdown(GateView(many, enforce=False))
    assert len(text.encode()) < 65_536
    assert text.rstrip().endswith("it is too long.")
