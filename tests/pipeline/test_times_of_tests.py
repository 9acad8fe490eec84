"""A step that finds out what to run next, and reports of tests that are read after it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from buildopt.cargo import junit
from buildopt.cargo.junit import TimedTest
from buildopt.errors import MachineRefused
from buildopt.host import Cancel, Files, Host
from buildopt.pipeline.events import Event, Note, Output, StepFinished, StepStarted, TimedTests
from buildopt.pipeline.plan import Further, Invocation, PlannedStage, PlannedStep
from buildopt.pipeline.runner import Compiler, Outcome, run_stages

CASE = '<testcase name="{}" classname="a" time="0.5"/>'
# nextest's part of the bargain: a report where the configuration says, which `sh -c` gets as `$1`.
WRITE = (
    """
path=$(sed -n 's/^path = "\\(.*\\)"$/\\1/p' "${1#buildopt:}")
printf '<s>%s</s>' '"""
    + CASE.format("one")
    + """' > "$path"
"""
)


def shell(script: str, **fields: object) -> Invocation:
    return Invocation(("sh", "-c", script), measured=False)._replace(**fields)


def run(
    root: Path,
    *invocations: Invocation,
    host: Host | None = None,
    timeout: float | None = None,
    cancel: Cancel | None = None,
) -> tuple[Outcome, list[Event]]:
    events: list[Event] = []
    stage = PlannedStage("s", (PlannedStep("test", invocations),), ("a",), 1, "all", timeout, None)
    outcome = run_stages(
        host or Host(), root, [stage], run_id="r", command="dev-test", env={}, compiler=Compiler(), emit=events.append,
        cancel=cancel,
    )  # fmt: skip
    return outcome, events


def times_in(events: list[Event]) -> list[TimedTest]:
    return [test for event in events if isinstance(event, TimedTests) for test in event.tests]


def notes_in(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Note)]


def output(events: list[Event]) -> bytes:
    return b"".join(event.content for event in events if isinstance(event, Output))


def test_what_a_call_prints_decides_what_is_run_next(tmp_path: Path):
    def then(text: bytes) -> Further:
        return Further(
            (shell(f"printf 'ran %s' {text.decode()}"), shell("printf ' and two'")), f"found {text.decode()}"
        )

    outcome, events = run(tmp_path, shell("printf it; printf why >&2", then=then), shell("printf ' last'"))
    assert outcome.result == "success"
    assert output(events) == b"whyran it and two last", "what it printed for us is not shown"
    assert notes_in(events) == ["found it"]
    assert len([event for event in events if isinstance(event, StepStarted)]) == 4
    assert len([event for event in events if isinstance(event, StepFinished)]) == 1


def test_a_list_that_fails_fails_the_step_and_runs_nothing(tmp_path: Path):
    def then(_text: bytes) -> Further:
        raise AssertionError("it was not to be asked")

    outcome, _ = run(tmp_path, shell("printf '{}'; exit 3", then=then), shell("touch second"))
    assert outcome.result == "failure"
    assert list(tmp_path.iterdir()) == []


def test_the_timeout_of_the_stage_covers_what_is_found_at_run_time(tmp_path: Path):
    started = time.monotonic()
    further = Further((shell("sleep 30"),), "found")
    outcome, _ = run(tmp_path, shell("sleep 0.1", then=lambda _text: further), timeout=0.6)
    assert outcome.result == "timeout"
    assert 0.5 < time.monotonic() - started < 5


def test_a_cancel_ends_what_was_found_at_run_time(tmp_path: Path):
    with Cancel() as cancel:

        def then(_text: bytes) -> Further:
            cancel.trigger("edit")
            return Further((shell("sleep 30"),), "found")

        outcome, _ = run(tmp_path, shell("true", then=then), cancel=cancel)
    assert outcome.result == "cancelled"
    assert outcome.wall_seconds < 5


def test_the_cpu_time_of_all_calls_counts(tmp_path: Path):
    busy = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
    further = Further((shell(busy),), "found")
    outcome, _ = run(tmp_path, shell(busy, then=lambda _text: further))
    alone, _ = run(tmp_path, shell(busy))
    assert outcome.stages[0].cpu_seconds > 1.2 * alone.stages[0].cpu_seconds > 0


