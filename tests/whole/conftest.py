"""What the tests of whole watches share."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from watching import Watch, workspace


@pytest.fixture
def watched(tmp_path: Path, tree: Callable[[Path, Mapping[str, str]], Path], need: Callable[[str], Path]) -> Path:
    """Return a workspace of three packages with a lock file."""
    need("cargo")
    root = tree(tmp_path / "ws", workspace())
    subprocess.run(["cargo", "generate-lockfile", "--quiet"], cwd=root, check=True)
    return root


@pytest.fixture
def watching(watched: Path) -> Iterator[Watch]:
    """Yield a watch for which everything has passed."""
    watch = Watch(watched)
    watch.until("idle", result="success")
    watch.settle()
    yield watch
    if watch.process.poll() is None:
        watch.end(signal.SIGKILL)
