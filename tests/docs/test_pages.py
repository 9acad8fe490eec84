"""README.md and docs/ tell the truth: every command runs, every profile loads."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from pages import Shell, blocks_of, matches, mended, page_after

import buildopt
from buildopt import profile
from buildopt.host import Host

PROJECT = Path(buildopt.__file__).parents[1]
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
NAMES = [page.relative_to(PROJECT).as_posix() for page in PAGES]
WRITE = bool(os.environ.get("WRITE_PAGES"))


@pytest.fixture
def shell(tmp_path: Path, need: Callable[[str], Path]) -> Shell:
    """Return a shell in a fresh copy of the example workspace, on a machine that has what the pages show."""
    for program in ("cargo-nextest", "git", "mold"):
        need(program)
    leave = shutil.ignore_patterns("target", ".buildopt")
    return Shell(Path(shutil.copytree(PROJECT / "templates" / "example", tmp_path / "tally", ignore=leave)))


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_prints_what_the_page_says(page: Path, shell: Shell) -> None:
    said = page.read_text()
    real = page_after(said, shell)
    if WRITE:
        page.write_text(real)
    elif said != real:
        lines = difflib.unified_diff(said.splitlines(), real.splitlines(), "the page", "what happens", n=2, lineterm="")
        pytest.fail("run: nox -s generate\n" + "\n".join(lines), pytrace=False)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_profile_on_the_page_loads(page: Path, host: Host, tmp_path: Path) -> None:
    for block in blocks_of(page.read_text()):
        if block.info != "toml":
            continue
        text = block.text if "version = 1" in block.text else f"version = 1\n{block.text}"
        path = tmp_path / "buildopt.toml"
        path.write_text(text)
        loaded = profile.load(path, root=tmp_path, read=host.files.read, environ={})
        profile.enforce(loaded)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_other_block_is_what_it_says_it_is(page: Path) -> None:
    parsers = {"toml": tomllib.loads, "json": json.loads, "python": lambda text: compile(text, page.name, "exec")}
    for block in blocks_of(page.read_text()):
        language, _, rest = block.info.partition(" ")
        assert language in {"console", "text", *parsers}, f"line {block.line}: a block that nobody checks"
        assert language != "console" or rest in {"", "not-run"}, f"line {block.line}: {block.info}"
        if language in parsers:
            parsers[language](block.text)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_file_that_is_linked_is_there(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{target} is linked and not there"


def test_figures_are_not_compared_and_dots_stand_for_lines() -> None:
    assert matches("took 1.2s\n…\nend", "took 14m05s\nx\ny\nend")
    assert matches("a …", "a b c")
    assert not matches("a\nb", "a\nc")
    assert not matches("0", "2")
    said = "nox > Session quick-check was successful."
    assert matches(said, "nox > Session quick-check was successful in 3 seconds.")
    assert not matches(said, "nox > Session quick-check failed.")


def test_what_still_holds_stays_as_the_page_has_it() -> None:
    said = "first 1\n…\n[target.…]\nold\n…\nlast 1.5s\n"
    printed = "first 2\nx\ny\n[target.abc]\nnew\nz\nlast 7s\n"
    assert mended(said, printed) == "first 2\n…\n[target.…]\nnew\n…\nlast 7s\n"
