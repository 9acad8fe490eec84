"""Pins from the day that a bot moves one: drift warns, `ci pins` shows, adopts and checks, and nothing unpinned passes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.generate.ci.pins import Pin
from buildopt.sync.model import Edit, Plan
from buildopt.verbs.pins import moved_pins, only_moved

PROFILE = 'version = 1\n[stages.quick-check]\nrun = ["check"]\n[ci.github]\n'
WORKFLOW = ".github/workflows/buildopt.yml"
LOCK = ".github/buildopt.pins.toml"
CHECKOUT = re.compile(r"actions/checkout@[0-9a-f]{40} # v[0-9.]+")
NEW = "a" * 40
MOVED = f"actions/checkout@{NEW} # v99.1.0"


def call(root: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environ}
    result = subprocess.run(
        [sys.executable, *words], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in result.stderr
    return result


def buildopt(root: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return call(root, "-m", "buildopt", *words, **environ)


ACTIONS = ("actions/checkout", "actions/cache/restore", "Swatinem/rust-cache")
COMMITS = st.sampled_from([letter * 40 for letter in "abcdef0"])
USES = st.tuples(st.sampled_from(ACTIONS), COMMITS, st.sampled_from(["v1", "v2.0.1"]))


def workflow(uses: list[tuple[str, str, str]], name: str = "run") -> bytes:
    lines = [f"      - name: {name}\n        uses: {action}@{commit} # {version}\n" for action, commit, version in uses]
    return f"jobs:\n  a:\n    steps:\n{''.join(lines)}".encode()


@given(st.lists(st.tuples(USES, COMMITS), min_size=1, max_size=6))
def test_a_plan_that_moves_pins_and_nothing_else_says_which(uses):
    after = [use for use, _ in uses]
    before = [(action, commit, version) for (action, _, version), commit in uses]
    plan = Plan((Edit(WORKFLOW, workflow(before), workflow(after)),) if before != after else ())
    assert only_moved(plan) is (before != after)
    there = {("/".join(action.split("/")[:2]), Pin(version, commit)) for action, commit, version in before}
    assert all((move.action, move.found) in there for move in moved_pins(plan))
    if len({action for action, _, _ in after}) == len(after) and before != after:
        assert moved_pins(plan)


@given(
    st.lists(USES, min_size=1, max_size=4),
    st.integers(0, 3),
    st.sampled_from(["", "main", "v1", "A" * 40, "a" * 39, "${{ github.sha }}"]),
)
def test_a_plan_that_would_take_away_a_branch_or_a_tag_is_more_than_a_moved_pin(uses, at, ref):
    loose = [
        (action, ref if number == at % len(uses) else commit, version)
        for number, (action, commit, version) in enumerate(uses)
    ]
    assert not only_moved(Plan((Edit(WORKFLOW, workflow(loose), workflow(uses)),)))
    assert not only_moved(Plan((Edit(WORKFLOW, workflow(uses, "other"), workflow(uses)),)))
    assert not only_moved(Plan((Edit(WORKFLOW, workflow([*uses, uses[0]]), workflow(uses)),)))
    assert not only_moved(Plan((Edit(WORKFLOW, None, workflow(uses)),)))
    assert not only_moved(Plan((Edit(".github/workflows/mine.yml", workflow(loose), workflow(uses)),)))


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a synced workspace, of which each test takes a copy."""
    root = tmp_path_factory.mktemp("pins") / "ws"
    files = {
        "Cargo.toml": '[package]\nname = "one"\nversion = "0.1.0"\nedition = "2021"\n',
        "Cargo.lock": 'version = 4\n\n[[package]]\nname = "one"\nversion = "0.1.0"\n',
        "src/lib.rs": "",
        "buildopt.toml": PROFILE,
        "noxfile.py": "import buildopt\n\nbuildopt.sessions()\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert buildopt(root, "sync").returncode == 0
    return root


@pytest.fixture
def ws(synced: Path, tmp_path: Path) -> Path:
    return shutil.copytree(synced, tmp_path / "ws")


def edit(root: Path, change: Callable[[str], str], path: str = WORKFLOW) -> None:
    before = (root / path).read_text()
    after = change(before)
    assert after != before
    (root / path).write_text(after)


def test_after_a_sync_nothing_has_moved(ws):
    assert buildopt(ws, "drift").returncode == 0
    assert buildopt(ws, "ci", "pins", "--check").returncode == 0
    shown = buildopt(ws, "ci", "pins")
    assert re.search(r"actions/checkout +v\d\S+ +[0-9a-f]{40} +line \d+, \d+", shown.stdout)
    assert json.loads(buildopt(ws, "ci", "pins", "--json").stdout)["in_sync"] is True


def test_a_pin_that_a_bot_moved_is_no_failure_of_its_pull_request(ws):
    edit(ws, lambda text: CHECKOUT.sub(MOVED, text))
    for words in (("drift",), ("sync", "--check"), ("ci", "pins", "--check")):
        result = buildopt(ws, *words)
        assert result.returncode == 5, (words, result.stderr)
        assert re.search(r"actions/checkout v\S+ \(\w{7}\) → v99\.1\.0 \(aaaaaaa\)", result.stderr)
        assert "buildopt ci pins --adopt" in result.stderr
    document = json.loads(buildopt(ws, "drift", "--json").stdout)
    assert document["in_sync"] is False
    (moved,) = document["moved_pins"]
    assert moved["action"] == "actions/checkout"
    assert moved["to"] == {"version": "v99.1.0", "sha": NEW}
    warned = buildopt(ws, "drift", GITHUB_ACTIONS="true")
    assert re.search(
        rf"^::warning file={WORKFLOW},title=only pins moved::actions/checkout v", warned.stderr, re.MULTILINE
    )


def test_under_nox_it_is_a_warning(ws, need):
    edit(ws, lambda text: CHECKOUT.sub(MOVED, text))
    result = call(ws, "-m", "nox", "-s", "drift")
    assert result.returncode == 0, result.stderr
    assert "only pins moved" in result.stderr
    edit(ws, lambda text: text.replace("contents: read", "contents: write"))
    assert call(ws, "-m", "nox", "-s", "drift").returncode == 1


def test_adopting_leaves_nothing_for_a_sync_to_change_and_can_be_undone(ws):
    edit(ws, lambda text: CHECKOUT.sub(MOVED, text))
    edit(ws, lambda text: f"{text}# looked at by a person\n", LOCK)
    before = (ws / LOCK).read_bytes()
    adopted = buildopt(ws, "ci", "pins", "--adopt", "--json")
    assert adopted.returncode == 0, adopted.stderr
    assert [each["to"]["sha"] for each in json.loads(adopted.stdout)["adopted"]] == [NEW]
    assert (ws / LOCK).read_text().endswith("# looked at by a person\n")
    assert buildopt(ws, "drift").returncode == 0
    assert buildopt(ws, "ci", "pins", "--check").returncode == 0
    assert "has every action" in buildopt(ws, "ci", "pins", "--adopt").stderr
    assert buildopt(ws, "rollback").returncode == 0
    assert (ws / LOCK).read_bytes() == before
    assert buildopt(ws, "drift").returncode == 5


def test_a_sync_says_what_it_puts_back(ws):
    edit(ws, lambda text: CHECKOUT.sub(MOVED, text))
    for words in (("sync", "--dry-run"), ("sync",)):
        assert "a pin that moved is put back: actions/checkout" in buildopt(ws, *words).stderr
    assert MOVED not in (ws / WORKFLOW).read_text()
    assert buildopt(ws, "drift").returncode == 0


@pytest.mark.parametrize(
    "instead",
    [
        "actions/checkout@main",
        "actions/checkout@v4",
        "actions/checkout@aaaaaaa # v99.1.0",
        f"evil/checkout@{NEW} # v99.1.0",
        f"actions/checkout/sub@{NEW} # v99.1.0",
        f"actions/checkout@{NEW.upper()} # v99.1.0",
        f"actions/checkout@{NEW}#v99.1.0",
        "docker://evil",
        "./local",
    ],
)
def test_whatever_is_no_pin_is_drift_and_is_not_adopted(ws, instead):
    edit(ws, lambda text: CHECKOUT.sub(instead, text))
    before = (ws / LOCK).read_bytes()
    assert buildopt(ws, "drift").returncode == 1
    adopted = buildopt(ws, "ci", "pins", "--adopt")
    assert adopted.returncode == 2 or "has every action" in adopted.stderr
    assert (ws / LOCK).read_bytes() == before


def test_line_endings_of_windows_are_no_drift_and_stay(ws):
    for path in (WORKFLOW, LOCK):
        (ws / path).write_bytes((ws / path).read_bytes().replace(b"\n", b"\r\n"))
    assert buildopt(ws, "drift").returncode == 0
    edit(ws, lambda text: CHECKOUT.sub(MOVED, text))
    (ws / WORKFLOW).write_bytes((ws / WORKFLOW).read_bytes().replace(b"\n", b"\r\n"))
    assert buildopt(ws, "drift").returncode == 5
    assert buildopt(ws, "ci", "pins", "--adopt").returncode == 0
    assert (ws / LOCK).read_bytes().count(b"\r\n") == (ws / LOCK).read_bytes().count(b"\n")
    assert buildopt(ws, "drift").returncode == 0


def test_a_pin_in_one_place_only_is_no_failure_but_is_not_adopted(ws):
    edit(ws, lambda text: CHECKOUT.sub(MOVED, text, count=1))
    assert buildopt(ws, "drift").returncode == 5
    adopted = buildopt(ws, "ci", "pins", "--adopt")
    assert adopted.returncode == 2
    assert "two commits" in adopted.stderr


def test_a_line_of_a_file_is_no_command_to_github(ws):
    edit(ws, lambda text: text.replace("permissions: {}\n", "::error::sly\npermissions: {}\n"))
    edit(ws, lambda text: f"::add-mask::sly\n{text}", ".gitignore")
    result = buildopt(ws, "drift", GITHUB_ACTIONS="true")
    assert result.returncode == 1
    first, *lines, last = result.stdout.splitlines()
    assert re.fullmatch("::stop-commands::[0-9a-f]{32}", first)
    assert last == f"::{first[-32:]}::"
    assert "-::error::sly" in lines
    assert first[-32:] not in "".join(lines)


def test_the_doctor_takes_a_moved_pin_for_no_stale_file(ws):
    edit(ws, lambda text: CHECKOUT.sub(MOVED, text))
    assert WORKFLOW not in buildopt(ws, "doctor").stdout


def test_more_than_a_moved_pin_is_drift(ws):
    edit(ws, lambda text: CHECKOUT.sub(MOVED, text).replace("contents: read", "contents: write"))
    result = buildopt(ws, "drift")
    assert result.returncode == 1
    edit(ws, lambda text: text.replace("contents: write", "contents: read"))
    (ws / ".gitignore").unlink()
    assert buildopt(ws, "drift").returncode == 1


def test_without_a_workflow_there_are_no_pins(ws):
    (ws / "buildopt.toml").write_text('version = 1\n[stages.quick-check]\nrun = ["check"]\n')
    for words in ((), ("--adopt",), ("--check",)):
        result = buildopt(ws, "ci", "pins", *words)
        assert result.returncode == 2
        assert "ci.github" in result.stderr


def test_before_the_first_sync_the_pins_that_come_with_buildopt_are_shown(ws):
    (ws / WORKFLOW).unlink()
    shown = buildopt(ws, "ci", "pins")
    assert shown.returncode == 0
    assert "actions/checkout" in shown.stdout
    assert "come with buildopt" in shown.stderr


@pytest.mark.parametrize(
    "text",
    ["", "[actions]\nx = 1\n", "\0", '[actions]\n"a/b" = {version="v1", sha="main"}\n', "#" * (2 << 20)],
    ids=["empty", "another form", "a zero", "no commit", "too large"],  # an id stands in the environment of the test
)
def test_a_lock_file_that_is_none_is_refused_and_stays(ws, text):
    edit(ws, lambda before: CHECKOUT.sub(MOVED, before))
    (ws / LOCK).write_text(text)
    assert buildopt(ws, "ci", "pins", "--adopt").returncode == 2
    assert (ws / LOCK).read_text() == text
