from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ci_profiles import GROUPS, SCCACHE, STAGES, github, gitlab, profile, profiles
from generate_inputs import TOOLCHAIN, made, made_inputs, text_of
from hypothesis import given, settings
from syrupy.assertion import SnapshotAssertion

from buildopt.errors import BadInput, ManifestError, ProfileError
from buildopt.generate import Generated, generate
from buildopt.generate.ci import CI_PATHS, GITLAB_FILE, PINS_FILE, WORKFLOW
from buildopt.generate.ci.mark import is_ours, is_unchanged, marked
from buildopt.generate.ci.pins import Pin, Pins, pins_in, read_pins, with_pins
from buildopt.host import Command, Host
from buildopt.profile.model import Ci, Profile

APP = {"Cargo.toml": '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\nrust-version = "1.85"\n'}
FULL = profile(msrv=False)
INCLUDED = {".gitlab-ci.yml": "include:\n  - local: .gitlab/buildopt.yml\n"}


def without_ci(**changes: str | bytes) -> Generated:
    return generate(made_inputs(Profile(version=1, stages=STAGES), {**APP, **changes}))


def files_of(result: Generated) -> dict[str, bytes]:
    return {path: content for path, content in result.files.items() if path in CI_PATHS and content is not None}


def test_the_workflow_and_the_pins(snapshot: SnapshotAssertion) -> None:
    result = made(FULL, {**APP, **INCLUDED})
    assert text_of(result, WORKFLOW) == snapshot(name="workflow")
    assert text_of(result, PINS_FILE) == snapshot(name="pins")
    assert result.notes == ()


def test_the_jobs_for_gitlab(snapshot: SnapshotAssertion) -> None:
    assert text_of(made(FULL, APP), GITLAB_FILE) == snapshot


@pytest.mark.parametrize("mode", ["workspace", "sccache-local", "sccache-gha", "sccache-s3"])
def test_what_is_kept_between_jobs(mode: str, snapshot: SnapshotAssertion) -> None:
    cache, _, storage = mode.partition("-")
    stages = {"quick-check": STAGES["quick-check"]}
    how = {"cache": cache, "compiler_cache": SCCACHE.get(storage), "msrv": False, "minimal_versions": False}
    result = made(profile(stages=stages, tests={}, **how), APP)
    assert text_of(result, WORKFLOW).partition("  stage-quick-check:")[2] == snapshot(name="github")
    assert text_of(result, GITLAB_FILE) == snapshot(name="gitlab")


def test_nothing_is_generated_for_a_host_that_is_not_named() -> None:
    assert not files_of(without_ci())
    assert set(files_of(made(profile(gitlab=None, msrv=False), APP))) == {WORKFLOW, PINS_FILE}
    assert set(files_of(made(profile(github=None, msrv=False), APP))) == {GITLAB_FILE}
    assert not files_of(made(Profile(version=1, stages=STAGES, ci=Ci()), APP))


def test_the_files_do_not_depend_on_who_generates_them() -> None:
    as_in_ci = profile(msrv=False, stages={**STAGES, "core": STAGES["quick-check"]})
    one = made(FULL, APP, ci_profile=as_in_ci, cores=64)
    other = made(as_in_ci, APP, toolchain=TOOLCHAIN._replace(host="aarch64-apple-darwin"), memory_bytes=None)
    assert files_of(one) == files_of(other)
    assert files_of(one) != files_of(made(FULL, APP))


@pytest.mark.parametrize("path", [WORKFLOW, GITLAB_FILE])
def test_a_file_of_somebody_else_is_in_the_way(path: str) -> None:
    with pytest.raises(ManifestError) as caught:
        made(FULL, {**APP, path: "name: mine\n"})
    assert str(caught.value.problems[0]).startswith(f"{path}: exists and was not written by buildopt")


@pytest.mark.parametrize("path", [WORKFLOW, GITLAB_FILE])
def test_a_file_that_was_edited_is_what_sync_would_write_again(path: str) -> None:
    first = made(FULL, APP)
    edited = text_of(first, path).replace("buildopt drift", "true")
    assert made(FULL, {**APP, path: edited}).files[path] == first.files[path]


