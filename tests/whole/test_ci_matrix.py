"""`ci-matrix` in real repositories: what a change has to pass, and how the workflow is told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROFILE = """version = 1
[stages.quick-check]
run = ["check"]
scope = "affected"
[stages.core]
requires = ["quick-check"]
run = ["build", "test"]
[stages.local]
run = ["fmt"]
[tests.lower]
packages = ["base"]
timeout = "90s"
[tests.upper]
packages = ["ap*"]
shards = 3
[tests.all]
timeout = "auto"
[ci]
stages = ["quick-check", "core"]
[affected.paths]
"*.md" = []
"""


@pytest.fixture
def ws(three_packages: Path, need) -> Path:
    need("git")
    (three_packages / "buildopt.toml").write_text(PROFILE)
    (three_packages / ".gitignore").write_text("target\n.buildopt\n")
    subprocess.run(["cargo", "generate-lockfile"], cwd=three_packages, check=True, capture_output=True)
    git(three_packages, "init", "-q", "-b", "main")
    commit(three_packages)
    return three_packages


def git(root: Path, *words: str) -> str:
    author = ["-c", "user.name=t", "-c", "user.email=t@t"]
    done = subprocess.run(["git", *author, *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(root: Path) -> str:
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    return git(root, "rev-parse", "HEAD")


def call(root: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environ}
    words = ("-m", "buildopt", *words)
    return subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


def matrix(root: Path, *words: str, **environ: str) -> dict[str, Any]:
    result = call(root, "ci-matrix", *words, **environ)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\n") == 1
    found = json.loads(result.stdout)
    assert set(found) == {"version", "lanes", "tests", "matrix", "why"}
    assert found["tests"] == len(found["matrix"]["include"])
    return found


def github(folder: Path, event: str, ref: str, payload: dict[str, Any]) -> dict[str, str]:
    (folder / "event.json").write_text(json.dumps(payload))
    return {
        "GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_EVENT_NAME": event, "GITHUB_REF": f"refs/heads/{ref}",
        "GITHUB_REF_TYPE": "branch", "GITHUB_EVENT_PATH": str(folder / "event.json"), "GITHUB_OUTPUT": str(folder / "output"),
    }  # fmt: skip


def queued(base: str, folder: Path) -> dict[str, str]:
    """Say that the commits since `base` are in the merge queue: a change of which only what it affects runs."""
    return github(folder, "merge_group", "gh-readonly-queue/main/pr-1", {"merge_group": {"base_sha": base}})


def pushed(folder: Path, branch: str = "main", before: str = "0" * 40) -> dict[str, str]:
    return github(folder, "push", branch, {"before": before, "repository": {"default_branch": "main"}})


def outputs(text: str) -> dict[str, str]:
    """Return the outputs of a step as the runner of GitHub Actions reads its file."""
    found, lines = {}, iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        key, end = re.fullmatch(r"(\w+)<<(.+)", line).groups()
        value = []
        for part in lines:
            if part == end:
                break
            value.append(part)
        found[key] = "\n".join(value)
    return found


def test_an_edit_runs_the_stages_and_the_groups_that_cover_what_it_affects(ws, tmp_path):
    before = git(ws, "rev-parse", "HEAD")
    (ws / "app/src/lib.rs").write_text("pub fn three() -> u32 { api::two() + 2 }\n")
    commit(ws)
    found = matrix(ws, **queued(before, tmp_path))
    assert found["lanes"] == ["quick-check", "core"]
    assert found["matrix"]["include"] == [
        *({"name": f"upper {n}/3", "group": "upper", "shard": n, "shards": 3, "timeout": 25} for n in (1, 2, 3)),
        {"name": "all", "group": "all", "shard": 1, "shards": 1, "timeout": 70},
    ]
    assert found["why"] == "1 of 3 packages: app (edited)"


def test_the_workflow_is_told_by_outputs_of_one_line_each(ws, tmp_path):
    (tmp_path / "output").write_text("before<<x\nstays\nx\n")
    printed = matrix(ws, **pushed(tmp_path))
    told = outputs((tmp_path / "output").read_text())
    assert told.pop("before") == "stays"
    assert {key: json.loads(value) for key, value in told.items()} == {
        key: printed[key] for key in ("lanes", "tests", "matrix")
    }
    assert printed["tests"] == 5
    assert {entry["timeout"] for entry in printed["matrix"]["include"] if entry["group"] == "lower"} == {12}


def test_a_change_that_affects_nothing_runs_nothing_and_the_count_says_so(ws, tmp_path):
    before = git(ws, "rev-parse", "HEAD")
    (ws / "README.md").write_text("words")
    commit(ws)
    assert matrix(ws, **queued(before, tmp_path)) == {
        "version": 1, "lanes": [], "tests": 0, "matrix": {"include": []}, "why": "0 of 3 packages: no changed file affects one",
    }  # fmt: skip
    assert outputs((tmp_path / "output").read_text()) == {"lanes": "[]", "tests": "0", "matrix": '{"include": []}'}


def test_a_push_to_the_branch_that_changes_are_merged_into_runs_everything_whatever_it_touched(ws, tmp_path):
    (ws / "base/src/lib.rs").write_text("pub fn one() -> u32 { broken }\n")
    red = commit(ws)
    (ws / "README.md").write_text("words")
    commit(ws)
    for told in (pushed(tmp_path, before=red), pushed(tmp_path)):
        found = matrix(ws, **told)
        assert found["lanes"] == ["quick-check", "core"]
        assert found["tests"] == 5
        assert found["why"] == "all 3 packages: this is the branch that changes are merged into"
    result = call(ws, "run", "--only", "quick-check", "--json", **pushed(tmp_path, before=red))
    run = json.loads(result.stdout)["run"]
    assert run["stages"][0]["packages"] == ["api", "app", "base"]
    assert run["result"] == "failure"


def test_a_push_runs_everything_where_nobody_says_what_changes_are_merged_into(ws, tmp_path):
    (ws / "buildopt.toml").write_text('version = 1\n[stages.a]\nrun = ["check"]\n')
    commit(ws)
    told = github(tmp_path, "push", "topic", {"before": git(ws, "rev-parse", "HEAD")})
    found = matrix(ws, **told)
    assert found["lanes"] == ["a"]
    assert found["why"].startswith("all 3 packages: ")


def test_a_stage_counts_from_the_same_base_as_the_matrix(ws, tmp_path):
    before = git(ws, "rev-parse", "HEAD")
    (ws / "app/src/lib.rs").write_text("pub fn three() -> u32 { api::two() + 2 }\n")
    commit(ws)
    result = call(ws, "run", "--only", "quick-check", "--json", **queued(before, tmp_path))
    (stage,) = json.loads(result.stdout)["run"]["stages"]
    assert stage["packages"] == ["app"]
    whole = call(ws, "run", "--only", "quick-check", "--json", **pushed(tmp_path, before=before))
    assert json.loads(whole.stdout)["run"]["stages"][0]["packages"] == ["api", "app", "base"]


def test_a_stage_that_a_change_leaves_nothing_to_do_is_skipped_though_a_job_has_no_record(ws, tmp_path):
    before = git(ws, "rev-parse", "HEAD")
    (ws / "README.md").write_text("words")
    commit(ws)
    result = call(ws, "run", "--only", "quick-check", "--json", **queued(before, tmp_path))
    assert json.loads(result.stdout)["run"]["result"] == "skipped"
    assert not (ws / "target").exists()


def test_what_is_pushed_to_another_branch_is_compared_as_a_whole(ws, tmp_path):
    git(ws, "switch", "-q", "-c", "topic")
    (ws / "base/src/lib.rs").write_text("pub fn one() -> u32 { broken }\n")
    before = commit(ws)
    (ws / "README.md").write_text("words")
    commit(ws)
    for told in (pushed(tmp_path, "topic", before), pushed(tmp_path, "topic")):
        found = matrix(ws, **told)
        assert found["why"] == "3 of 3 packages: base (edited), api (depends on base), app (depends on api)"


def test_a_base_that_is_given_wins_over_what_ci_says(ws, tmp_path):
    (ws / "base/src/lib.rs").write_text("pub fn one() -> u32 { 2 }\n")
    middle = commit(ws)
    (ws / "app/src/lib.rs").write_text("pub fn three() -> u32 { 3 }\n")
    commit(ws)
    told = queued(git(ws, "rev-parse", "HEAD~2"), tmp_path)
    assert matrix(ws, "--base", middle, **told)["why"] == "1 of 3 packages: app (edited)"
    assert matrix(ws, "--base", "$(touch pwned)", **told)["tests"] == 5
    assert matrix(ws, "--base=--output=pwned", **told)["tests"] == 5
    assert not (ws / "pwned").exists()


def test_a_group_that_names_no_package_is_refused_and_not_left_out(ws, tmp_path):
    result = call(ws, "ci-matrix", "--set", 'tests.lower.packages=["bas"]', **pushed(tmp_path))
    assert result.returncode == 2
    assert "did you mean 'base'?" in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "output").exists()


def test_a_name_of_a_file_is_no_command_to_github(ws, tmp_path):
    before = git(ws, "rev-parse", "HEAD")
    (ws / "x\n::error::sly").write_text("x")
    commit(ws)
    result = call(ws, "ci-matrix", **queued(before, tmp_path))
    assert result.returncode == 0
    assert "sly" in result.stderr
    assert not [line for line in (result.stdout + result.stderr).splitlines() if line.lstrip().startswith("::")]


def test_nox_runs_it_too(ws, tmp_path):
    (ws / "noxfile.py").write_text("import buildopt\n\nbuildopt.sessions()\n")
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **pushed(tmp_path)}
    words = [sys.executable, "-m", "nox", "-s", "ci-matrix"]
    assert subprocess.run(words, cwd=ws, env=environ, capture_output=True, check=False).returncode == 0
    assert json.loads(outputs((tmp_path / "output").read_text())["tests"]) == 5


def test_outputs_that_can_not_be_written_fail_the_plan(ws, tmp_path):
    told = {**pushed(tmp_path), "GITHUB_OUTPUT": str(tmp_path / "gone" / "output")}
    assert call(ws, "ci-matrix", **told).returncode == 3


def test_without_ci_or_stages_there_is_a_matrix_too(ws):
    (ws / "buildopt.toml").write_text("version = 1\n")
    assert matrix(ws)["lanes"] == []
    (ws / "buildopt.toml").write_text('version = 1\n[stages.a]\nrun = ["check"]\n')
    assert matrix(ws)["lanes"] == ["a"]
