from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from generate_inputs import MOLD, OLD_TOOLCHAIN, TOOLCHAIN, made, made_workspace, text_of
from syrupy.assertion import SnapshotAssertion

from buildopt.errors import ManifestError
from buildopt.generate import wanted_paths
from buildopt.profile import load, preset_names
from buildopt.profile.model import Cargo, CargoProfile, Ide, Incremental, Linker, Profile, Watch

APP = {"Cargo.toml": '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n'}
FAST = CargoProfile(
    inherits="dev",
    debug="line-tables-only",
    opt_level=0,
    codegen_units=256,
    build_override=CargoProfile(opt_level=1),
    package={
        "*": CargoProfile(debug=False),
        "serde": CargoProfile(opt_level="s"),
        "syn@2.0.0": CargoProfile(opt_level=3),
    },
)
PROFILE = Profile(
    version=1,
    cargo=Cargo(
        profile={"dev-fast": FAST, "dev": CargoProfile(strip="debuginfo")}, linker=Linker(prefer=("mold",)), jobs=-2
    ),
    incremental=Incremental(local=True),
)


def test_the_generated_files(snapshot: SnapshotAssertion) -> None:
    result = made(PROFILE, APP, linkers={"mold": MOLD})
    assert {path: content.decode() if content else None for path, content in result.files.items()} == snapshot
    assert result.notes == ()


def test_the_generated_files_of_an_older_cargo(snapshot: SnapshotAssertion) -> None:
    files = {**APP, ".cargo/config.toml": "[net]\noffline = true\n"}
    result = made(PROFILE, files, toolchain=OLD_TOOLCHAIN, linkers={"mold": MOLD})
    assert text_of(result, ".cargo/config.toml") == snapshot
    assert result.files[".cargo/buildopt.toml"] is None
    assert result.files[".cargo/buildopt.host.toml"] is None
    assert any("linker and jobs are left out" in note for note in result.notes)
    newer = made(
        PROFILE, {**files, ".cargo/config.toml": text_of(result, ".cargo/config.toml")}, linkers={"mold": MOLD}
    )
    assert text_of(newer, ".cargo/config.toml").endswith("\n[net]\noffline = true\n")


def test_the_committed_file_does_not_depend_on_the_machine() -> None:
    one = made(PROFILE, APP, linkers={"mold": MOLD}, cores=64)
    other = made(PROFILE, APP, cores=2, memory_bytes=None, toolchain=TOOLCHAIN._replace(host="aarch64-apple-darwin"))
    for path in (".cargo/buildopt.toml", ".cargo/config.toml", ".gitignore"):
        assert one.files[path] == other.files[path]


def test_an_empty_profile_generates_no_cargo_file() -> None:
    result = made(Profile(version=1), APP)
    assert result.files == {
        ".cargo/buildopt.toml": None, ".cargo/buildopt.host.toml": None, ".cargo/config.toml": None, ".gitignore": b"/.buildopt/\n",
    }  # fmt: skip


def test_the_file_of_locations_is_ignored_where_it_is_not_in_the_state_folder() -> None:
    for path, lines in (
        (".bacon-locations", b"/.buildopt/\n/.bacon-locations\n"),
        (".buildopt/here", b"/.buildopt/\n"),
    ):
        assert made(Profile(version=1, watch=Watch(locations=path)), APP).files[".gitignore"] == lines


def test_what_is_no_longer_wanted_goes() -> None:
    first = made(PROFILE, {**APP, ".cargo/config.toml": "[net]\noffline = true\n"}, linkers={"mold": MOLD})
    files = {path: content for path, content in first.files.items() if content is not None}
    after = made(Profile(version=1), {**APP, **files})
    assert after.files[".cargo/buildopt.toml"] is None
    assert after.files[".cargo/buildopt.host.toml"] is None
    assert text_of(after, ".cargo/config.toml") == "[net]\noffline = true\n"


@pytest.mark.parametrize("path", [".cargo/buildopt.toml", ".cargo/buildopt.host.toml"])
@pytest.mark.parametrize("profile", [PROFILE, Profile(version=1)])
def test_a_file_of_somebody_else_is_never_overwritten(path: str, profile: Profile) -> None:
    with pytest.raises(ManifestError) as raised:
        made(profile, {**APP, path: "[build]\n"})
    assert str(raised.value.problems[0]).startswith(f"{path}: exists and was not written by buildopt")


def test_problems_of_all_files_come_together() -> None:
    files = {**APP, ".cargo/buildopt.toml": "", ".cargo/config.toml": "include = 1\n", ".gitignore": b"\xff"}
    with pytest.raises(ManifestError) as raised:
        made(Profile(version=1, cargo=PROFILE.cargo, features={"ap": {"x": ()}}), files)
    assert {problem.file for problem in raised.value.problems} == {".cargo/buildopt.toml", ".gitignore", None}


def test_a_setting_that_this_cargo_refuses_is_left_out_and_told() -> None:
    old = TOOLCHAIN._replace(cargo="1.70.0", rustc="1.70.0")
    result = made(PROFILE, APP, toolchain=old)
    table = tomllib.loads(text_of(result, ".cargo/config.toml"))["profile"]["dev-fast"]
    assert "debug" not in table
    assert any(
        note.startswith('profile.dev-fast.debug is left out: takes "line-tables-only" since Cargo 1.71')
        for note in result.notes
    )