@pytest.mark.parametrize("path", [WORKFLOW, GITLAB_FILE])
def test_a_file_with_windows_line_endings_keeps_them(path: str) -> None:
    first = text_of(made(FULL, APP), path)
    windows = first.replace("\n", "\r\n").encode()
    assert made(FULL, {**APP, path: windows}).files[path] == windows
    assert without_ci(**{path: windows}).files[path] is None


@pytest.mark.parametrize("path", [WORKFLOW, GITLAB_FILE])
def test_a_file_that_is_no_longer_wanted_goes_if_it_is_as_it_was_written(path: str) -> None:
    text = text_of(made(FULL, APP), path)
    gone = without_ci(**{path: text})
    assert gone.files[path] is None
    assert gone.notes == ()
    stays = without_ci(**{path: text.replace("buildopt drift", "true")})
    assert path not in stays.files
    assert f"{path} is no longer generated, and stays because it was edited" in stays.notes[0]
    for mine in ("name: mine\n", b"\xff\n"):
        foreign = without_ci(**{path: mine})
        assert path not in foreign.files
        assert foreign.notes == ()


def test_a_moved_pin_makes_a_file_no_less_ours_and_the_reviewed_pins_stay() -> None:
    first = made(FULL, APP)
    moved = text_of(first, WORKFLOW).replace(pins_of(first)["actions/checkout"].sha, "a" * 40)
    gone = without_ci(**{WORKFLOW: moved, PINS_FILE: text_of(first, PINS_FILE)})
    assert gone.files[WORKFLOW] is None
    assert PINS_FILE not in gone.files
    assert gone.notes == (f"{PINS_FILE} stays, though nothing uses it now: it holds what somebody has reviewed",)
    assert without_ci(**{PINS_FILE: text_of(first, PINS_FILE)}).notes == ()


def pins_of(result: Generated) -> dict[str, Pin]:
    return dict(read_pins(text_of(result, PINS_FILE)).actions)


def test_what_stands_in_the_lock_file_is_the_truth() -> None:
    first = made(FULL, APP)
    own = Pins({"actions/checkout": Pin("v9.0.0", "b" * 40), "not/used": Pin("v1", "c" * 40)}, {})
    lock = "# reviewed\n" + with_pins(text_of(first, PINS_FILE), own)
    result = made(FULL, {**APP, PINS_FILE: lock})
    assert result.files[PINS_FILE] == lock.encode()
    assert pins_in(text_of(result, WORKFLOW), WORKFLOW)["actions/checkout"] == Pin("v9.0.0", "b" * 40)


def test_a_missing_pin_is_added_and_nothing_else_changes() -> None:
    lock = text_of(made(FULL, APP), PINS_FILE)
    line = next(line for line in lock.splitlines(keepends=True) if line.startswith('"Swatinem/rust-cache"'))
    fewer = lock.replace(line, "") + "\n# a note at the end\n"
    again = text_of(made(FULL, {**APP, PINS_FILE: fewer.replace("\n", "\r\n")}), PINS_FILE)
    assert sorted(again.splitlines()) == sorted([*fewer.splitlines(), line.strip()])
    assert "\n" not in again.replace("\r\n", "")


