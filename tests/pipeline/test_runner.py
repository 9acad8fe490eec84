from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from buildopt.host import Host
from buildopt.pipeline.events import Event, Note, Output, StageFinished, StepFinished
from buildopt.pipeline.plan import Invocation, PlannedStage, PlannedStep
from buildopt.pipeline.runner import Compiler, Outcome, run_stages


def shell(script: str) -> PlannedStep:
    return PlannedStep("check", (Invocation(("sh", "-c", script), measured=False),))


def planned(name: str, *steps: PlannedStep, timeout: float | None = None, budget: float | None = None) -> PlannedStage:
    return PlannedStage(name, steps, ("core",), 1, "all 1 packages", timeout, budget)


def run(tmp_path: Path, stages: Sequence[PlannedStage], **options: object) -> tuple[Outcome, list[Event]]:
    events: list[Event] = []
    defaults: dict[str, object] = {"env": {}, "compiler": Compiler()}
    outcome = run_stages(
        Host(), tmp_path, stages, run_id="r", command="run x", emit=events.append, **{**defaults, **options}
    )
    return outcome, events


def test_stages_run_in_order_and_their_output_passes_through(tmp_path: Path):
    outcome, events = run(
        tmp_path, [planned("a", shell("printf one; printf two >&2")), planned("b", shell("printf three"))]
    )
    assert outcome.result == "success"
    assert [stage.result for stage in outcome.stages] == ["success", "success"]
    assert (
        b"".join(event.content for event in events if isinstance(event, Output) and event.stream == "stdout")
        == b"onethree"
    )


def test_after_a_failure_the_other_steps_and_stages_do_not_run(tmp_path: Path):
    outcome, _ = run(
        tmp_path, [planned("a", shell("exit 3"), shell("touch second")), planned("b", shell("touch third"))]
    )
    assert outcome.result == "failure"
    assert [stage.result for stage in outcome.stages] == ["failure", "skipped"]
    assert outcome.stages[0].detail == "check: exit code 3"
    assert outcome.stages[1].detail == "a did not pass"
    assert list(tmp_path.iterdir()) == []


def test_a_timeout_covers_the_whole_stage(tmp_path: Path):
    outcome, _ = run(tmp_path, [planned("a", shell("sleep 0.2"), shell("sleep 30"), timeout=0.5)])
    assert outcome.result == "timeout"
    assert outcome.stages[0].wall_seconds < 5


def test_an_enforced_budget_fails_the_stage_and_another_only_reports(tmp_path: Path):
    slow = planned("a", shell("sleep 0.05"), budget=0.001)
    assert run(tmp_path, [slow])[0].result == "success"
    outcome, _ = run(tmp_path, [slow], enforce_budgets=True)
    assert outcome.result == "failure"
    assert "budget" in str(outcome.stages[0].detail)


def test_a_step_that_the_wrapper_failed_is_repeated_without_it(tmp_path: Path):
    script = shell('if [ -n "$WRAP" ]; then echo "the cache broke" >&2; exit 1; fi')
    compiler = Compiler(env={"WRAP": "yes"}, without={"WRAP": None}, is_failure=lambda tail: b"the cache broke" in tail)
    outcome, events = run(tmp_path, [planned("a", script)], compiler=compiler)
    assert outcome.result == "success"
    assert [event.text for event in events if isinstance(event, Note)] == [
        "the compiler cache is not used any more (it failed during the build): this step is repeated without it"
    ]


def test_a_storage_that_stops_to_answer_ends_the_step_and_repeats_it_without_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("buildopt.pipeline.runner._STORAGE_SECONDS", 0.05)
    script = shell('if [ -n "$WRAP" ]; then sleep 30; fi')
    compiler = Compiler(env={"WRAP": "yes"}, without={"WRAP": None}, alive=lambda: False)
    outcome, events = run(tmp_path, [planned("a", script)], compiler=compiler)
    assert outcome.result == "success"
    assert outcome.wall_seconds < 10
    (note,) = [event.text for event in events if isinstance(event, Note)]
    assert "its storage went away" in note


def test_a_failure_of_the_code_is_not_blamed_on_the_wrapper(tmp_path: Path):
    compiler = Compiler(env={"WRAP": "yes"}, without={"WRAP": None}, is_failure=lambda tail: b"cache" in tail)
    outcome, _ = run(tmp_path, [planned("a", shell("echo error: mismatched types >&2; exit 101"))], compiler=compiler)
    assert outcome.result == "failure"


def test_a_skipped_step_is_told_with_its_reason(tmp_path: Path):
    _, events = run(tmp_path, [planned("a", PlannedStep("check", (), "covered by clippy"), shell("true"))])
    (skipped,) = [event for event in events if isinstance(event, StepFinished) and event.result == "skipped"]
    assert skipped.detail == "covered by clippy"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_run_and_leaves_no_process(tmp_path: Path, number: signal.Signals):
    before = signal.getsignal(number)
    script = f"sh -c 'sleep 60 & echo $! > {tmp_path}/pid; wait' & wait"
    threading.Thread(target=_signal_when_there, args=(tmp_path / "pid", number)).start()
    outcome, events = run(tmp_path, [planned("a", shell(script)), planned("b", shell("touch never"))])
    assert outcome.result == "cancelled"
    assert outcome.cancelled_by == number.name
    assert [stage.result for stage in outcome.stages] == ["cancelled", "skipped"]
    assert not (tmp_path / "never").exists()
    assert not _alive(int((tmp_path / "pid").read_text()))
    assert signal.getsignal(number) == before
    assert isinstance(events[-2], StageFinished)


def _signal_when_there(path: Path, number: signal.Signals) -> None:
    while not (path.exists() and path.read_text().endswith("\n")):
        time.sleep(0.01)
    os.kill(os.getpid(), number)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
