"""The engine with scripted work: stages that end when the test says so. The clock and the threads are real."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from buildopt.cargo.affected import Reached
from buildopt.errors import BuildoptError, ManifestError
from buildopt.host import Cancel, Host
from buildopt.pipeline.events import Output, StageFinished
from buildopt.pipeline.runner import Outcome
from buildopt.watch.cycle import Cycle
from buildopt.watch.engine import Engine
from buildopt.watch.events import Cancelled, Changed, Idle, Known, Paused, Trouble, Waiting
from buildopt.watch.graph import Graph, StageRule
from buildopt.watch.places import Places
from buildopt.watch.tree import Edit

NAMES = {"id-core": "core", "id-api": "api", "id-tool": "tool"}
REACH = {"core.rs": {"id-core", "id-api"}, "api.rs": {"id-api"}, "tool.rs": {"id-tool"}, "notes.md": set()}


def graph(quiet: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Graph:
    def reach(path: str) -> Reached:
        packages = REACH.get(path)
        return Reached(frozenset(NAMES), f"{path} steers") if packages is None else Reached(frozenset(packages), None)

    stages = (
        StageRule("quick-check", False, quiet[0]),
        StageRule("core", False, quiet[1]),
        StageRule("full", True, quiet[2]),
    )
    return Graph(NAMES, reach, lambda paths: " ".join(sorted(paths)), stages, frozenset({"Cargo.toml", "Cargo.lock"}), Places((), (), ()))  # fmt: skip


class Scripted:
    """Work whose stages end at once, unless they are held."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, tuple[str, ...]]] = []
        self.results: dict[str, str] = {}
        self.held: set[str] = set()
        self.release = threading.Event()
        self.readings: list[Graph | BuildoptError] = []
        self.said: dict[str, bytes] = {}

    def run(self, stage: str, packages: Any, why: str, cancel: Cancel, emit: Callable[[Any], None]) -> Outcome:
        self.ran.append((stage, tuple(NAMES[each] for each in packages)))
        emit(Output("stderr", self.said.get(stage, b"")))
        result = self.results.get(stage, "success")
        if stage in self.held:
            while not cancel.requested and not self.release.is_set():
                time.sleep(0.002)
            result = "cancelled" if cancel.requested else result
        ended = StageFinished(stage, result, 0.1, 0.2, 0, (), 0, 0, None, None, lock_wait=False)  # type: ignore[arg-type]
        emit(ended)
        return Outcome("id", result, 0.1, (ended,))  # type: ignore[arg-type]

    def read(self, cancel: Cancel) -> Graph:
        del cancel
        found = self.readings.pop(0)
        if isinstance(found, BuildoptError):
            raise found
        return found

    def look(self) -> None:
        return None


class Bench:
    """An engine in a thread of its own, and what it told."""

    def __init__(self, passed: Mapping[str, list[str]], quiet: tuple[float, float, float]) -> None:
        self.work = Scripted()
        self.events: list[Any] = []
        self.cycles: list[tuple[Cycle, str, str | None, float | None]] = []
        self.stop = Cancel()
        self.files: dict[str, str | None] = {}
        self.engine = Engine(
            Host(),
            graph(quiet),
            self.work,
            passed=passed,
            why="since main",
            tell=self.events.append,
            keep=lambda *facts: self.cycles.append(facts),
        )
        self.keys = TypedKeys()
        self.thread = threading.Thread(target=self.engine.watch, args=(self.stop,), kwargs={"keys": self.keys})

    def edit(self, **files: str | None) -> None:
        edits = []
        for name, content in files.items():
            path = name.replace("_", ".") if name.endswith(("_rs", "_md", "_toml", "_lock")) else name
            edits.append(Edit(path, self.files.get(path, "start"), content))
            self.files[path] = content
        self.engine.edits(tuple(edits))

    def until(self, condition: Callable[[], bool], what: str = "") -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, f"{what}: {self.events}"
            assert self.thread.is_alive(), self.events
            time.sleep(0.002)

    def told(self, kind: type) -> list[Any]:
        return [event for event in list(self.events) if isinstance(event, kind)]

    def rest(self, times: int) -> None:
        self.until(lambda: len(self.told(Idle)) >= times, f"{times} rests")

    def settle(self) -> None:
        """Wait until an edit can no longer have been there before the end of the last stage."""
        time.sleep(0.12)


