"""The generated workflow from event to required job: its scripts in fresh clones, its conditions read as GitHub reads them.

What an action would do (check out, carry a file from job to job) is done here; what installs something is left out.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.slow

PROFILE = """version = 1
[stages.quick-check]
run = ["check"]
scope = "affected"
[stages.full]
requires = ["quick-check"]
run = ["build"]
[tests.all]
shards = 2
[tests.lower]
packages = ["base"]
[ci]
cache = "none"
[ci.github]
[affected.paths]
"*.md" = []
"""
_WORD = re.compile(r"'[^']*'|[A-Za-z_][\w.*-]*(?P<call>\()?|&&|\|\||!=|==|!|[()]|\d+")
_SIGNS = {"&&": " and ", "||": " or ", "!": " not "}


def git(root: Path, *words: str) -> str:
    author = ["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"]
    return subprocess.run(["git", *author, *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def evaluated(expression: str, known: Mapping[str, Any], upstream: list[str]) -> Any:
    """Return the value of an expression of GitHub; a name that nobody knows is an empty text there."""

    def python(word: re.Match[str]) -> str:
        text = word[0]
        if text in _SIGNS or text in ("==", "!=", "(", ")") or text.isdecimal() or text.startswith("'"):
            return _SIGNS.get(text, text)
        return text if word["call"] else repr(known.get(text, ""))

    functions = {
        "always": lambda: True, "cancelled": lambda: False, "failure": lambda: "failure" in upstream,
        "contains": lambda found, item: item in found, "fromJSON": json.loads, "toJSON": json.dumps,
    }  # fmt: skip
    return eval(_WORD.sub(python, expression).strip(), {"__builtins__": {}, **functions})


def filled(text: Any, known: Mapping[str, Any], upstream: list[str]) -> Any:
    whole = re.fullmatch(r"\$\{\{(.*)\}\}", str(text).strip(), re.DOTALL)
    if whole and "${{" not in whole[1]:
        value = evaluated(whole[1], known, upstream)
        return str(value).lower() if isinstance(value, bool) else value
    return re.sub(r"\$\{\{(.*?)\}\}", lambda part: str(evaluated(part[1], known, upstream)), str(text))


class Ran(NamedTuple):
    """What a run of the workflow came to."""

    results: dict[str, str]
    commands: list[str]
    """Calls of buildopt that did something, as `run --only full` and what the group of a job was."""
    log: str


class Runner:
    """A host of CI with one repository, a cache, and artifacts of one run."""

    def __init__(self, folder: Path) -> None:
        from ruamel.yaml import YAML

        self.server, self.folder = folder / "server", folder
        self.cache, self.artifacts = folder / "cache", folder / "artifacts"
        self.cache.mkdir()
        programs = folder / "bin"
        programs.mkdir()
        (programs / "buildopt").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m buildopt "$@"\n')
        (programs / "buildopt").chmod(0o755)
        self.workflow = YAML(typ="safe").load((self.server / ".github/workflows/buildopt.yml").read_text())
        self.base = {
            **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(Path(__file__).parents[2]),
            "CARGO_TARGET_DIR": str(folder / "target"), "CI": "true", "GITHUB_ACTIONS": "true", "CARGO_TERM_COLOR": "never",
        }  # fmt: skip

    def run(self, commit: str, event: str, payload: Any = None, **environ: str) -> Ran:
        self.commit, self.log, self.commands = commit, [], []
        shutil.rmtree(self.artifacts, ignore_errors=True)
        self.artifacts.mkdir()
        (self.folder / "event.json").write_text(json.dumps(payload or {}))
        told = {
            "GITHUB_EVENT_NAME": event,
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_SHA": commit,
            **environ,
        }
        known: dict[str, Any] = {
            "github.event_name": event,
            "github.ref": environ.get("GITHUB_REF", ""),
            "github.run_id": "1",
        }
        results: dict[str, str] = {}
        jobs = self.workflow["jobs"]
        for name, job in jobs.items():
            upstream = [results[each] for each in _ancestors(name, jobs)]
            mine = {**known, "needs.*.result": [results[each] for each in job.get("needs", ())]}
            if not evaluated(str(job.get("if", "always()")).removeprefix("${{").removesuffix("}}"), mine, upstream):
                results[name] = "skipped"
            else:
                matrix = filled(job.get("strategy", {}).get("matrix", ""), mine, upstream)
                rows = matrix["include"] if matrix else [{}]
                assert rows, "an empty matrix is an error at GitHub"
                ends = [self._job(name, job, row, mine, {**self.base, **told}) for row in rows]
                results[name] = "failure" if "failure" in [end for end, _ in ends] else "success"
                known.update((f"needs.{name}.outputs.{key}", value) for key, value in ends[-1][1].items())
            known[f"needs.{name}.result"] = results[name]
        return Ran(results, self.commands, "\n".join(self.log))

    def _job(
        self,
        name: str,
        job: Mapping[str, Any],
        row: Mapping[str, Any],
        known: Mapping[str, Any],
        environ: Mapping[str, str],
    ) -> tuple[str, dict[str, Any]]:
        work, temporary, output = (self.folder / each for each in ("work", "temporary", "output"))
        for folder in (work, temporary):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        known = {**known, "runner.temp": str(temporary), **{f"matrix.{key}": value for key, value in row.items()}}
        environ = {
            **environ,
            "RUNNER_TEMP": str(temporary),
            "GITHUB_OUTPUT": str(output),
            **self.workflow.get("env", {}),
        }
        end = "success"
        for step in job["steps"]:
            asked = str(step.get("if", "success()" if end == "success" else "''")).replace("success()", "1 == 1")
            if not evaluated(asked.removeprefix("${{").removesuffix("}}"), known, [end]) or (
                end == "failure" and "if" not in step
            ):
                continue
            if "uses" in step:
                with_ = {key: filled(value, known, []) for key, value in step.get("with", {}).items()}
                self._action(step["uses"].partition("@")[0], with_, work)
            elif not re.search(r"pip install|rustup ", step["run"]):
                output.write_text("")
                given = {
                    key: str(filled(value, known, []))
                    for key, value in {**job.get("env", {}), **step.get("env", {})}.items()
                }
                if not self._script(f"{name} {row.get('name', '')}", step["run"], work, {**environ, **given}):
                    end = "failure"
                found = re.findall(r"^(\w+)<<(\S+)\n(.*?)\n\2\n", output.read_text(), re.MULTILINE | re.DOTALL)
                known.update((f"steps.{step.get('id')}.outputs.{key}", value) for key, _, value in found)
        return end, {key: filled(value, known, []) for key, value in job.get("outputs", {}).items()}

    def _script(self, name: str, script: str, work: Path, environ: Mapping[str, str]) -> bool:
        words = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script)
        done = subprocess.run(words, cwd=work, env=environ, capture_output=True, text=True, check=False)
        self.log.append(f"[{name}] {script}\n{done.stdout}{done.stderr}exit code {done.returncode}")
        if "buildopt run" in script or "dev-test" in script:
            self.commands.append(name.strip())
        return done.returncode == 0

    def _action(self, action: str, given: Mapping[str, Any], work: Path) -> None:
        match action:
            case "actions/checkout":
                git(work, "init", "-q")
                git(work, "remote", "add", "origin", f"file://{self.server}")
                whole = str(given.get("fetch-depth")) == "0"
                refs = ["+refs/heads/*:refs/remotes/origin/*"] if whole else ["--depth=1"]
                git(work, "fetch", "-q", "origin", *refs, f"+{self.commit}:refs/remotes/here")
                git(work, "checkout", "-q", "--detach", self.commit)
            case "actions/upload-artifact":
                (self.artifacts / given["name"]).mkdir(exist_ok=True)
                shutil.copy(given["path"], self.artifacts / given["name"])
            case "actions/download-artifact":
                if "name" in given:
                    shutil.copytree(self.artifacts / given["name"], given["path"], dirs_exist_ok=True)
                for found in self.artifacts.glob(given.get("pattern", "")) if "pattern" in given else ():
                    shutil.copytree(found, Path(given["path"]) / found.name)
            case "actions/cache/save":
                shutil.copy(given["path"], self.cache)
            case "actions/cache/restore":
                for found in self.cache.iterdir():
                    shutil.copy(found, given["path"])
            case _:
                assert action in ("actions/setup-python", "taiki-e/install-action"), action


def _ancestors(name: str, jobs: Mapping[str, Any]) -> set[str]:
    direct = set(jobs[name].get("needs", ()))
    return direct.union(*(_ancestors(each, jobs) for each in direct))


@pytest.fixture
def runner(three_packages: Path, tmp_path: Path, need: Callable[[str], Path]) -> Runner:
    """Return the host of a synced workspace on `main`."""
    for program in ("cargo-nextest", "git", "bash"):
        need(program)
    server = three_packages.rename(tmp_path / "server")
    (server / "buildopt.toml").write_text(PROFILE)
    (server / ".gitignore").write_text("target\n")
    subprocess.run(["cargo", "generate-lockfile"], cwd=server, check=True, capture_output=True)
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-m", "buildopt", "sync"], cwd=server, env=environ, check=True, capture_output=True)
    git(server, "init", "-q", "-b", "main")
    git(server, "config", "uploadpack.allowAnySHA1InWant", "true")
    commit(server)
    return Runner(tmp_path)


def commit(root: Path) -> str:
    git(root, "add", "-A")
    git(root, "commit", "-qm", "x")
    return git(root, "rev-parse", "HEAD")


def pull_request(runner: Runner, path: str, text: str) -> Ran:
    """Run the workflow for a branch that changes one file, as the merge commit that GitHub makes of it."""
    git(runner.server, "switch", "-q", "-c", "topic", "main")
    (runner.server / path).write_text(text)
    commit(runner.server)
    git(runner.server, "switch", "-q", "--detach", "main")
    git(runner.server, "merge", "-q", "--no-ff", "-m", "merge", "topic")
    merged = git(runner.server, "rev-parse", "HEAD")
    git(runner.server, "switch", "-q", "main")
    git(runner.server, "branch", "-q", "-D", "topic")
    return runner.run(merged, "pull_request", GITHUB_BASE_REF="main", GITHUB_REF="refs/pull/1/merge")


def test_a_change_runs_what_it_affects_and_the_required_job_says_how_it_ended(runner):
    words = pull_request(runner, "README.md", "words")
    assert words.results["required"] == "success", words.log
    assert words.commands == []
    assert words.results["tests"] == words.results["stage-full"] == "skipped"

    good = pull_request(runner, "app/src/lib.rs", "pub fn three() -> u32 { api::two() + 2 }\n#[test]\nfn is() {}\n")
    assert set(good.results.values()) == {"success", "skipped"}, good.log
    assert good.commands == ["stage-quick-check", "stage-full", "tests all 1/2", "tests all 2/2"]
    assert "1 of 3 packages: app (edited)" in good.log
    assert sorted(re.findall(r"PASS .* (\S+ \S+)$", good.log, re.MULTILINE)) == ["app is", "base tests::one_is_one"]

    bad = pull_request(runner, "base/src/lib.rs", "pub fn one() -> u32 { true }\n")
    assert bad.results["stage-quick-check"] == bad.results["tests"] == bad.results["required"] == "failure"
    assert bad.results["stage-full"] == "skipped"
    assert re.search(r"^::error file=base/src/lib\.rs,line=1,col=23,title=mismatched types::", bad.log, re.MULTILINE)


def push(runner: Runner, commit: str) -> Ran:
    payload = {"repository": {"default_branch": "main"}}
    return runner.run(commit, "push", payload, GITHUB_REF="refs/heads/main", GITHUB_REF_TYPE="branch")


def test_what_a_push_took_is_what_the_next_run_balances_by(runner):
    pushed = push(runner, git(runner.server, "rev-parse", "HEAD"))
    assert set(pushed.results.values()) == {"success"}, pushed.log
    (saved,) = runner.cache.iterdir()
    (times,) = json.loads(saved.read_text())["times"].values()
    assert len(times["base"]["tests::one_is_one"]) == 2  # in the group `all`, and in `lower`
    text = saved.read_text()
    second = pull_request(runner, "app/src/lib.rs", "pub fn three() -> u32 { 3 }\n")
    assert set(second.results.values()) == {"success", "skipped"}, second.log
    assert (runner.artifacts / "durations" / "durations.json").read_text() == text
    assert "1 of 3 packages: app (edited)" in second.log
    assert second.commands == ["stage-quick-check", "stage-full", "tests all 1/2", "tests all 2/2"]


def test_a_branch_that_a_push_broke_stays_red_though_the_next_push_touches_only_words(runner):
    (runner.server / "base/src/lib.rs").write_text(
        "pub fn one() -> u32 { 1 }\n#[test]\nfn is_two() { assert_eq!(one(), 2) }\n"
    )
    assert push(runner, commit(runner.server)).results["required"] == "failure"
    (runner.server / "README.md").write_text("words")
    second = push(runner, commit(runner.server))
    assert second.results["tests"] == second.results["required"] == "failure", second.log
    assert "all 3 packages: this is the branch that changes are merged into" in second.log
    assert len(second.commands) == 5, second.commands
