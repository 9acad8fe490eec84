"""The example workspace, as cargo and the profile see it."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

import buildopt
from buildopt import profile
from buildopt.host import Command, Host
from buildopt.profile.model import Profile

PROJECT = Path(buildopt.__file__).parents[1]
EXAMPLE = PROJECT / "templates" / "example"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("target", ".buildopt")))


def test_its_profile_uses_every_table_there_is() -> None:
    tables = tomllib.loads((EXAMPLE / "buildopt.toml").read_text())
    assert set(Profile.__dataclass_fields__) == {key.replace("-", "_") for key in tables}


def test_its_profile_loads_and_is_what_the_schema_allows(host: Host) -> None:
    loaded = profile.load(EXAMPLE / "buildopt.toml", root=EXAMPLE, read=host.files.read, environ={})
    profile.enforce(loaded)
    assert not loaded.warnings
    assert loaded.profile.features["tally-chart"] == {"png": ("dep:image",)}


def test_its_lock_file_is_complete(host: Host, example: Path) -> None:
    argv = ("cargo", "metadata", "--format-version", "1", "--locked")
    assert host.run(Command(argv, cwd=example)).returncode == 0


@pytest.mark.slow
def test_it_is_free_of_warnings_and_its_tests_pass(host: Host, example: Path) -> None:
    steps = (
        ("cargo", "fmt", "--all", "--check"),
        ("cargo", "clippy", "--workspace", "--all-targets", "--locked", "--", "-Dwarnings"),
        ("cargo", "test", "--workspace", "--locked"),
    )
    for argv in steps:
        done = host.run(Command(argv, cwd=example))
        assert done.returncode == 0, done.stderr.decode()