class TypedKeys:
    def __init__(self) -> None:
        self.wake = Cancel()
        self.names: list[str] = []

    def type(self, name: str) -> None:
        self.names.append(name)
        self.wake.trigger("key")

    def fileno(self) -> int:
        return self.wake.fileno()

    def read(self) -> list[str]:
        names, self.names = self.names, []
        return names


@pytest.fixture
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    options = getattr(request, "param", {})
    all_passed = {stage: list(NAMES) for stage in ("quick-check", "core", "full")}
    made = Bench(options.get("passed", all_passed), options.get("quiet", (0.0, 0.0, 0.0)))
    made.thread.start()
    made.rest(1) if "passed" not in options else None
    yield made
    made.stop.trigger("SIGTERM")
    made.thread.join(10)
    assert not made.thread.is_alive()
    made.stop.close()
    made.keys.wake.close()


def test_an_edit_runs_every_stage_for_what_it_affects(bench: Bench):
    bench.edit(core_rs="1")
    bench.rest(2)
    assert bench.work.ran == [
        ("quick-check", ("core", "api")),
        ("core", ("core", "api")),
        ("full", ("core", "api", "tool")),
    ]
    (changed,) = bench.told(Changed)
    assert changed == (("core.rs",), ("core", "api"), 3, "core.rs")
    idle = bench.told(Idle)[-1]
    assert (idle.result, idle.stage) == ("success", None)
    assert 0 < idle.green_seconds < 5


def test_nothing_runs_at_the_start_when_all_has_passed(bench: Bench):
    assert bench.work.ran == []
    assert bench.told(Idle)[0].result == "success"


@pytest.mark.parametrize("bench", [{"passed": {"quick-check": ["id-tool"]}}], indirect=True)
def test_what_has_not_passed_runs_at_the_start(bench: Bench):
    bench.rest(1)
    assert bench.work.ran[0] == ("quick-check", ("core", "api"))
    assert [stage for stage, _ in bench.work.ran] == ["quick-check", "core", "full"]


def test_an_undo_runs_nothing_and_shows_the_known_result(bench: Bench):
    bench.edit(api_rs="1")
    bench.rest(2)
    bench.settle()
    ran = len(bench.work.ran)
    bench.edit(api_rs="start")
    bench.rest(3)
    bench.edit(api_rs="1")
    bench.rest(4)
    assert len(bench.work.ran) == ran
    assert [event.stage for event in bench.told(Known)] == ["quick-check", "core", "full"] * 2


def test_a_file_that_reaches_nothing_starts_nothing(bench: Bench):
    bench.edit(notes_md="1")
    bench.edit(api_rs="1")
    bench.rest(2)
    assert [event.paths for event in bench.told(Changed)] == [("api.rs",)]


def test_an_edit_ends_what_runs_and_begins_with_the_first_stage(bench: Bench):
    bench.work.held = {"core"}
    bench.edit(core_rs="1")
    bench.until(lambda: ("core", ("core", "api")) in bench.work.ran)
    bench.settle()
    bench.work.held = set()
    bench.edit(tool_rs="1")
    bench.rest(2)
    assert [stage for stage, _ in bench.work.ran] == ["quick-check", "core", "quick-check", "core", "full"]
    assert bench.work.ran[2:4] == [("quick-check", ("tool",)), ("core", ("core", "api", "tool"))]
    (cancelled,) = bench.told(Cancelled)
    assert cancelled[:2] == ("core", "edit")
    assert [(result, cause) for _, result, cause, _ in bench.cycles] == [("cancelled", "edit"), ("success", None)]
    assert 0 <= bench.cycles[0][3] < 1


