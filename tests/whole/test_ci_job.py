"""What a run tells GitHub and GitLab, with real builds and with events that never happened."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from buildopt.errors import MachineRefused
from buildopt.host import Files, Host
from buildopt.pipeline.events import Note, Output, RunFinished, RunStarted, StageFinished, StageStarted, StepFinished
from buildopt.show.ci_job import CODE_QUALITY_FILE, CiJob

PROFILE = 'version = 1\n[stages.quick-check]\nrun = ["check"]\n'
BROKEN = b"error: broken\n --> src/lib.rs:3:4\n  |\n3 | x\n  | ^\n\n"


@pytest.fixture
def ws(three_packages: Path) -> Path:
    root = three_packages
    (root / "buildopt.toml").write_text(PROFILE)
    subprocess.run(["cargo", "generate-lockfile"], cwd=root, check=True, capture_output=True)
    (root.parent / ".git").mkdir()  # the repository begins above the workspace
    return root


def call(root: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environ}
    words = ("-m", "buildopt", *words)
    return subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


class Full(Files):
    """A disk that takes nothing more."""

    def append(self, path: Path, content: bytes) -> None:
        raise MachineRefused(f"cannot write {path}: No space left on device")

    def write(self, path: Path, content: bytes, mode: int = 0o644, *, flush: bool = True) -> None:
        raise MachineRefused(f"cannot write {path}: No space left on device")


def a_run(output: bytes = BROKEN, command: str = "run core") -> list[object]:
    step = StepFinished("core", "check", "failure", 1.0, 1.0, 0, lock_wait=False)
    stage = StageFinished(
        "core", "failure", 1.0, 1.0, 0, ("a",), 0, 1, None, None, lock_wait=False, detail="check: exit code 101"
    )
    return [
        RunStarted("id", command, 0.0), Note("a note"), StageStarted("core", ("a",), 3, "a (edited)", None, None),
        Output("stderr", output), step, stage, RunFinished("id", "failure", 1.5),
    ]  # fmt: skip


def told(root: Path, events: list[object], files: Files | None = None, **environ: str) -> list[str]:
    lines: list[str] = []
    job = CiJob(Host(environ, files), root, lines.append)
    for event in events:
        job.consume(event)
    return lines


def test_a_failed_check_is_annotated_and_summed_up(ws, tmp_path):
    (ws / "base/src/lib.rs").write_text("pub fn one() -> u32 { true }\n")
    summary = tmp_path / "summary.md"
    summary.write_text("## before\n")
    result = call(ws, "run", "quick-check", "--json", GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert result.returncode == 1
    assert json.loads(result.stdout)["run"]["result"] == "failure"
    (annotation,) = re.findall(r"^::error .*", result.stderr, re.MULTILINE)
    assert annotation.startswith(
        "::error file=ws/base/src/lib.rs,line=1,col=23,title=mismatched types::error[E0308]: mismatched types%0A"
    )
    text = summary.read_text()
    assert text.startswith("## before\n### buildopt run quick-check: failed in ")
    assert "mismatched types at <code>base&#47;src&#47;lib&#46;rs&#58;1</code>" in text


def test_on_a_developers_machine_nothing_of_it_is_said(ws):
    result = call(ws, "run", "quick-check")
    assert result.returncode == 0
    assert "::" not in result.stderr
    assert not (ws / ".buildopt" / CODE_QUALITY_FILE).exists()


def test_what_a_test_prints_is_no_command_to_github(ws):
    (ws / "app/src/lib.rs").write_text(
        '#[test]\nfn sly() { println!("::error::sly"); println!("::stop-commands::x"); panic!() }\n'
    )
    result = call(ws, "dev-test", "app", GITHUB_ACTIONS="true")
    assert result.returncode == 1
    token = re.search(r"\A::stop-commands::([0-9a-f]{32})\n", result.stderr)
    assert token, result.stderr
    *_, before, after = result.stderr.split(f"\n::{token[1]}::\n")
    assert "::error::sly" not in after.replace("%0A", "\n").splitlines()[0][:9]
    assert [line[:7] for line in after.splitlines() if line.startswith("::")] == ["::error"]
    assert token[1] not in result.stdout + before.split("\n", 1)[1]
    again = call(ws, "dev-test", "app", GITHUB_ACTIONS="true")
    assert token[1] not in again.stderr


def test_gitlab_gets_its_report_and_an_empty_one_when_all_is_well(ws):
    (ws / "base/src/lib.rs").write_text("pub fn one() -> u32 { 1 }\nfn unused() {}\n")
    assert call(ws, "run", "quick-check", GITLAB_CI="true").returncode == 0
    report = ws / ".buildopt" / CODE_QUALITY_FILE
    (entry,) = json.loads(report.read_text())
    assert entry["location"] == {"path": "ws/base/src/lib.rs", "lines": {"begin": 2}}
    (ws / "base/src/lib.rs").write_text("pub fn one() -> u32 { 1 }\n")
    result = call(ws, "run", "quick-check", GITLAB_CI="true")
    assert json.loads(report.read_text()) == []
    assert "::" not in result.stderr


def test_a_full_disk_costs_the_summary_and_nothing_else(ws, tmp_path):
    result = call(ws, "run", "quick-check", GITHUB_STEP_SUMMARY="/dev/full")
    assert result.returncode == 0
    assert "the summary of this job is not written: cannot write /dev/full: No space left on device" in result.stderr
    gone = call(ws, "run", "quick-check", GITHUB_STEP_SUMMARY=str(tmp_path / "gone" / "summary"), GITHUB_ACTIONS="true")
    assert gone.returncode == 0
    assert "the summary of this job is not written" in gone.stderr


def test_nothing_that_can_not_be_written_fails_a_run(tmp_path):
    lines = told(
        tmp_path, a_run(), Full(), GITLAB_CI="true", GITHUB_STEP_SUMMARY=str(tmp_path / "s"), GITHUB_ACTIONS="true"
    )
    assert [line for line in lines if "not written" in line] == [
        f"the Code Quality report is not written: cannot write {tmp_path}/.buildopt/gl-code-quality.json: No space left on device",
        f"the summary of this job is not written: cannot write {tmp_path}/s: No space left on device",
    ]


def test_a_defect_in_the_telling_is_said_once_and_fails_nothing(tmp_path):
    strange = Output("stderr", None)  # type: ignore[arg-type] - no bytes
    lines = told(tmp_path, [RunStarted("id", "run", 0.0), strange, strange, *a_run()], GITHUB_ACTIONS="true")
    assert len([line for line in lines if line.startswith("the CI job is not told of this run")]) == 1


def test_a_summary_that_github_would_drop_is_not_added_to(tmp_path):
    summary = tmp_path / "summary"
    summary.write_bytes(b"x" * ((1 << 20) - 10))
    told(tmp_path, a_run(), GITHUB_STEP_SUMMARY=str(summary))
    assert summary.stat().st_size == (1 << 20) - 10


def test_every_run_of_a_step_adds_its_part(tmp_path):
    summary = tmp_path / "summary"
    for command in ("run quick-check", "dev-test"):
        told(tmp_path, a_run(command=command), GITHUB_STEP_SUMMARY=str(summary))
    assert re.findall("^### buildopt (.*):", summary.read_text(), re.MULTILINE) == ["run quick-check", "dev-test"]


def test_output_without_end_keeps_memory_and_summary_small(tmp_path):
    summary = tmp_path / "summary"
    noise = b"".join(b"error: number %d\n --> src/lib.rs:%d:1\n  |\n\n" % (n, n) for n in range(5000))
    lines = told(tmp_path, a_run(noise), GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert len([line for line in lines if line.startswith("::error")]) == 10
    assert "1990 more errors" in lines[-1]
    assert summary.stat().st_size < 64 * 1024


def test_outside_of_a_repository_no_place_is_told(tmp_path):
    lines = told(tmp_path, a_run(), GITHUB_ACTIONS="true")
    assert any(line.startswith("::error title=broken::") for line in lines)
    (tmp_path / ".git").write_text("gitdir: elsewhere\n")
    lines = told(tmp_path, a_run(), GITHUB_ACTIONS="true")
    assert any(line.startswith("::error file=src/lib.rs,line=3,col=4,title=broken::") for line in lines)