def test_a_report_is_asked_for_by_a_configuration_of_one_call(tmp_path: Path):
    outcome, events = run(tmp_path, shell(WRITE, timed=True))
    assert outcome.result == "success"
    assert times_in(events) == [TimedTest("a", "one", 0.5)]
    started = next(event for event in events if isinstance(event, StepStarted))
    assert "--tool-config-file" not in started.argv, "the command that a person would type"
    assert list(tmp_path.iterdir()) == [], "nothing is left in the workspace"


def test_a_run_of_tests_that_fails_still_tells_of_those_that_passed(tmp_path: Path):
    outcome, events = run(tmp_path, shell(WRITE + "exit 100", timed=True))
    assert outcome.result == "failure"
    assert times_in(events) == [TimedTest("a", "one", 0.5)]


def test_a_report_of_the_users_own_is_read_where_it_is(tmp_path: Path):
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "nextest.toml").write_text('[profile.ci.junit]\npath = "mine.xml"\n')
    report = tmp_path / "target" / "nextest" / "ci" / "mine.xml"
    report.parent.mkdir(parents=True)
    report.write_text(f"<s>{CASE.format('of an earlier run')}</s>")
    host = Host({**Host().environ, "NEXTEST_PROFILE": "ci"})
    _, events = run(tmp_path, shell('test -z "$1"', timed=True), host=host)
    assert times_in(events) == [], "nothing was run"
    script = f"test -z \"$1\" && printf '<s>%s</s>' '{CASE.format('now')}' > {report}"
    outcome, events = run(tmp_path, shell(script, timed=True), host=host)
    assert outcome.result == "success"
    assert times_in(events) == [TimedTest("a", "now", 0.5)]


@pytest.mark.parametrize(
    ("content", "why"),
    [("<s>", "not well-formed"), ("<!DOCTYPE s><s/>", "document type"), ("<s>" + "x" * 5000 + "</s>", "more than")],
)
def test_a_report_that_cannot_be_read_is_a_note_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, why: str
):
    monkeypatch.setattr(junit, "MOST_BYTES", 4000)
    monkeypatch.setattr("buildopt.pipeline.times_report.MOST_BYTES", 4000)
    (tmp_path / "content").write_text(content)
    script = 'cp content "$(sed -n \'s/^path = "\\(.*\\)"$/\\1/p\' "${1#buildopt:}")"'
    outcome, events = run(tmp_path, shell(script, timed=True))
    assert outcome.result == "success"
    assert times_in(events) == []
    assert len(notes_in(events)) == 1
    assert why in notes_in(events)[0]


def test_in_a_job_of_gitlab_the_reports_of_a_run_are_kept_as_one(tmp_path: Path):
    whole = WRITE.replace("<s>%s</s>", "<testsuites>%s</testsuites>")
    gitlab = Host({**Host().environ, "GITLAB_CI": "true"})
    for _ in range(2):
        _, events = run(tmp_path, shell(whole, timed=True), shell(whole, timed=True), host=gitlab)
        assert len(times_in(events)) == 2
        kept = (tmp_path / ".buildopt" / "junit.xml").read_bytes()
        assert len(junit.parse_report(kept)) == 2, "of this run, not of the one before"


def test_a_state_folder_that_cannot_be_made_costs_the_kept_report_and_not_the_run(tmp_path: Path):
    (tmp_path / ".buildopt").write_text("in the way")
    outcome, events = run(tmp_path, shell(WRITE, timed=True), host=Host({**Host().environ, "GITLAB_CI": "true"}))
    assert outcome.result == "success"
    assert "GitLab is not told" in notes_in(events)[0]
    assert len(times_in(events)) == 1


class FullDisk(Files):
    def write_new(self, path: Path, content: bytes, mode: int = 0o644, *, flush: bool = True) -> None:
        raise MachineRefused(f"cannot write {path}: no space left")


def test_a_full_disk_costs_the_times_and_not_the_run(tmp_path: Path):
    outcome, events = run(tmp_path, shell("printf ran", timed=True), host=Host(files=FullDisk()))
    assert outcome.result == "success"
    assert output(events) == b"ran"
    assert "no space left" in notes_in(events)[0]


def test_what_has_no_report_is_charged_as_a_whole(tmp_path: Path):
    charged = ("(doc)", "dev-test a")
    _, events = run(tmp_path, shell("true", charged_to=charged))
    ((binary, name, seconds),) = times_in(events)
    assert (binary, name) == charged
    assert seconds >= 0
    _, events = run(tmp_path, shell("false", charged_to=charged))
    assert times_in(events) == []
