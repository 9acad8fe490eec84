"""A gate that would break the default build of its package is refused, with the reason, and everything is as it was."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROFILE = 'version = 1\n[features.api]\nextra = ["dep:base"]\n'


def sync(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, "-m", "buildopt", "sync", *words],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def files(root: Path) -> dict[str, bytes]:
    left_out = {".buildopt", "target"}
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not left_out & set(path.relative_to(root).parts)
    }


@pytest.fixture
def ws(three_packages: Path) -> Path:
    (three_packages / "buildopt.toml").write_text(PROFILE)
    return three_packages


def test_code_that_needs_the_dependency_is_named(ws: Path):
    before = files(ws)
    result = sync(ws)
    assert result.returncode == 2, result.stderr
    assert "the gates of api would break its default build" in result.stderr
    assert "api/src/lib.rs:1:" in result.stderr
    assert "`base`" in result.stderr
    assert 'cfg(feature = "…")' in result.stderr
    assert files(ws) == before


def test_as_json_it_is_one_document(ws: Path):
    found = json.loads(sync(ws, "--json").stdout)
    assert found["error"]["class"] == "GateRefused"


def test_code_behind_its_feature_is_accepted(ws: Path):
    (ws / "api" / "src" / "lib.rs").write_text('#[cfg(feature = "extra")]\npub fn two() -> u32 { base::one() + 1 }\n')
    (ws / "app" / "src" / "lib.rs").write_text("")
    result = sync(ws)
    assert result.returncode == 0, result.stderr
    manifest = (ws / "api" / "Cargo.toml").read_text()
    assert 'base = { path = "../base", optional = true }' in manifest
    assert 'extra = ["dep:base"]' in manifest


def test_a_gate_that_is_on_by_default_needs_no_probe(ws: Path):
    (ws / "buildopt.toml").write_text(PROFILE + 'default = ["extra"]\n')
    result = sync(ws)
    assert result.returncode == 0, result.stderr
    assert "checking that" not in result.stderr


def test_a_package_that_does_not_build_anyway_is_said_to_be_unverified(ws: Path):
    (ws / "api" / "src" / "lib.rs").write_text("pub fn two() -> u32 { true }\n")
    result = sync(ws)
    assert result.returncode == 0, result.stderr
    assert "could not be verified" in result.stderr
