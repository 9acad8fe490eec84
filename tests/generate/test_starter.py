from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from generate_inputs import OLD_TOOLCHAIN, ROOT, TOOLCHAIN, made_workspace
from syrupy.assertion import SnapshotAssertion

from buildopt.cargo.model import Workspace
from buildopt.generate import starter_noxfile, starter_profile
from buildopt.profile import Loaded, enforce, load

HEAD = '[package]\nname = "{}"\nversion = "0.1.0"\n[dependencies]\n'
FILES = {
    "core/Cargo.toml": HEAD.format("zen-core"),
    "gpu/Cargo.toml": HEAD.format("zen-gpu")
    + 'wgpu = "25"\nplots = { package = "plotters", version = "0.3" }\npolars = { version = "1", optional = true }\n',
    "it/Cargo.toml": HEAD.format("zen-integration-tests"),
}


def loaded(text: str) -> Loaded:
    name = "buildopt.toml"
    found = load(ROOT / name, root=ROOT, read=lambda path: text.encode() if path.name == name else None, environ={})
    enforce(found)
    return found


def test_the_first_profile(snapshot: SnapshotAssertion) -> None:
    text = starter_profile(made_workspace(FILES), TOOLCHAIN)
    assert text == snapshot
    profile = loaded(text).profile
    assert profile.extends == ("dev-fast",)
    assert set(profile.stages) == {"quick-check", "core", "full"}
    assert profile.tests["integration"].packages == ("zen-integration-tests",)
    assert profile.features == {}


@pytest.mark.parametrize(
    "files", [FILES, {"Cargo.toml": HEAD.format("one")}, {"Cargo.toml": HEAD.format("one") + 'polars = "1"\n'}]
)
def test_what_is_offered_in_comments_is_valid_too(files: dict[str, str]) -> None:
    text = starter_profile(made_workspace(files), TOOLCHAIN)
    keys = re.sub(r"^# (?=\[|[a-z-]+ = )", "", text, flags=re.MULTILINE)
    assert keys.count("\n#") < text.count("\n#")
    found = loaded(keys).profile
    assert found.ide is not None
    assert bool(found.features) == any("polars" in text or "wgpu" in text for text in files.values())


def test_an_older_cargo_is_not_asked_for_what_it_lacks() -> None:
    assert loaded(starter_profile(made_workspace(FILES), OLD_TOOLCHAIN)).profile.requires.cargo == ">=1.85"
    assert loaded(starter_profile(made_workspace(FILES), TOOLCHAIN)).profile.requires.cargo == ">=1.94"


def test_a_workspace_without_members_is_no_failure() -> None:
    loaded(starter_profile(Workspace(Path("/none"), Path("/none/target"), (), {}, None, False), TOOLCHAIN))


def test_the_first_noxfile_is_python_and_registers_the_sessions() -> None:
    text = starter_noxfile()
    assert "buildopt.sessions()" in ast.unparse(ast.parse(text))
    assert text.startswith("# /// script\n")
    assert '"buildopt"' in text
