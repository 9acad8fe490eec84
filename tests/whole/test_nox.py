"""buildopt inside nox: as `nox`, as `python noxfile.py`, under `-j`, beside a noxfile's own sessions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROFILE = """version = 1
[stages.quick-check]
run = ["check"]
budget = "1m"
[stages.core]
requires = ["quick-check"]
run = ["build"]
[tests.lower]
packages = ["base"]
"""
NOXFILE = """import nox

import buildopt


@nox.session(python=False)
def mine(session):
    session.log("this is mine")


buildopt.sessions()

if __name__ == "__main__":
    nox.main()
"""


@pytest.fixture
def ws(three_packages: Path) -> Path:
    (three_packages / "buildopt.toml").write_text(PROFILE)
    (three_packages / "noxfile.py").write_text(NOXFILE)
    return three_packages


def call(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(
        [sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in result.stderr
    return result


def sessions(cwd: Path, *words: str) -> dict[str, str]:
    # Without a selection nox lists only what bare `nox` would run.
    result = call(cwd, *words, "--list", "--json", "-t", "buildopt")
    return {entry["session"]: entry["description"] for entry in json.loads(result.stdout)}


def test_there_is_one_session_for_each_stage_and_verb(ws: Path):
    found = sessions(ws, "-m", "nox")
    assert set(found) == {
        "dev-quick", "dev-test", "dev-watch", "quick-check", "core", "sync", "drift", "rollback", "report", "doctor",
        "ci-matrix", "bench-build-times", "bench-incremental", "bench-development-cycle", "tune", "gate",
    }  # fmt: skip
    assert found["quick-check"] == "check for all packages (budget 1m)"
    assert "lower" in found["dev-test"]


def test_it_works_as_a_script_too(ws: Path):
    assert sessions(ws, "noxfile.py") == sessions(ws, "-m", "nox")


def test_nox_may_be_started_from_elsewhere(ws: Path):
    result = call(ws.parent, "-m", "nox", "-f", str(ws / "noxfile.py"), "-s", "quick-check")
    assert result.returncode == 0, result.stderr


def test_a_required_stage_runs_first_and_once(ws: Path):
    result = call(ws, "-m", "nox", "-s", "core")
    assert result.returncode == 0, result.stderr
    assert result.stderr.index("quick-check passed") < result.stderr.index("core passed")
    assert result.stderr.count("quick-check passed") == 1


def test_what_follows_the_dashes_reaches_the_verb(ws: Path):
    result = call(ws, "-m", "nox", "-s", "quick-check", "--", "--json")
    assert json.loads(result.stdout)["run"]["stages"][0]["name"] == "quick-check"
    wrong = call(ws, "-m", "nox", "-s", "dev-test", "--", "--nonsense")
    assert wrong.returncode == 1
    assert "--nonsense" in wrong.stderr


def test_a_failing_stage_fails_the_session_and_aborts_what_requires_it(ws: Path):
    (ws / "base" / "src" / "lib.rs").write_text("pub fn one() -> u32 { true }\n")
    result = call(ws, "-m", "nox", "-s", "core")
    assert result.returncode == 1
    assert "core: aborted" in result.stderr


def test_sessions_run_at_the_same_time_and_all_are_recorded(ws: Path):
    result = call(ws, "-m", "nox", "-j", "3", "-s", "quick-check", "doctor", "dev-test")
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(call(ws, "-m", "buildopt", "report", "--json").stdout)
    assert sorted(run["verb"] for run in report["runs"]) == ["dev-test", "run quick-check"]


def test_the_noxfiles_own_sessions_stay(ws: Path):
    assert call(ws, "-m", "nox", "-s", "mine").returncode == 0


def test_a_name_that_is_taken_is_said_with_what_to_do(ws: Path):
    (ws / "noxfile.py").write_text(NOXFILE.replace("def mine", "def core"))
    result = call(ws, "-m", "nox", "-l")
    assert result.returncode == 2
    assert "already has a session named 'core'" in result.stderr
    assert "prefix" in result.stderr


def test_a_prefix_keeps_names_apart(ws: Path):
    text = NOXFILE.replace("def mine", "def core").replace("sessions()", 'sessions(prefix="bo-")')
    (ws / "noxfile.py").write_text(text)
    result = call(ws, "-m", "nox", "-s", "bo-core")
    assert result.returncode == 0, result.stderr
    assert "quick-check passed" in result.stderr


def test_a_broken_profile_is_said_in_one_message(ws: Path):
    (ws / "buildopt.toml").write_text("version = [\n")
    result = call(ws, "-m", "nox", "-l")
    assert result.returncode == 2
    assert "buildopt.toml" in result.stderr


def test_without_a_profile_the_verbs_are_there(ws: Path):
    (ws / "buildopt.toml").unlink()
    assert "sync" in sessions(ws, "-m", "nox")
    result = call(ws, "-m", "nox", "-s", "dev-quick")
    assert result.returncode == 1
    assert "buildopt init" in result.stderr