def test_what_failed_stays_pending_and_later_stages_do_not_run(bench: Bench):
    bench.work.results["quick-check"] = "failure"
    bench.edit(core_rs="1")
    bench.rest(2)
    assert bench.told(Idle)[-1][:2] == ("failure", "quick-check")
    assert [stage for stage, _ in bench.work.ran] == ["quick-check"]
    bench.work.results.clear()
    bench.edit(tool_rs="1")
    bench.rest(3)
    assert bench.work.ran[1] == ("quick-check", ("core", "api", "tool"))
    assert bench.told(Idle)[-1].result == "success"


def test_a_failure_that_is_undone_is_gone(bench: Bench):
    bench.work.results["quick-check"] = "failure"
    bench.edit(core_rs="1")
    bench.rest(2)
    bench.settle()
    bench.edit(core_rs="start")
    bench.rest(3)
    assert len(bench.work.ran) == 1
    assert bench.told(Idle)[-1].result == "success"


@pytest.mark.parametrize("bench", [{"quiet": (0.0, 0.5, 60.0)}], indirect=True)
def test_a_stage_waits_for_its_quiet_time(bench: Bench):
    begun = time.monotonic()
    bench.edit(core_rs="1")
    bench.until(lambda: len(bench.work.ran) == 2)
    assert time.monotonic() - begun >= 0.45
    assert [event.stage for event in bench.told(Waiting)][:1] == ["core"]
    bench.until(lambda: bench.told(Waiting)[-1].stage == "full")
    bench.keys.type("next")
    bench.rest(2)
    assert bench.work.ran[-1][0] == "full"


def test_a_new_edit_while_a_stage_waits_is_a_cycle_of_its_own():
    bench = Bench({stage: list(NAMES) for stage in ("quick-check", "core", "full")}, (0.0, 60.0, 60.0))
    bench.thread.start()
    try:
        bench.rest(1)
        bench.edit(core_rs="1")
        bench.until(lambda: bool(bench.told(Waiting)))
        bench.edit(core_rs="2")
        bench.until(lambda: len(bench.told(Waiting)) == 2)
        assert [(result, cause) for _, result, cause, _ in bench.cycles] == [("success", None)]
    finally:
        bench.stop.trigger("SIGTERM")
        bench.thread.join(10)


def test_a_pause_holds_edits_back(bench: Bench):
    bench.keys.type("pause")
    bench.until(lambda: bench.told(Paused) == [Paused(True)])
    bench.edit(core_rs="1")
    bench.until(lambda: bool(bench.told(Changed)))
    bench.settle()
    assert bench.work.ran == []
    bench.keys.type("pause")
    bench.rest(2)
    assert bench.work.ran[0] == ("quick-check", ("core", "api"))


@pytest.mark.parametrize(("key", "stages"), [("rerun", ["quick-check"]), ("full", ["full"])])
def test_keys_run_stages_again(bench: Bench, key: str, stages: list[str]):
    bench.edit(core_rs="1")
    bench.rest(2)
    ran = len(bench.work.ran)
    bench.keys.type(key)
    bench.rest(3)
    assert [stage for stage, _ in bench.work.ran[ran:]] == stages


def test_quit_ends_the_watch(bench: Bench):
    bench.work.held = {"quick-check"}
    bench.edit(core_rs="1")
    bench.until(lambda: bool(bench.work.ran))
    bench.keys.type("quit")
    bench.thread.join(10)
    assert not bench.thread.is_alive()
    assert bench.told(Cancelled)[0][:2] == ("quick-check", "key")


def test_a_manifest_is_read_before_anything_runs_for_it(bench: Bench):
    bench.work.readings = [graph()]
    bench.edit(Cargo_toml="1")
    bench.rest(2)
    assert bench.work.readings == []
    assert bench.work.ran[0] == ("quick-check", ("core", "api", "tool"))


