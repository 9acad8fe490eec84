from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profile_texts import lines_of, load_text

from buildopt.errors import ProfileError
from buildopt.generate.toml import value_text

STAGE = '[stages.quick-check]\nrun = ["check"]\n'
DIGEST = "sha256:" + "0123456789abcdef" * 4

TEXTS = {
    "branch": "version = 1\n[ci]\nbranch = {}\n",
    "install": "version = 1\n[ci]\ninstall = {}\n",
    "runner": "version = 1\n[ci.github]\nrunner = {}\n",
    "platforms": "version = 1\n[ci.github]\nplatforms = [{}]\n",
    "image": "version = 1\n[ci.gitlab]\nimage = {}\n",
    "tags": 'version = 1\n[ci.gitlab]\nimage = "rust:1.95"\ntags = [{}]\n',
    "docker": 'version = 1\n[docker]\nimage = {}\nruntime = "debian:bookworm-slim"\n',
    "runtime": 'version = 1\n[docker]\nimage = "rust:1.95"\nruntime = {}\n',
    "binaries": 'version = 1\n[docker]\nimage = "rust:1.95"\nruntime = "debian:12"\nbinaries = [{}]\n',
}

SMUGGLED = [
    "${{ secrets.TOKEN }}", "main\n  - evil", "a'b", 'a"b', "a`id`", "$(id)", "a;b", "a|b", "*", "&anchor", "!tag", "- x", "", " ",
]  # fmt: skip


@pytest.mark.parametrize("key", TEXTS)
@pytest.mark.parametrize("text", SMUGGLED)
def test_what_a_workflow_or_an_image_file_would_read_as_its_own_is_refused(key: str, text: str):
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    assert lines_of(TEXTS[key].format(quoted))


@given(st.sampled_from(sorted(TEXTS)), st.text(max_size=60))
def test_no_text_that_passes_holds_anything_that_means_something_to_a_shell_or_an_expression(key: str, text: str):
    try:
        load_text(TEXTS[key].format(value_text(text)))
    except ProfileError:
        return
    assert re.fullmatch(r"[A-Za-z0-9 @:/._+=<>!~,\[\]#&%-]+", text)


@pytest.mark.parametrize("image", ["rust", "rust:latest", "ghcr.io/org/rust"])
def test_an_image_that_moves_by_itself_is_refused(image: str):
    (line,) = lines_of(TEXTS["image"].format(f'"{image}"'))
    assert "ci.gitlab.image" in line
    assert "moves to another image by itself" in line


@pytest.mark.parametrize(
    "image", ["rust:1.95-bookworm", f"rust@{DIGEST}", f"ghcr.io/org/rust:1.95@{DIGEST}", "localhost:5000/rust:1"]
)
def test_an_image_that_stays_is_taken(image: str):
    assert load_text(TEXTS["image"].format(f'"{image}"')).profile.ci.gitlab.image == image


def test_a_runner_that_moves_by_itself_is_refused():
    (line,) = lines_of(TEXTS["runner"].format('"ubuntu-latest"'))
    assert "ci.github.runner" in line
    assert "ubuntu-24.04" in line


def test_a_stage_that_is_not_there_and_one_named_twice():
    (line,) = lines_of(f'version = 1\n[ci]\nstages = ["quick-chek"]\n{STAGE}')
    assert "did you mean" in line
    (line,) = lines_of(f'version = 1\n[ci]\nstages = ["quick-check", "quick-check"]\n{STAGE}')
    assert "twice" in line


def test_a_platform_that_is_the_runner_already():
    (line,) = lines_of('version = 1\n[ci.github]\nplatforms = ["ubuntu-24.04"]\n')
    assert "stands there twice" in line


def test_a_group_with_a_filter_cannot_be_split_whether_ci_is_declared_or_not():
    for ci in ("", "[ci.github]\n"):
        (line,) = lines_of(f'version = 1\n[tests.some]\nfilter = "slow"\nshards = 3\n{ci}')
        assert "tests.some.shards" in line


def test_a_timeout_can_follow_the_record():
    stage = load_text(f'version = 1\n{STAGE}timeout = "auto"\n').profile.stages["quick-check"]
    assert stage.timeout == "auto"
    assert load_text(f'version = 1\n{STAGE}timeout = "90s"\n').profile.stages["quick-check"].timeout == 90.0
    (line,) = lines_of(f'version = 1\n{STAGE}timeout = "automatic"\n')
    assert '"auto", or a duration' in line