def test_a_setting_in_a_place_where_cargo_refuses_it_is_left_out_and_told() -> None:
    profile = Profile(version=1, cargo=Cargo(profile={"dev": CargoProfile(package={"serde": CargoProfile(lto=True)})}))
    result = made(profile, APP)
    assert result.files[".cargo/buildopt.toml"] is None
    assert "profile.dev.package.serde.lto is left out: Cargo takes lto for a whole Cargo profile only" in result.notes


@pytest.mark.parametrize("local", [True, False])
def test_incremental_is_a_key_of_the_dev_profile(local: bool) -> None:
    result = made(Profile(version=1, incremental=Incremental(local=local, ci=True)), APP)
    assert tomllib.loads(text_of(result, ".cargo/buildopt.toml")) == {"profile": {"dev": {"incremental": local}}}


def test_incremental_here_and_not_in_ci_is_what_cargo_does_by_itself() -> None:
    result = made(Profile(version=1, incremental=Incremental(local=True, ci=False)), APP)
    assert result.files[".cargo/buildopt.toml"] is None


def test_a_profile_that_says_it_itself_wins_over_the_incremental_table() -> None:
    cargo = Cargo(profile={"dev": CargoProfile(incremental=False)})
    result = made(Profile(version=1, cargo=cargo, incremental=Incremental(local=True)), APP)
    assert tomllib.loads(text_of(result, ".cargo/buildopt.toml")) == {"profile": {"dev": {"incremental": False}}}


def test_a_file_named_config_is_the_one_that_is_edited() -> None:
    result = made(PROFILE, {**APP, ".cargo/config": "[net]\n", ".cargo/config.toml": "[net]\n"})
    assert text_of(result, ".cargo/config").startswith("include")
    assert text_of(result, ".cargo/config.toml") == "[net]\n"


def test_cargo_takes_all_of_it(tmp_path: Path, tree: Callable, sync: Callable, run_cargo: Callable) -> None:
    root = tree(tmp_path / "ws", {**APP, "src/lib.rs": "", "build.rs": "fn main() {}\n"})
    result = sync(root, PROFILE)
    assert result.notes == ()
    output = run_cargo(root, "check", "-v", "--profile", "dev-fast").stderr.decode()
    assert "--crate-name build_script_build" in output
    assert "debuginfo=line-tables-only" in output
    assert "warning" not in output.replace("profile package spec", "").lower() or "unused" not in output
    assert sync(root, PROFILE).files == result.files


def test_cargo_takes_an_own_include_beside_ours(
    tmp_path: Path, tree: Callable, sync: Callable, run_cargo: Callable
) -> None:
    files = {
        **APP, "src/lib.rs": "", ".cargo/config.toml": '[[include]]\npath = "own.toml"\n', ".cargo/own.toml": "[profile.dev]\ndebug = 1\n",
    }  # fmt: skip
    root = tree(tmp_path / "ws", files)
    sync(root, Profile(version=1, cargo=Cargo(profile={"dev": CargoProfile(debug=0, strip="symbols")})))
    output = run_cargo(root, "check", "-v").stderr.decode()
    assert "-C debuginfo=1" in output  # of two includes the user's own wins
    assert "-C strip=symbols" in output


def test_byte_order_mark_and_windows_line_endings_of_the_users_file_stay() -> None:
    result = made(PROFILE, {**APP, ".cargo/config.toml": b"\xef\xbb\xbf[net]\r\noffline = true\r\n"})
    expected = b'\xef\xbb\xbfinclude = ["buildopt.toml"] # written by buildopt\r\n\r\n[net]\r\noffline = true\r\n'
    assert result.files[".cargo/config.toml"] == expected


def test_only_the_files_that_are_needed_are_asked_for() -> None:
    files = {
        **{f"{name}/Cargo.toml": f'[package]\nname = "{name}"\nversion = "0.1.0"\n' for name in ("a", "b", "c")},
        "user/Cargo.toml": '[package]\nname = "user"\nversion = "0.1.0"\n[dependencies]\na = { path = "../a" }\n',
    }
    workspace = made_workspace(files)
    always = {
        ".cargo/buildopt.host.toml", ".cargo/buildopt.toml", ".cargo/config", ".cargo/config.toml", ".dockerignore",
        ".github/buildopt.pins.toml", ".github/workflows/buildopt.yml", ".gitignore", ".gitlab-ci.yml", ".gitlab/buildopt.yml",
        "Cargo.lock", "Dockerfile", "rust-toolchain", "rust-toolchain.toml",
    }  # fmt: skip
    assert set(wanted_paths(Profile(version=1), workspace)) == always
    gates = Profile(version=1, features={"a": {"x": ()}}, ide=Ide())
    assert set(wanted_paths(gates, workspace)) == always | {
        ".vscode/settings.json", "Cargo.toml", "a/Cargo.toml", "user/Cargo.toml",
    }  # fmt: skip


@pytest.mark.parametrize("preset", preset_names())
def test_cargo_takes_every_preset(
    preset: str, tmp_path: Path, tree: Callable, sync: Callable, run_cargo: Callable
) -> None:
    root = tree(tmp_path / "ws", {**APP, "src/lib.rs": ""})
    text = f'version = 1\nextends = ["{preset}"]\n'.encode()
    profile = load(root / "buildopt.toml", root=root, read=lambda path: text, environ={}).profile
    result = sync(root, profile)
    assert sync(root, profile).files == result.files
    assert "Cargo.toml" not in result.files
    names = [*profile.cargo.profile] if profile.cargo else []
    for name in names or ["dev"]:
        output = run_cargo(root, "check", "--profile", name).stderr.decode()
        assert "warning" not in output