def test_a_manifest_that_does_not_parse_is_said_and_the_old_graph_kept(bench: Bench):
    bench.work.readings = [ManifestError("Cargo.toml: expected a key"), graph()]
    bench.edit(Cargo_toml="broken")
    bench.rest(2)
    assert bench.work.ran == []
    assert "expected a key" in bench.told(Trouble)[0].text
    assert bench.told(Idle)[-1][:2] == ("failure", None)
    bench.edit(Cargo_toml="start")
    bench.rest(3)
    assert bench.work.ran == []
    assert bench.told(Idle)[-1].result == "success"


def test_the_lock_file_that_cargo_writes_does_not_end_the_stage_that_writes_it(bench: Bench):
    bench.work.held = {"quick-check"}
    bench.edit(core_rs="1")
    bench.until(lambda: bool(bench.work.ran))
    bench.work.readings = [graph()]
    bench.edit(Cargo_lock="1")
    bench.settle()
    bench.work.held = set()
    bench.work.release.set()
    bench.rest(2)
    assert bench.told(Cancelled) == []
    assert bench.work.readings == []
    assert [stage for stage, _ in bench.work.ran] == ["quick-check", "quick-check", "core", "full"]


def test_an_edit_just_after_the_end_of_a_stage_takes_its_pass_back(bench: Bench):
    """The compiler may have read what the watcher had not yet seen."""
    bench.work.results["core"] = "failure"
    bench.edit(api_rs="1")
    bench.rest(2)
    bench.edit(api_rs="2")
    bench.rest(3)
    bench.settle()
    ran = len(bench.work.ran)
    bench.edit(api_rs="1")
    bench.rest(4)
    assert bench.work.ran[ran] == ("quick-check", ("api",))


def test_first_diagnostic_and_affected_packages_are_kept_of_a_cycle(bench: Bench):
    bench.work.said["quick-check"] = (
        b"error[E0308]: mismatched types\n --> src/lib.rs:1:2\n  |\n\nerror: could not compile\n"
    )
    bench.work.results["quick-check"] = "failure"
    bench.edit(core_rs="1")
    bench.rest(2)
    (cycle, result, cause, _) = bench.cycles[-1]
    row = cycle.row(result, total_packages=3, host_class="x")
    assert (row.packages, row.total_packages, row.edits, row.stage) == (2, 3, 1, "quick-check")
    assert row.first_diagnostic_seconds is not None
    assert row.first_diagnostic_seconds < 5
    assert (row.green_seconds, cause, row.cpu_seconds) == (None, None, 0.2)


def test_once_ends_when_nothing_is_left_to_do():
    bench = Bench({}, (0.0, 0.0, 0.0))
    with bench.stop:
        bench.engine.watch(bench.stop, once=True)
    assert [stage for stage, _ in bench.work.ran] == ["quick-check", "core", "full"]


def test_a_bug_in_the_work_is_not_swallowed(monkeypatch: pytest.MonkeyPatch):
    bench = Bench({}, (0.0, 0.0, 0.0))
    monkeypatch.setattr(bench.work, "run", lambda *_: 1 / 0)
    with bench.stop, pytest.raises(ZeroDivisionError):
        bench.engine.watch(bench.stop, once=True)


def test_a_missing_tool_is_said_and_the_watch_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    del tmp_path
    run = bench.work.run

    def refuse(*_: Any) -> Outcome:
        raise ManifestError("no clippy here")

    monkeypatch.setattr(bench.work, "run", refuse)
    bench.edit(core_rs="1")
    bench.rest(2)
    assert bench.told(Idle)[-1].result == "failure"
    monkeypatch.setattr(bench.work, "run", run)
    bench.edit(core_rs="2")
    bench.rest(3)
    assert bench.told(Idle)[-1].result == "success"
