from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from buildopt import errors
from buildopt.errors import BuildoptError, Problem

CLASSES = [getattr(errors, name) for name in errors.__all__ if name != "Problem"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("StageFailed", 1), ("Drift", 1), ("OverBudget", 1), ("ChangedSince", 1), ("ArmFailed", 1),
        ("PinsMoved", 5),
        ("ArgumentError", 2), ("ProfileError", 2), ("ManifestError", 2), ("GateRefused", 2), ("UnsafePath", 2),
        ("ToolMissing", 3), ("MachineRefused", 3), ("Bug", 4), ("TimedOut", 124), ("Interrupted", 130),
    ],
)  # fmt: skip
def test_each_class_of_situation_has_its_exit_code(name: str, code: int) -> None:
    assert getattr(errors, name).exit_code == code


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_one_of_ours_and_has_a_contracted_exit_code(kind: type[BuildoptError]) -> None:
    assert issubclass(kind, BuildoptError)
    assert kind.exit_code in {1, 2, 3, 4, 5, 124, 130}
    assert kind.__doc__


def test_the_page_about_exit_codes_lists_each() -> None:
    page = (Path(__file__).parents[1] / "docs" / "exit-codes-and-json.md").read_text()
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert listed == {0, *(kind.exit_code for kind in CLASSES)}


def test_every_public_error_is_exported() -> None:
    defined = {n for n, v in vars(errors).items() if isinstance(v, type) and v.__module__ == errors.__name__}
    assert defined == set(errors.__all__)


def test_an_error_tells_a_person_message_problems_and_hint() -> None:
    problem = Problem("expected a table", file="buildopt.toml", key="stages.core", hint="write [stages.core]")
    error = errors.ProfileError("the profile has 1 problem", problems=(problem,), hint="see buildopt explain")
    assert error.lines() == [
        "the profile has 1 problem",
        "  buildopt.toml: stages.core: expected a table (write [stages.core])",
        "  → see buildopt explain",
    ]
    assert str(error) == "the profile has 1 problem"


@pytest.mark.parametrize(
    ("problem", "shown"),
    [
        (Problem("m"), "m"),
        (Problem("m", file="f"), "f: m"),
        (Problem("m", key="k"), "k: m"),
        (Problem("m", file="f", key="k"), "f: k: m"),
        (Problem("m", hint="h"), "m (h)"),
    ],
)
def test_a_problem_shows_what_it_knows(problem: Problem, shown: str) -> None:
    assert str(problem) == shown
    assert shown in repr(problem)


def test_problems_are_compared_by_what_they_say() -> None:
    assert Problem("m", file="f") == Problem("m", file="f")
    assert Problem("m", file="f") != Problem("m", key="f")
    assert Problem("m") != "m"
    assert len({Problem("m", hint="h"), Problem("m", hint="h"), Problem("m")}) == 2


def test_an_error_is_one_json_document() -> None:
    error = errors.ToolMissing("cargo is not found", problems=(Problem("m", file="f"),), hint="install it")
    assert json.loads(json.dumps(error.as_json())) == {
        "version": 1,
        "error": {
            "class": "ToolMissing",
            "exit_code": 3,
            "message": "cargo is not found",
            "problems": [{"file": "f", "key": None, "message": "m", "hint": None}],
            "hint": "install it",
        },
    }
