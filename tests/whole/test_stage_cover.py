"""What a stage leaves out hides nothing that it promises to find, as a real cargo judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from buildopt.cli import main

MANIFEST = '[package]\nname = "one"\nversion = "0.1.0"\nedition = "2021"\n'
PROFILE = """\
version = 1
[cargo]
test-runner = "{runner}"
[stages.core]
run = {steps}
doc-tests = {doc_tests}
[stages.full]
run = ["build", "test"]
"""
EXAMPLE = "/// ```\n/// assert_eq!(one::one(), {result});\n/// ```\npub fn one() -> u8 {{ 1 }}\n"
TEST = "#[test]\nfn it_is_one() { assert_eq!(one::one(), 1); }\n"
RUNNERS = {"cargo": "cargo", "nextest": "cargo-nextest"}


@pytest.fixture(params=sorted(RUNNERS))
def stage(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tree: Callable[[Path, Mapping[str, str]], Path],
    need: Callable[[str], Path],
) -> Callable[..., int]:
    """Return what runs a stage over one library with this source, and returns its exit code."""
    need(RUNNERS[request.param])

    def run(
        name: str, source: str, *, doc_tests: str = "true", tests: str = "", steps: str = '["build", "test"]'
    ) -> int:
        profile = PROFILE.format(runner=request.param, doc_tests=doc_tests, steps=steps)
        files = {"Cargo.toml": MANIFEST, "src/lib.rs": source, "buildopt.toml": profile}
        tree(tmp_path, {**files, "tests/it.rs": tests} if tests else files)
        return main(["run", name, "--root", str(tmp_path)])

    return run


@pytest.mark.parametrize("doc_tests", ["true", "false"])
def test_a_library_that_only_its_users_see_broken_fails_the_stage_that_builds_it(
    stage: Callable[..., int], capfd: pytest.CaptureFixture[str], doc_tests: str
):
    sound = EXAMPLE.format(result=1)
    assert stage("core", sound, doc_tests=doc_tests) == 0
    assert "build: covered by test" in capfd.readouterr().err
    broken = sound + '#[cfg(not(test))]\npub fn broken() -> u8 { "one" }\n'
    assert stage("core", broken, doc_tests=doc_tests) == 1
    assert "E0308" in capfd.readouterr().err


def test_an_example_that_is_wrong_fails_where_doc_tests_are_run_and_only_there(
    stage: Callable[..., int], capfd: pytest.CaptureFixture[str]
):
    wrong = EXAMPLE.format(result=2)
    assert stage("core", wrong, doc_tests="false", tests=TEST) == 0
    assert "it_is_one" in "".join(capfd.readouterr())
    assert stage("full", wrong, doc_tests="false", tests=TEST) == 1
    assert stage("core", wrong, tests=TEST) == 1


def test_a_failing_test_fails_a_stage_without_doc_tests(stage: Callable[..., int]):
    assert stage("core", EXAMPLE.format(result=1), doc_tests="false", tests=TEST.replace("1)", "2)")) == 1


def test_without_build_and_doc_tests_a_library_that_no_test_links_is_left_to_another_stage(
    stage: Callable[..., int], capfd: pytest.CaptureFixture[str]
):
    broken = (
        TEST.replace("one::one", "one")
        + "fn one() -> u8 { 1 }\n"
        + '#[cfg(not(test))]\npub fn broken() -> u8 { "one" }\n'
    )
    assert stage("core", broken, doc_tests="false", steps='["test"]') == 0
    assert "it_is_one" in "".join(capfd.readouterr())
    assert stage("full", broken, doc_tests="false", steps='["test"]') == 1
    assert stage("core", EXAMPLE.format(result=1), doc_tests="false", steps='["test"]', tests=TEST) == 0, "it links it"
