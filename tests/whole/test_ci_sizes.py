"""`ci caches` over what Cargo has really built."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROFILE = """version = 1
[stages.quick-check]
run = ["check"]
[stages.core]
run = ["build"]
[ci]
cache = "workspace"
cache-limit = "1GiB"
[ci.github]
platforms = ["macos-15"]
"""


@pytest.fixture
def ws(three_packages: Path) -> Path:
    (three_packages / "buildopt.toml").write_text(PROFILE)
    (three_packages / "api/build.rs").write_text("fn main() {}\n")
    subprocess.run(["cargo", "generate-lockfile"], cwd=three_packages, check=True, capture_output=True)
    return three_packages


def call(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    words = (sys.executable, "-m", "buildopt", "ci", "caches", *words)
    return subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, check=False)


def caches(root: Path, *words: str) -> dict[str, Any]:
    result = call(root, "--json", *words)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["caches"]


def sizes(found: dict[str, Any]) -> dict[str, int | None]:
    return {entry["key"]: entry["size"] for entry in found["entries"]}


def test_only_what_was_built_is_known(ws):
    assert set(caches(ws)["unknown"]) == {"dev-check", "dev-build", "platform"}
    subprocess.run(["cargo", "check", "-q"], cwd=ws, check=True)
    found = sizes(caches(ws))
    assert found["dev-check"] > 0
    subprocess.run(["cargo", "build", "-q"], cwd=ws, check=True)
    both = caches(ws)
    assert sizes(both)["dev-check"] == pytest.approx(found["dev-check"], rel=0.2)
    assert sizes(both)["dev-build"] > 0
    assert both["fits"] is True
    assert both["total"] == sum(entry["copies"] * entry["stored"] for entry in both["entries"])


def test_dependencies_alone_are_less_than_everything(ws):
    subprocess.run(["cargo", "build", "-q"], cwd=ws, check=True)
    assert sizes(caches(ws, "--set", "ci.cache=dependencies"))["dev-build"] < sizes(caches(ws))["dev-build"]


def test_too_much_is_said_with_what_to_do_and_is_no_failure(ws):
    subprocess.run(["cargo", "build", "-q"], cwd=ws, check=True)
    result = call(ws, "--set", "ci.cache-limit=1KiB")
    assert result.returncode == 0
    assert "more than ci.cache-limit, 1.0 KiB" in result.stdout
    assert 'ci.cache = "dependencies"' in result.stdout
