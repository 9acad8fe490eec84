"""What an installation consists of."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import buildopt

PROJECT = Path(buildopt.__file__).parents[1]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    builder = WheelBuilder(str(PROJECT))
    (wheel,) = builder.build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_presets_and_templates_are_shipped_byte_for_byte(shipped: dict[str, bytes]) -> None:
    for top in ("profiles", "templates"):
        here = [
            path
            for path in (PROJECT / top).rglob("*")
            if path.is_file() and not {"target", ".buildopt"} & {*path.parts}
        ]
        assert here
        for path in here:
            assert shipped[f"buildopt/_data/{path.relative_to(PROJECT).as_posix()}"] == path.read_bytes()


def test_only_the_package_is_installed(shipped: dict[str, bytes]) -> None:
    assert {"buildopt", f"buildopt-{buildopt.__version__}.dist-info"} == {name.partition("/")[0] for name in shipped}
    assert not [name for name in shipped if {"target", "__pycache__", ".buildopt"} & {*name.split("/")}]


def test_types_licences_and_the_command_are_there(shipped: dict[str, bytes]) -> None:
    information = f"buildopt-{buildopt.__version__}.dist-info"
    assert "buildopt/py.typed" in shipped
    assert {f"{information}/licenses/LICENSE-MIT", f"{information}/licenses/LICENSE-APACHE"} <= shipped.keys()
    assert b"buildopt = buildopt.cli:run" in shipped[f"{information}/entry_points.txt"]
