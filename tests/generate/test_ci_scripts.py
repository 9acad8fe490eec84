"""What the shell of a job does, with a buildopt that only says how it was called."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from ci_profiles import github, gitlab, profile

Run = Callable[..., tuple[int, list[str]]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs a script as the host would; it returns the exit code, and the calls of buildopt."""
    stub = tmp_path / "bin" / "buildopt"
    stub.parent.mkdir()
    stub.write_text('#!/bin/sh\necho "$*" >> "$CALLS"\nexit "${CODE:-0}"\n')
    stub.chmod(0o755)

    def call(script: str, shell: str = "bash", **environ: str) -> tuple[int, list[str]]:
        calls = tmp_path / "calls"
        calls.write_text("")
        known = {"PATH": f"{stub.parent}:/usr/bin:/bin", "CALLS": str(calls), "RUNNER_TEMP": str(tmp_path), **environ}
        words = ("bash", "--noprofile", "--norc", "-eo", "pipefail") if shell == "bash" else ("sh", "-e")
        found = subprocess.run([*words, "-c", script], cwd=tmp_path, env=known, capture_output=True, check=False)
        return found.returncode, calls.read_text().splitlines()

    return call


def step(workflow: str, job: str, name: str) -> Mapping[str, str]:
    from ruamel.yaml import YAML

    steps = YAML(typ="safe").load(workflow)["jobs"][job]["steps"]
    (found,) = (each for each in steps if each["name"] == name)
    return dict(found)


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 1), (2, 2), (4, 4), (5, 0)])
def test_drift_that_is_only_moved_pins_fails_nobody(code: int, ends: int, run: Run) -> None:
    script = step(github(profile()), "drift", "Compare generated files with the profile")["run"]
    assert run(script, CODE=str(code)) == (ends, ["drift"])


@pytest.mark.parametrize(
    ("plan", "others", "passes"),
    [
        ("success", ("success", "success"), True),
        ("success", ("success", "skipped"), True),
        ("success", ("success", "failure"), False),
        ("success", ("cancelled", "success"), False),
        ("failure", ("skipped", "skipped"), False),
        ("cancelled", ("skipped", "skipped"), False),
        ("skipped", ("skipped", "skipped"), False),
        ("", (), False),
    ],
)
def test_the_required_job_passes_when_every_lane_passed_or_had_nothing_to_do(
    plan: str, others: tuple[str, ...], passes: bool, run: Run
) -> None:
    script = step(github(profile()), "required", "Every lane has passed or had nothing to do")["run"]
    results = json.dumps([plan, *others], indent=2)
    assert (run(script, PLAN=plan, RESULTS=results)[0] == 0) is passes


def test_a_group_is_split_where_the_matrix_says_so(run: Run, tmp_path: Path) -> None:
    script = step(github(profile()), "tests", "Run")["run"]
    durations = tmp_path / "durations.json"
    assert run(script, GROUP="all", SHARD="2", SHARDS="4")[1] == [f"dev-test all --shard 2/4 --durations {durations}"]
    assert run(script, GROUP="fast", SHARD="1", SHARDS="1")[1] == ["dev-test fast"]
    hostile = 'x"; touch gone; $(touch gone)'
    assert run(script, GROUP=hostile, SHARD="1", SHARDS="1")[1] == [f"dev-test {hostile}"]
    assert not (tmp_path / "gone").exists()


def test_a_failing_run_fails_its_job(run: Run) -> None:
    script = step(github(profile()), "stage-quick-check", "Run")["run"]
    assert run(script, UNRESTORED="false", CODE="1") == (1, ["run --only quick-check"])
    assert run(script, UNRESTORED="true", CODE="124") == (
        124,
        ["run --only quick-check --scope workspace --set stages.quick-check.timeout=15m"],
    )


def test_durations_that_are_there_are_not_replaced(run: Run, tmp_path: Path) -> None:
    script = step(github(profile()), "plan", "Begin with nothing where nothing is known")["run"]
    file = tmp_path / "durations.json"
    assert run(script)[1] == [f"ci durations export {file}"]
    file.write_text("{}")
    assert run(script)[1] == []


def test_durations_of_all_jobs_are_put_together_whatever_their_number(run: Run, tmp_path: Path) -> None:
    script = step(github(profile()), "durations", "Put it together")["run"]
    for name in ("durations", "durations-tests-all-1", "durations-tests-all-2"):
        (tmp_path / "durations" / name).mkdir(parents=True)
        (tmp_path / "durations" / name / "new.json").write_text("{}")
    merge, export = run(script)[1]
    assert len(merge.removeprefix("ci durations import ").split()) == 3
    assert export == f"ci durations export {tmp_path / 'durations.json'}"


def test_the_oldest_toolchain_runs_its_stage_with_the_settings_as_they_were_meant(run: Run) -> None:
    script = step(github(profile()), "msrv", "Run")["run"]
    expected = (
        "run --only quick-check --scope workspace --set stages.quick-check.timeout=15m"
        ' --set stages.quick-check.run=["check"]'
        " --set stages.quick-check.cargo-profile=dev"
    )
    assert run(script)[1] == [expected]


def test_a_shard_of_gitlab_is_its_node(run: Run) -> None:
    from ruamel.yaml import YAML

    script = YAML(typ="safe").load(gitlab(profile()))["buildopt tests all"]["script"]
    calls = run("\n".join(script[1:]), "sh", CI_NODE_INDEX="2", CI_NODE_TOTAL="2", CI_JOB_ID="7")[1]
    assert calls == [
        "ci durations import .buildopt/durations.json",
        "dev-test all --shard 2/2 --durations .buildopt/durations.json",
        "ci durations export .buildopt/durations/7.json",
    ]
