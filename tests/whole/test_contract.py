"""The contract that scripts rely on: exit codes, and exactly one JSON document on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from buildopt.host import Host
from buildopt.record import Record

Tree = Callable[[Path, Mapping[str, str]], Path]
PROFILE = """version = 1
[cargo.profile.quick]
inherits = "dev"
debug = "line-tables-only"
[stages.quick-check]
run = ["check"]
scope = "affected"
budget = "10m"
timeout = "5m"
[stages.core]
requires = ["quick-check"]
run = ["build", "test"]
cargo-profile = "quick"
[tests.lower]
packages = ["base"]
"""


@pytest.fixture
def ws(three_packages: Path) -> Path:
    (three_packages / "buildopt.toml").write_text(PROFILE)
    (three_packages / ".gitignore").write_text("target\n")
    subprocess.run(["cargo", "generate-lockfile"], cwd=three_packages, check=True, capture_output=True)
    git(three_packages, "init", "-q", "-b", "main")
    commit(three_packages)
    return three_packages


def git(root: Path, *words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", *words], cwd=root, check=True, capture_output=True
    )


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")


def call(root: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environ}
    return subprocess.run(
        [sys.executable, "-m", "buildopt", *words],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def document(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found = json.loads(result.stdout)
    assert found["version"] == 1
    assert result.stdout.count("\n") == 1
    assert "Traceback" not in result.stderr
    return found


def test_run_tells_of_each_stage(ws: Path):
    result = call(ws, "run", "core", "--json")
    assert result.returncode == 0, result.stderr
    run = document(result)["run"]
    assert run["result"] == "success"
    assert [stage["name"] for stage in run["stages"]] == ["quick-check", "core"]
    quick, core = run["stages"]
    assert quick["packages"] == ["api", "app", "base"]
    assert quick["units"] == {"fresh": 0, "rebuilt": 3}
    assert (quick["budget_seconds"], quick["timeout_seconds"]) == (600.0, 300.0)
    assert core["result"] == "success"
    assert 0 < quick["wall_seconds"] < 300
    assert quick["cpu_seconds"] > 0
    assert {"id", "result", "stages"} <= run.keys()


def test_only_what_an_edit_affects_is_checked(ws: Path):
    assert call(ws, "run", "quick-check").returncode == 0
    (ws / "api" / "src" / "lib.rs").write_text("pub fn two() -> u32 { base::one() + base::one() }\n")
    result = call(ws, "run", "quick-check", "--json")
    (stage,) = document(result)["run"]["stages"]
    assert stage["packages"] == ["api", "app"]
    assert stage["units"] == {"fresh": 1, "rebuilt": 2}
    assert "2 of 3 packages: api (edited), app (depends on api)" in result.stderr


def test_nothing_to_do_is_said_and_is_no_failure(ws: Path):
    assert call(ws, "run", "quick-check").returncode == 0
    result = call(ws, "run", "quick-check", "--json")
    assert result.returncode == 0
    assert document(result)["run"]["result"] == "skipped"
    assert "nothing has changed since main" in result.stderr


def test_a_compile_error_is_exit_code_1_and_shown_as_cargo_shows_it(ws: Path):
    (ws / "base" / "src" / "lib.rs").write_text("pub fn one() -> u32 { true }\n")
    result = call(ws, "run", "core", "--json")
    assert result.returncode == 1
    stages = document(result)["run"]["stages"]
    assert [stage["result"] for stage in stages] == ["failure", "skipped"]
    assert "error[E0308]: mismatched types" in result.stderr


def test_a_failing_test_is_exit_code_1(ws: Path):
    (ws / "app" / "src" / "lib.rs").write_text("#[test]\nfn wrong() { assert_eq!(1, 2); }\n")
    result = call(ws, "dev-test", "app", "--json")
    assert result.returncode == 1
    assert document(result)["run"]["result"] == "failure"


def test_dev_test_takes_a_group_a_package_or_a_part_of_a_name(ws: Path):
    for name, packages in (("lower", ["base"]), ("api", ["api"]), ("one_is", ["api", "app", "base"])):
        result = call(ws, "dev-test", name, "--json")
        assert result.returncode == 0, result.stderr
        (stage,) = document(result)["run"]["stages"]
        assert stage["packages"] == packages


def test_the_profile_says_what_runs_tests(ws: Path, need: Callable[[str], Path]):
    need("cargo-nextest")
    assert "nextest run" in call(ws, "dev-test", "base").stderr
    assert "nextest" not in call(ws, "dev-test", "base", "--set", "cargo.test-runner=cargo").stderr


def test_an_enforced_budget_is_exit_code_1(ws: Path):
    (ws / "buildopt.toml").write_text(PROFILE.replace('"10m"', '"1ms"') + "[budgets]\nenforce = true\n")
    result = call(ws, "run", "quick-check", "--json")
    assert result.returncode == 1
    assert "over its budget" in document(result)["run"]["stages"][0]["detail"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["run", "quick-chek"], 2),
        (["run"], 2),
        (["nonsense"], 2),
        (["run", "core", "--scope", "moon"], 2),
        (["run", "core", "--profile", "missing.toml"], 2),
        (["run", "core", "--root", "missing"], 2),
        (["run", "core", "--set", "cache.wrapper=ccache"], 2),
        (["run", "core", "--set", "requires.cargo='>=99'"], 3),
        (["explain", "stages.core.rum"], 2),
        (["report", "--last", "0"], 2),
        (["dev-test", "--shard", "3/2"], 2),
        (["dev-test", "--shard", "1"], 2),
        (["dev-test", "--shard", "1/٢"], 2),
        (["ci"], 2),
        (["ci", "nonsense"], 2),
        (["ci", "pins"], 2),
        (["ci", "pins", "--adopt", "--check"], 2),
        (["ci", "caches"], 2),
        (["ci", "durations", "export"], 2),
        (["cache"], 2),
        (["ci-matrix", "--set", "tests.lower.packages=['bas']"], 2),
    ],
)
def test_a_wrong_call_is_refused_before_anything_runs(ws: Path, words: list[str], code: int):
    result = call(ws, *words)
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert not (ws / "target").exists()
    as_json = call(ws, *words, "--json")
    assert as_json.returncode == code
    assert document(as_json)["error"]["exit_code"] == code


def test_a_broken_profile_names_every_mistake_at_once(ws: Path):
    (ws / "buildopt.toml").write_text('version = 1\n[stages.a]\nrun = ["chek"]\ntimeout = "2 min"\nrequires = ["b"]\n')
    result = call(ws, "run", "a")
    assert result.returncode == 2
    for words in ("buildopt.toml: stages.a.run", "stages.a.timeout", "stages.a.requires", "check"):
        assert words in result.stderr


def test_a_cargo_profile_of_the_manifest_can_be_named_and_another_is_refused(ws: Path):
    manifest = ws / "Cargo.toml"
    manifest.write_text(manifest.read_text() + '[profile.mine]\ninherits = "dev"\n')
    chosen = ("run", "quick-check", "--set", "stages.quick-check.cargo-profile")
    assert call(ws, *chosen[:3], f"{chosen[3]}=mine").returncode == 0
    refused = call(ws, *chosen[:3], f"{chosen[3]}=mine2")
    assert refused.returncode == 2
    assert "did you mean 'mine'?" in refused.stderr


def test_without_cargo_it_says_how_to_get_it(ws: Path, tmp_path: Path):
    empty = tmp_path / "bin"
    empty.mkdir()
    result = call(ws, "run", "quick-check", PATH=str(empty))
    assert result.returncode == 3
    assert "rustup" in result.stderr


def test_without_a_workspace_it_says_so(tmp_path: Path):
    result = call(tmp_path, "run", "quick-check")
    assert result.returncode == 2
    assert "Cargo.toml" in result.stderr


def test_sync_check_shows_each_edit_and_writes_nothing(ws: Path):
    result = call(ws, "sync", "--check", "--json")
    assert result.returncode == 1
    found = document(result)
    assert found["in_sync"] is False
    assert [(edit["path"], edit["kind"]) for edit in found["edits"]] == [
        (".cargo/buildopt.toml", "create"),
        (".cargo/config.toml", "create"),
        (".gitignore", "modify"),
    ]
    assert "+[profile.quick]" in found["edits"][0]["diff"]
    assert not (ws / ".cargo").exists()


def test_a_second_sync_writes_nothing_and_touches_nothing(ws: Path):
    assert call(ws, "sync").returncode == 0
    assert call(ws, "drift").returncode == 0
    stamps = {path: path.stat().st_mtime_ns for path in (ws / ".cargo").iterdir()}
    assert document(call(ws, "sync", "--json"))["in_sync"] is True
    assert {path: path.stat().st_mtime_ns for path in (ws / ".cargo").iterdir()} == stamps


def test_sync_after_a_dependency_was_added_leaves_the_stale_lock_file_alone(ws: Path):
    manifest, lock = ws / "app" / "Cargo.toml", ws / "Cargo.lock"
    manifest.write_text(manifest.read_text() + 'base = { path = "../base" }\n')
    before = lock.read_bytes()
    result = call(ws, "sync")
    assert result.returncode == 0, result.stderr
    assert lock.read_bytes() == before


def test_what_was_edited_after_a_sync_is_drift_and_is_not_rolled_back_over(ws: Path):
    assert call(ws, "sync").returncode == 0
    ours = ws / ".cargo" / "buildopt.toml"
    ours.write_text(ours.read_text() + "# mine\n")
    assert call(ws, "drift").returncode == 1
    refused = call(ws, "rollback")
    assert refused.returncode == 1
    assert ".cargo/buildopt.toml" in refused.stderr
    assert ours.read_text().endswith("# mine\n")


def test_a_generated_file_that_is_gone_is_written_again(ws: Path):
    assert call(ws, "sync").returncode == 0
    before = files(ws)
    (ws / ".cargo" / "buildopt.toml").unlink()
    stopped = call(ws, "run", "quick-check")
    assert stopped.returncode == 2
    assert "buildopt sync writes it again" in stopped.stderr
    assert call(ws, "sync").returncode == 0
    assert files(ws) == before


def test_rollback_restores_every_byte(ws: Path):
    before = files(ws)
    assert call(ws, "sync").returncode == 0
    assert files(ws) != before
    assert call(ws, "rollback").returncode == 0
    assert files(ws) == before


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not {".git", ".buildopt", "target"} & set(path.relative_to(root).parts)
    }


def test_a_state_folder_that_cannot_be_made_fails_no_run(ws: Path):
    (ws / ".buildopt").write_text("in the way")
    result = call(ws, "run", "quick-check", "--json")
    assert result.returncode == 0, result.stderr
    assert document(result)["run"]["result"] == "success"
    assert "this run is not recorded" in result.stderr


def test_report_and_doctor_are_one_document_each(ws: Path):
    assert call(ws, "run", "quick-check").returncode == 0
    report = document(call(ws, "report", "--json"))
    assert [run["verb"] for run in report["runs"]] == ["run quick-check"]
    assert {unit["package"] for unit in report["units"]} == {"api", "app", "base"}
    with Record.open(Host(), ws / ".buildopt") as record:
        (run,) = record.runs()
    assert (len(run.git_sha or ""), run.dirty) == (40, False)
    doctor = document(call(ws, "doctor", "--json"))
    assert "cargo" in {tool["name"] for tool in doctor["tools"]}


def test_init_writes_two_files_and_never_overwrites(three_packages: Path):
    assert call(three_packages, "init").returncode == 0
    written = files(three_packages)
    assert {"buildopt.toml", "noxfile.py"} <= written.keys()
    (three_packages / "buildopt.toml").write_text("version = 1\n")
    again = call(three_packages, "init")
    assert again.returncode == 0
    assert (three_packages / "buildopt.toml").read_text() == "version = 1\n"
    assert "stays as it is" in again.stderr


def test_a_full_pipe_or_a_closed_one_is_no_bug(ws: Path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    script = f"{sys.executable} -m buildopt profile --reference | head -n 1"
    result = subprocess.run(["sh", "-c", script], cwd=ws, env=environment, capture_output=True, text=True, check=True)
    assert result.stderr == ""


@pytest.mark.parametrize("words", [("nonsense",), ("nonsense", "--json")])
@pytest.mark.parametrize("gone", ["stdout", "stderr"])
def test_an_error_that_nobody_reads_any_more_keeps_its_exit_code(ws: Path, words: tuple[str, ...], gone: str):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, gone: writer}
    result = subprocess.run(
        [sys.executable, "-m", "buildopt", *words], cwd=ws, env=environment, text=True, check=False, **streams
    )
    os.close(writer)
    assert result.returncode == 2
    assert "Traceback" not in (result.stdout or "") + (result.stderr or "")


def test_no_colour_when_nobody_wants_it(ws: Path):
    assert "\033" not in call(ws, "run", "quick-check").stderr
    assert "\033" not in call(ws, "run", "quick-check", NO_COLOR="1").stderr
    assert "\033" in call(ws, "run", "quick-check", "--scope", "workspace", FORCE_COLOR="1").stderr
