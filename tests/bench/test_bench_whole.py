"""`bench` as a whole process on a real workspace: interrupted, gone on with, and nothing left of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildopt.host import Host
from buildopt.record import Record

WORDS = ("--compare", "default,debug=0", "--scenario", "leaf/check", "--pairs", "5", "--json")


def start(root: Path, cache: Path) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(cache),
        "GITHUB_STEP_SUMMARY": str(cache.with_name("summary.md")),
    }
    command = (sys.executable, "-m", "buildopt", "bench", "--root", str(root), *WORDS)
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def measured(root: Path) -> int:
    with Record.open(Host(), root / ".buildopt") as record:
        return sum(len(record.measurements(row.id)) for row in record.experiments("bench"))


def ended(process: subprocess.Popen[str], expected: int) -> dict[str, Any]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == expected, err or out
    document = json.loads(out)
    assert isinstance(document, dict)
    return document


@pytest.mark.slow
def test_interrupted_it_keeps_what_it_has_and_the_same_call_goes_on(
    three_packages: Path, tmp_path: Path, need: Callable[[str], Path]
) -> None:
    need("cargo")
    (three_packages / "buildopt.toml").write_text("version = 1\n")
    subprocess.run(["cargo", "generate-lockfile", "--quiet"], cwd=three_packages, check=True)
    before = {path: path.read_bytes() for path in three_packages.rglob("*") if path.is_file()}
    process = start(three_packages, tmp_path / "cache")
    until = time.monotonic() + 100
    while not measured(three_packages):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    first = ended(process, 130)
    assert first["interrupted"] is True
    assert first["measured"] >= 1

    second = ended(start(three_packages, tmp_path / "cache"), 0)
    assert second["experiment"]["id"] == first["experiment"]["id"]
    assert second["known"] == first["measured"]
    assert [(c["metric"], c["decides"], c["failure"]) for c in second["comparisons"]] == [
        ("cpu", True, None),
        ("wall", False, None),
    ]
    assert second["comparisons"][0]["ratio"] > 0
    told = (tmp_path / "summary.md").read_text().splitlines()
    assert told[-1].startswith("| leaf&#47;check | debug&#61;0 | default | wall | ")
    assert {guard["arm"] for guard in second["guards"]} == {"default", "debug=0"}

    assert {path: path.read_bytes() for path in before} == before, "nothing of the user's is touched"
    assert not (three_packages / "target").exists()
    assert not [path for path in (tmp_path / "cache").rglob("use-*") if path.is_dir()]
