"""The generated workflow from end to end: synced, held against drift in CI, and its jobs run here, one after the other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
WORKFLOW = ".github/workflows/buildopt.yml"
JOBS = ".gitlab/buildopt.yml"
PROFILE = """version = 1
extends = ["ci"]
[ci]
msrv = true
cache = "workspace"
[ci.github]
[ci.gitlab]
image = "rust:1.95-bookworm"
[tests.all]
shards = 2
[tests.base]
packages = ["base"]
timeout = "auto"
"""


@pytest.fixture
def checkout(tmp_path: Path, three_packages: Path) -> Path:
    """Return a synced workspace under git."""
    manifest = (three_packages / "base" / "Cargo.toml").read_text()
    (three_packages / "base" / "Cargo.toml").write_text(
        manifest.replace("edition", 'rust-version = "1.85"\nedition', 1)
    )
    (three_packages / "buildopt.toml").write_text(PROFILE)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "buildopt").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m buildopt "$@"\n')
    (tmp_path / "bin" / "buildopt").chmod(0o755)
    subprocess.run(["cargo", "generate-lockfile", "--quiet"], cwd=three_packages, check=True)
    assert shell(three_packages, "buildopt sync").returncode == 0
    author = "-c user.name=a -c user.email=a@localhost -c commit.gpgsign=false"
    shell(three_packages, f"git init -q -b main && git add -A && git {author} commit -q -m start", check=True)
    return three_packages


def shell(root: Path, script: str, *, check: bool = False, **environ: str) -> subprocess.CompletedProcess[str]:
    path = f"{root.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(PROJECT), **environ}
    words = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script)
    done = subprocess.run(words, cwd=root, env=env, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert not check or done.returncode == 0, done.stderr
    return done


def edited(root: Path, old: str, new: str) -> None:
    text = (root / "buildopt.toml").read_text()
    assert old in text
    (root / "buildopt.toml").write_text(text.replace(old, new))


def test_a_job_of_ci_generates_what_a_developer_did(checkout: Path) -> None:
    # The preset `ci` has other timeouts and another wrapper in CI: those are what the workflow has, wherever it is made.
    assert "timeout-minutes: 70" in (checkout / WORKFLOW).read_text()
    for environ in ({}, {"CI": "true"}, {"CI": "true", "BUILDOPT_CACHE__DIRECTORY": ".buildopt/sccache"}):
        done = shell(checkout, "buildopt drift", **environ)
        assert (done.returncode, done.stdout) == (0, ""), done.stdout


def test_what_a_person_edits_is_drift_and_only_sync_writes_it_again(checkout: Path) -> None:
    before = (checkout / WORKFLOW).read_text()
    (checkout / WORKFLOW).write_text(before.replace("buildopt drift", "true"))
    assert shell(checkout, "buildopt drift").returncode == 1
    assert shell(checkout, "buildopt run quick-check --only --json").returncode == 0
    assert (checkout / WORKFLOW).read_text() != before
    assert shell(checkout, "buildopt sync").returncode == 0
    assert (checkout / WORKFLOW).read_text() == before


def test_what_is_no_longer_generated_goes_or_stays_with_a_note(checkout: Path) -> None:
    edited(checkout, "[ci.github]\n", "")
    edited(checkout, '[ci.gitlab]\nimage = "rust:1.95-bookworm"\n', "")
    with (checkout / JOBS).open("a") as file:
        file.write("# mine\n")
    done = shell(checkout, "buildopt sync")
    assert done.returncode == 0
    assert not (checkout / WORKFLOW).exists()
    assert (checkout / JOBS).exists()
    assert f"{JOBS} is no longer generated, and stays because it was edited" in done.stderr
    assert (checkout / ".github" / "buildopt.pins.toml").exists()
    shell(checkout, "buildopt rollback", check=True)
    assert (checkout / WORKFLOW).exists()


def test_a_workspace_without_ci_may_have_links_in_these_places(three_packages: Path, tmp_path: Path) -> None:
    (three_packages / "buildopt.toml").write_text("version = 1\n")
    (tmp_path / "elsewhere").mkdir()
    (three_packages / ".gitlab").symlink_to(tmp_path / "elsewhere")
    (three_packages / ".gitlab-ci.yml").symlink_to(tmp_path / "elsewhere" / "ci.yml")
    assert shell(three_packages, f'"{sys.executable}" -m buildopt sync').returncode == 0


def test_a_workspace_below_the_top_of_its_repository_is_told(checkout: Path) -> None:
    assert "at the top of a repository" not in shell(checkout, "buildopt sync", check=True).stderr
    (checkout / ".git").rename(checkout.parent / ".git")
    assert "at the top of a repository" in shell(checkout, "buildopt sync", check=True).stderr


def test_a_profile_that_smuggles_is_refused(checkout: Path) -> None:
    for key, value in (("branch", "x ${{ secrets.T }}"), ("install", "a\n- run: x"), ("branch", "main' || true || '")):
        text = json.dumps(value)
        (checkout / "buildopt.toml").write_text(PROFILE.replace("[ci]\n", f"[ci]\n{key} = {text}\n"))
        done = shell(checkout, "buildopt sync")
        assert done.returncode == 2
        assert f"ci.{key}" in done.stderr


@pytest.mark.slow
def test_its_jobs_run_here_one_after_the_other(
    checkout: Path, tmp_path: Path, need: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ruamel.yaml import YAML

    need("cargo-nextest")
    jobs = YAML(typ="safe").load((checkout / WORKFLOW).read_text())["jobs"]
    temp = tmp_path / "runner"
    temp.mkdir()
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("RUNNER_TEMP", str(temp))

    def run(job: str, step: str, **environ: str) -> str:
        (script,) = (each["run"] for each in jobs[job]["steps"] if each["name"] == step)
        done = shell(checkout, script, **environ)
        assert done.returncode == 0, f"{job}: {step}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    found = outputs(run, temp)
    stages = [name.removeprefix("stage-") for name in jobs if name.startswith("stage-")]
    assert found["lanes"] == stages
    assert found["tests"] == 3
    run("plan", "Begin with nothing where nothing is known")
    run("drift", "Compare generated files with the profile")
    for name in found["lanes"]:
        run(f"stage-{name}", "Make it valid again, by content")
        run(f"stage-{name}", "Run", UNRESTORED="true")
        if any(step["name"] == "Note what was built, by content" for step in jobs[f"stage-{name}"]["steps"]):
            run(f"stage-{name}", "Note what was built, by content")
    ran = 0
    for entry in found["matrix"]["include"]:
        known = {key.upper(): str(value) for key, value in entry.items() if key in ("group", "shard", "shards")}
        assert entry["timeout"] > 10
        run("tests", "Let timeouts follow them")
        ran += "1 passed" in run("tests", "Run", **known)
        run("tests", "Tell how long it took")
        folder = temp / "durations" / f"durations-tests-{entry['group']}-{entry['shard']}"
        folder.mkdir(parents=True)
        shutil.copy(temp / "new-durations.json", folder)
    assert ran == 2  # the one test of the workspace, once in each group
    run("durations", "Put it together")
    assert "one_is_one" in (temp / "durations.json").read_text()
    run("required", "Every lane has passed or had nothing to do", PLAN="success", RESULTS='["success", "skipped"]')


def outputs(run: Callable[..., str], temp: Path) -> Mapping[str, Any]:
    """Return what the job `plan` tells the others, as GitHub reads it."""
    file = temp / "output"
    run("plan", "Tell what this change has to pass", GITHUB_OUTPUT=str(file), GITHUB_ACTIONS="true")
    lines = file.read_text().splitlines()
    return {lines[at].partition("<<")[0]: json.loads(lines[at + 1]) for at in range(0, len(lines), 3)}
