from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from meddling import SCRATCH


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a directory in memory where the system has one: thousands of flushes to a shared disk take minutes."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as path:
        yield Path(path)
