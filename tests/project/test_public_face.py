"""What others may rely on: the public names, the version, and that importing them costs nothing."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import buildopt

PROJECT = Path(buildopt.__file__).parents[1]
HEAVY = {"jinja2", "jsonschema", "nox", "packaging", "rich", "sqlite3", "tomlkit", "watchfiles"}


def imported_by(statement: str) -> set[str]:
    command = [sys.executable, "-X", "importtime", "-c", statement]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stderr.splitlines()
    return {line.rsplit("|", 1)[1].strip() for line in lines if line.startswith("import time:")}


def test_the_public_names_are_these() -> None:
    assert sorted(buildopt.__all__) == ["__version__", "load", "run", "sessions"]
    assert all(callable(getattr(buildopt, name)) for name in ("load", "run", "sessions"))
    assert sorted(buildopt.__all__) == sorted(dir(buildopt))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lood'"):
        _ = buildopt.lood  # type: ignore[attr-defined]


def test_the_version_is_written_once_for_people_and_once_for_code() -> None:
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert declared == buildopt.__version__ == importlib.metadata.version("buildopt")


@pytest.mark.parametrize(
    "statement",
    ["import buildopt", "import buildopt.cli", "import buildopt.profile", "import buildopt.pipeline"],
)
def test_no_heavy_library_is_imported_at_start_up(statement: str) -> None:
    tops = {name.partition(".")[0] for name in imported_by(statement)}
    assert not tops & HEAVY


def test_importing_buildopt_imports_one_module() -> None:
    assert {"buildopt"} == {name for name in imported_by("import buildopt") if name.startswith("buildopt")}


def test_registering_sessions_needs_nox_and_little_else() -> None:
    tops = {name.partition(".")[0] for name in imported_by("import nox, buildopt; buildopt.sessions")}
    assert not tops & (HEAVY - {"nox", "packaging"})