@pytest.mark.parametrize(
    ("lock", "why"),
    [
        ("[actions\n", "not valid TOML"),
        ('[actions]\n"actions/checkout" = "v4"\n', "has version and sha"),
        ('[actions]\n"actions/checkout" = { version = "v4", sha = "main" }\n', "is no commit"),
        ('[actions]\n"actions/checkout" = { version = "v4\\n", sha = "' + "a" * 40 + '" }\n', "is no version"),
        ('[actions]\n"checkout" = { version = "v4", sha = "' + "a" * 40 + '" }\n', "is no action"),
        ('[tools]\nnextest = "${{ x }}"\n', "is no tool"),
        ("actions = 1\n", "is no table"),
        ("[other]\n", "is no table of this file"),
        ("#" * (1 << 20) + "#\n", "larger than 1 MiB"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_pins_that_cannot_be_used_are_named(lock: str | bytes, why: str) -> None:
    with pytest.raises(ManifestError) as caught:
        made(FULL, {**APP, PINS_FILE: lock})
    assert why in "\n".join(caught.value.lines())
    assert PINS_FILE in "\n".join(caught.value.lines())


@pytest.mark.parametrize(
    ("root", "said"),
    [
        (None, "there is no .gitlab-ci.yml"),
        ("stages: [test]\n", "nothing includes it in .gitlab-ci.yml"),
        ("# include .gitlab/buildopt.yml\n", "nothing includes it in .gitlab-ci.yml"),
        (INCLUDED[".gitlab-ci.yml"], None),
        ("include: .gitlab/buildopt.yml\n", None),
        (b"\xff\n", "nothing includes it"),
    ],
)
def test_a_note_says_when_gitlab_reads_nothing_of_it(root: str | bytes | None, said: str | None) -> None:
    files = APP if root is None else {**APP, ".gitlab-ci.yml": root}
    result = made(FULL, files)
    assert ".gitlab-ci.yml" not in result.files
    assert [said in note for note in result.notes] == [True] if said else not result.notes


def test_the_storage_of_github_is_not_there_on_gitlab() -> None:
    notes = made(profile(cache="sccache", compiler_cache=SCCACHE["gha"], msrv=False), {**APP, **INCLUDED}).notes
    assert notes == ('cache.storage = "gha" is there on GitHub alone: jobs on GitLab build without a cache',)


def test_a_compiler_cache_that_nothing_keeps_is_said() -> None:
    (note,) = made(profile(compiler_cache=SCCACHE["local"], msrv=False), {**APP, **INCLUDED}).notes
    assert note.startswith("sccache, which is on in CI, keeps nothing from job to job")


def test_a_workspace_below_the_top_of_its_repository_is_told_that_nothing_runs() -> None:
    assert "at the top of a repository" in made(FULL, {**APP, **INCLUDED}, below_repository=True).notes[0]


def test_more_jobs_than_gitlab_lets_one_wait_for() -> None:
    groups = {f"g{number}": GROUPS["all"] for number in range(50)}
    with pytest.raises(ProfileError) as caught:
        made(profile(tests=groups, github=None, msrv=False), APP)
    assert "50 others" in str(caught.value.problems[0])


def test_what_is_wrong_with_ci_is_told_with_all_else() -> None:
    broken = profile(stages={"a": STAGES["quick-check"], "A": STAGES["quick-check"]}, msrv=False)
    with pytest.raises(BadInput) as caught:
        generate(made_inputs(broken, {**APP, ".gitignore": b"\xff"}))
    assert len(caught.value.problems) == 2


@settings(max_examples=30)
@given(profiles())
def test_any_profile_gives_the_same_files_again_and_they_are_ours(one: Profile) -> None:
    assert (github(one), gitlab(one)) == (github(one), gitlab(one))
    for text in (github(one), gitlab(one)):
        assert is_unchanged(text)
        assert not is_unchanged(text.replace("buildopt drift", "true"))
        assert text.endswith("\n")
        assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_the_mark_says_whose_it_is() -> None:
    text = marked("jobs: {}\n")
    assert is_ours(text)
    assert is_unchanged(text)
    assert is_unchanged(text.replace("\n", "\r\n"))
    assert not is_unchanged(text + "\n")
    assert not is_unchanged(text.replace("# content: ", "# was: "))
    assert not is_ours("jobs: {}\n")


def test_no_template_is_loaded_where_no_host_is_named(host: Host) -> None:
    code = "import sys, buildopt.generate; sys.exit('jinja2' in sys.modules)"
    assert host.run(Command((sys.executable, "-c", code), Path.cwd())).returncode == 0
