from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Git = Callable[..., str]


@pytest.fixture
def git(need, tmp_path, monkeypatch) -> Git:
    """Return a function that runs git in a directory, without anybody's configuration."""
    program = need("git")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def run(where: Path, *arguments: str) -> str:
        who = ("-c", "user.name=dev", "-c", "user.email=dev@example.org", "-c", "protocol.file.allow=always")
        done = subprocess.run([program, *who, *arguments], cwd=where, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    return run
