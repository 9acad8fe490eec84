"""All that a user can do, on real workspaces put together from published crates: one plain, one with procedural macros."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from published import assemble

pytestmark = pytest.mark.slow
# What each has: a package to edit, a package above it, a package whose tests are quick.
CASES = {
    "ripgrep": {"edit": "globset", "above": "ignore", "tests": "grep-matcher"},
    "serde": {"edit": "serde_core", "above": "serde_derive", "tests": "thiserror-impl"},
}


@pytest.fixture(params=sorted(CASES))
def real(request: pytest.FixtureRequest, tmp_path: Path, need: Callable[[str], Path]) -> tuple[str, Path]:
    need("cargo")
    root = assemble(request.param, tmp_path)
    (root / ".gitignore").write_text("target\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "as published")
    return request.param, root


def git(root: Path, *words: str) -> str:
    author = ("-c", "user.name=t", "-c", "user.email=t@t")
    return subprocess.run(["git", *author, *words], cwd=root, check=True, capture_output=True, text=True).stdout


def call(root: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    environment.pop("RUST_BACKTRACE", None)  # with it, anyhow's own tests fail
    result = subprocess.run(
        [sys.executable, "-m", *words], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == code, f"{words}: {result.stdout}{result.stderr}"
    assert "Traceback" not in result.stderr
    return result


def stages(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return {stage["name"]: stage for stage in json.loads(result.stdout)["run"]["stages"]}


def metadata(root: Path) -> dict[str, Any]:
    result = subprocess.run(["cargo", "metadata", "--format-version", "1"], cwd=root, check=True, capture_output=True)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_whole_round(real: tuple[str, Path]):
    name, root = real
    case = CASES[name]
    as_published = metadata(root)

    call(root, "buildopt", "init")
    if name == "ripgrep":  # its own tests share directories, and pass under nextest only now and then
        profile = root / "buildopt.toml"
        profile.write_text(f'{profile.read_text()}\n[cargo]\ntest-runner = "cargo"\n')
    call(root, "nox", "-s", "sync")
    assert metadata(root) == as_published
    call(root, "nox", "-s", "drift")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "built with buildopt")

    members = len(as_published["workspace_members"])
    first = stages(call(root, "buildopt", "dev-quick", "--json"))["quick-check"]
    assert len(first["packages"]) == members
    assert first["units"]["rebuilt"] > members
    assert first["cpu_seconds"] > 1

    source = root / "crates" / case["edit"] / "src" / "lib.rs"
    text = source.read_bytes()
    source.write_bytes(text + b"\n#[doc(hidden)]\npub fn edited_here() {}\n")
    second = stages(call(root, "buildopt", "run", "quick-check", "--json"))["quick-check"]
    assert {case["edit"], case["above"]} <= set(second["packages"])
    assert 0 < second["units"]["rebuilt"] < first["units"]["rebuilt"]
    source.write_bytes(text)

    tested = call(root, "buildopt", "dev-test", case["tests"], "--json")
    assert json.loads(tested.stdout)["run"]["result"] == "success"

    call(root, "nox", "-s", "quick-check", "core", "full")

    report = json.loads(call(root, "buildopt", "report", "--json").stdout)
    assert [run["result"] for run in report["runs"]] == [
        "success", "success", "skipped", "success", "success", "success",
    ]  # the newest first; quick-check has passed and nothing has changed since  # fmt: skip
    doctor = json.loads(call(root, "buildopt", "doctor", "--json").stdout)
    assert [finding for finding in doctor["findings"] if finding["severity"] == "problem"] == []

    call(root, "nox", "-s", "rollback")
    assert git(root, "status", "--porcelain").splitlines() == [
        " D .cargo/buildopt.toml",
        " D .cargo/config.toml",
        " M .gitignore",
    ]
    assert (root / ".gitignore").read_text() == "target\n"


def test_a_member_beside_a_published_package_of_the_same_name_and_version(
    tmp_path: Path, tree: Callable[..., Path], need: Callable[[str], Path]
):
    need("cargo")
    root = tree(
        tmp_path / "ws",
        {
            "Cargo.toml": '[workspace]\nmembers = ["itoa", "user"]\nresolver = "2"\n',
            "itoa/Cargo.toml": '[package]\nname = "itoa"\nversion = "1.0.15"\nedition = "2021"\n',
            "itoa/src/lib.rs": "pub fn here() {}\n",
            "user/Cargo.toml": '[package]\nname = "user"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\nitoa = "=1.0.15"\n',
            "user/src/lib.rs": "",
            "buildopt.toml": 'version = 1\n[stages.quick-check]\nrun = ["check", "clippy", "test"]\n',
        },
    )
    tested = call(root, "buildopt", "dev-test", "itoa", "--json")
    assert stages(tested)["dev-test itoa"]["packages"] == ["itoa"]
    assert "--package itoa@1.0.15" in tested.stderr
