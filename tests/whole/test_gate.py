"""The gate as a whole: what it measures, what it asks the record, what it accepts, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from buildopt.bench.arms import Arm
from buildopt.bench.measured import Measured, Sizes
from buildopt.bench.progress import Progress
from buildopt.bench.scenarios import Scenario
from buildopt.cargo.model import Toolchain, Workspace
from buildopt.errors import ArgumentError, ArmFailed, MachineRefused
from buildopt.host import Finished, Host
from buildopt.record import Record
from buildopt.report.gate_view import GateLine, GateView
from buildopt.testing import ScriptedHost, finished
from buildopt.verbs.context import Context
from buildopt.verbs.gate import gate
from buildopt.verbs.gate_measure import artifact_sizes

PROFILE = """version = 1
[bench]
scenarios = ["leaf/build"]
"""


class Builds:
    """A lab in which a build takes what the test says: CPU seconds by scenario, a number each, then the last again."""

    def __init__(self, host: ScriptedHost, seconds: dict[str, list[float]]) -> None:
        self.host = host
        self.seconds = seconds
        self.taken: list[str] = []
        self.external = 0.0
        self.crates: dict[str, float] = {}
        self.target_bytes = 1000
        self.broken: str | None = None
        self.ends_with: BaseException | None = None

    def prepare(self, arm: Arm, scenario: Scenario) -> float:
        if self.broken == scenario.name:
            raise ArmFailed(f"{arm.name}: {scenario.name}: cargo build fails: error[E0432]")
        return 0.0

    def sample(self, arm: Arm, scenario: Scenario) -> Measured:
        self.prepare(arm, scenario)
        if self.ends_with is not None and self.taken:
            raise self.ends_with
        self.taken.append(scenario.name)
        left = self.seconds[scenario.name]
        cpu = left.pop(0) if len(left) > 1 else left[0]
        wall = cpu / (1 - self.external)
        self.host.time += wall
        crates = self.crates if arm.by_crate else {}
        return Measured(wall, cpu, 10**8, self.external, False, True, self.host.time, crates=crates)

    def sizes(self, arm: Arm) -> Sizes:
        return Sizes(self.target_bytes, 100, {"debug/app": 100, "wasm/release/app.wasm": 5000})

    def forget(self, arm: Arm) -> None:
        raise AssertionError("a gate has one arm")


class Ws:
    """A workspace whose builds are scripted."""

    def __init__(self, root: Path, host: ScriptedHost) -> None:
        self.root = root
        self.host = host
        self.steady = {"leaf/build": [1.0], "clean/build": [10.0]}
        self.told: list[str] = []

    def context(self) -> Context:
        context = Context(self.host, self.root)
        context.toolchain = Toolchain("1.95.0", "1.95.0", "x86_64-unknown-linux-gnu", nightly=False)
        context.workspace = Workspace(self.root, self.root / "target", (), {}, 0, True)
        return context

    def gate(self, seconds: dict[str, list[float]] | None = None, *, accept: str | None = None, **lab: Any) -> GateView:
        self.lab = Builds(self.host, {**self.steady, **(seconds or {})})
        for name, value in lab.items():
            setattr(self.lab, name, value)

        @contextmanager
        def open_lab(_context: Context, _note: Callable[[str], None]) -> Iterator[Builds]:
            yield self.lab

        return gate(self.context(), lab=open_lab, accept=accept, tell=self._tell)

    def look(self, accept: str | None = None) -> GateView:
        return gate(self.context(), lab=None, accept=accept)

    def _tell(self, progress: Progress) -> None:
        self.told.append(progress.text)


@pytest.fixture
def ws(tmp_path: Path) -> Ws:
    def git(command: Any) -> Finished:
        return finished("f00dfeed\n")

    (tmp_path / "buildopt.toml").write_text(PROFILE)
    return Ws(tmp_path, ScriptedHost({"git": git}))


def line(view: GateView, subject: str, against: str) -> GateLine:
    return next(each for each in view.lines if (each.subject, each.against) == (subject, against))


def ten_days(ws: Ws) -> None:
    for day in range(10):
        assert not ws.gate({"leaf/build": [1.0 + day % 3 / 100]}).failed


def test_the_first_gate_measures_three_builds_and_passes(ws: Ws) -> None:
    view = ws.gate()
    assert ws.lab.taken == ["leaf/build"] * 3
    assert (view.failed, view.builds) == (False, 3)
    assert line(view, "leaf/build", "history").answer.verdict == "too few runs"


def test_a_regression_is_measured_twice_more_before_it_fails(ws: Ws) -> None:
    ten_days(ws)
    view = ws.gate({"leaf/build": [1.4]})
    assert len(ws.lab.taken) == 5
    answer = line(view, "leaf/build", "history").answer
    assert (answer.verdict, answer.confirmed, view.failed) == ("regression", True, True)


def test_one_slow_measurement_is_no_regression(ws: Ws) -> None:
    ten_days(ws)
    view = ws.gate({"leaf/build": [1.0, 1.5, 1.4, 1.0, 1.0]})
    assert len(ws.lab.taken) == 5
    assert not view.failed
    assert "at first" in line(view, "leaf/build", "history").answer.words


def test_a_regression_stays_one_until_it_is_accepted(ws: Ws) -> None:
    ten_days(ws)
    assert all(ws.gate({"leaf/build": [1.4]}).failed for _ in range(12))
    view = ws.gate({"leaf/build": [1.4]}, accept="the new parser is worth it")
    assert not view.failed
    assert line(view, "leaf/build", "history").accepted == "the new parser is worth it"
    assert line(ws.look(), "leaf/build", "history").answer.value == 1.4, "what was measured last is still known"
    for _ in range(9):
        view = ws.gate({"leaf/build": [1.4]})
    assert line(view, "leaf/build", "history").answer.verdict == "ok"
    assert ws.gate({"leaf/build": [1.9]}).failed, "the new level is held as the old one was"


def test_without_measuring_the_last_measurement_is_judged(ws: Ws) -> None:
    ten_days(ws)
    assert ws.gate({"leaf/build": [1.4]}).failed
    view = ws.look()
    assert (view.failed, view.builds) == (True, 0), "it was measured again then"
    assert line(view, "leaf/build", "history").change is None, "one day is no level"


def test_a_level_that_changed_is_dated(ws: Ws) -> None:
    ten_days(ws)
    for _ in range(3):
        view = ws.gate({"leaf/build": [1.4]})
    change = line(view, "leaf/build", "history").change
    assert change is not None
    assert (change.runs, change.git_sha) == (3, "f00dfeed")


def test_the_crates_that_cost_more_are_named_whatever_the_machine_did_meanwhile(ws: Ws) -> None:
    for _ in range(10):
        ws.gate({"leaf/build": [10.0]}, crates={"base": 2.0, "app": 8.0})
    busy = {"base": 20.0, "app": 16.0, "heavy": 4.0}  # twice as long, all of them, and base five times
    view = ws.gate({"leaf/build": [20.0]}, crates=busy, external=0.5)
    found = [
        (crate.package, crate.seconds, crate.before_seconds) for crate in line(view, "leaf/build", "history").crates
    ]
    assert found == [("base", 10.0, 2.0), ("heavy", 2.0, None)]


@pytest.mark.parametrize("document", ["", "[]", '{"crates": 1}', '{"crates": {"leaf/build": {"a": "x"}}}', "[" * 9999])
def test_a_document_that_says_nothing_of_crates_names_none(ws: Ws, document: str) -> None:
    ten_days(ws)
    with Record.open(ws.host, ws.root / ".buildopt") as record:
        for each in record.experiments("gate", 20):
            record.finish_experiment(each.id, document)
    view = ws.gate({"leaf/build": [1.4]}, crates={"base": 1.0})
    assert (view.failed, line(view, "leaf/build", "history").crates) == (True, ())


def test_another_profile_and_another_compiler_have_their_own_history(ws: Ws) -> None:
    ten_days(ws)
    (ws.root / "buildopt.toml").write_text(PROFILE + "smallest-effect = 5 # how it is built stays the same\n")
    assert line(ws.gate({"leaf/build": [1.0]}), "leaf/build", "history").answer.verdict == "ok"
    (ws.root / "buildopt.toml").write_text(PROFILE + 'edit = "signature"\n')
    assert line(ws.gate({"leaf/build": [1.4]}), "leaf/build", "history").answer.verdict == "too few runs"


def test_a_busy_machine_fails_no_budget(ws: Ws) -> None:
    (ws.root / "buildopt.toml").write_text(f'{PROFILE}[budgets.scenarios]\n"leaf/build" = "2s"\n')
    view = ws.gate(external=0.8)
    answer = line(view, "leaf/build", "budget").answer
    assert answer.verdict == "over, but the machine was busy: not confirmed"
    assert (len(ws.lab.taken), view.failed) == (5, False)
    assert line(ws.gate({"leaf/build": [3.0]}), "leaf/build", "budget").answer.verdict == "over"


@pytest.mark.parametrize(("enforce", "failed"), [(False, False), (True, True)])
def test_below_the_critical_level_only_enforced_budgets_fail(ws: Ws, enforce: bool, failed: bool) -> None:
    text = f'{PROFILE}[budgets]\nenforce = {str(enforce).lower()}\nscenarios = {{ "leaf/build" = "900ms" }}\n'
    (ws.root / "buildopt.toml").write_text(text)
    view = ws.gate()
    assert (line(view, "leaf/build", "budget").answer.level, view.failed) == ("warning", failed)


def test_sizes_are_held(ws: Ws) -> None:
    text = f'{PROFILE}[budgets]\ntarget-size = "1KiB"\nartifacts = {{ "wasm/*/*.wasm" = "1KiB", "gone" = "1KiB" }}\n'
    (ws.root / "buildopt.toml").write_text(text)
    view = ws.gate(target_bytes=1024)
    assert set(ws.lab.taken) == {"leaf/build", "clean/build"}, "the target directory is that of a clean build"
    assert line(view, "size of target", "budget").answer.verdict == "ok"
    wasm = line(view, "artifact wasm/*/*.wasm", "budget").answer
    assert (wasm.level, wasm.value) == ("critical", 5000.0)
    assert wasm.words.endswith("(wasm/release/app.wasm)")
    assert line(view, "artifact gone", "budget").answer.verdict == "too few runs"
    assert view.failed


def test_a_workspace_that_does_not_build_fails_with_the_compilers_words(ws: Ws) -> None:
    view = ws.gate(broken="leaf/build")
    assert view.failed
    assert "error[E0432]" in view.broken[0][1]


def test_what_was_measured_stays_when_it_is_cut_short(ws: Ws) -> None:
    with pytest.raises(KeyboardInterrupt):
        ws.gate(ends_with=KeyboardInterrupt())
    with Record.open(ws.host, ws.root / ".buildopt") as record:
        assert len(record.scenario_history("leaf/build", host_class=_class(ws), rustc="1.95.0")) == 1


def _class(ws: Ws) -> str:
    with Record.open(ws.host, ws.root / ".buildopt") as record:
        return record.experiments("gate")[0].host_class


def test_another_measuring_of_this_workspace_is_said(ws: Ws) -> None:
    @contextmanager
    def taken(_context: Context, _note: Callable[[str], None]) -> Iterator[Builds]:
        raise MachineRefused("another buildopt measures this workspace")
        yield

    with pytest.raises(MachineRefused, match="another"):
        gate(ws.context(), lab=taken)


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_baseline_needs_a_reason(ws: Ws, reason: str) -> None:
    with pytest.raises(ArgumentError, match="expected a reason"):
        ws.look(accept=reason)


def test_with_nothing_to_accept_it_says_so(ws: Ws) -> None:
    assert "nothing to accept" in ws.look(accept="why not").notes[-1]


def test_the_document_of_a_gate_is_in_the_record(ws: Ws) -> None:
    view = ws.gate()
    with Record.open(ws.host, ws.root / ".buildopt") as record:
        (found,) = record.experiments("gate")
    assert (found.id, found.state, found.git_sha) == (view.experiment, "done", "f00dfeed")
    assert json.loads(found.document or "")["verdicts"]


def test_what_lies_in_the_target_directory_counts_where_nothing_was_built(
    ws: Ws, tree: Callable[[Path, dict[str, str]], Path]
) -> None:
    target = tree(
        ws.root / "target", {"web/a/x.wasm": "12345", "web/b/y.wasm": "1", "web/b/y.js": "1", "web/c.wasm/z": ""}
    )
    assert artifact_sizes(ws.host, target, "web/*/*.wasm", {}) == {"web/a/x.wasm": 5, "web/b/y.wasm": 1}
    assert artifact_sizes(ws.host, target, "web/*.wasm", {}) == {}
    assert artifact_sizes(ws.host, target, "web/*/*.wasm", {"web/n/x.wasm": 7, "other": 1}) == {"web/n/x.wasm": 7}


@pytest.mark.slow
def test_a_real_workspace_is_measured_and_held(three_packages: Path, need: Callable[[str], Path]) -> None:
    cargo = need("cargo")
    subprocess.run([cargo, "generate-lockfile", "-q"], cwd=three_packages, check=True)
    scenarios = '"clean/build" = "10m"\n"leaf/check" = "1ms"\n'
    (three_packages / "buildopt.toml").write_text(
        f'version = 1\n[bench]\nscenarios = ["leaf/check"]\n[budgets]\ncrates = 3\n[budgets.scenarios]\n{scenarios}'
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "XDG_CACHE_HOME": str(three_packages.parent),
    }
    summary = three_packages.parent / "gate.md"
    ended = subprocess.run(
        [sys.executable, "-m", "buildopt", "gate", "--json", "--markdown", summary],
        cwd=three_packages, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    document = json.loads(ended.stdout)
    assert (ended.returncode, document["gate"], document["exit_code"]) == (1, "failed", 1)
    found = {(each["subject"], each["against"]): each["verdict"] for each in document["verdicts"]}
    assert found["clean/build", "budget"] == "ok"
    assert found["leaf/check", "budget"] == "over", "its CPU seconds alone are more than a millisecond"
    assert found["crates", "budget"] == "ok"
    assert "leaf&#47;check" in summary.read_text().split("<details>")[0]
    with Record.open(Host(), three_packages / ".buildopt") as record:
        (experiment,) = record.experiments("gate")
    crates = json.loads(experiment.document or "")["crates"]
    assert set(crates["clean/build"]) == {"base", "api", "app"}
