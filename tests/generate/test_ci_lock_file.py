from __future__ import annotations

import pytest
from ci_profiles import github, profile
from hypothesis import given
from hypothesis import strategies as st

from buildopt.errors import ManifestError
from buildopt.generate.ci.pins import (
    Pin,
    Pins,
    missing_pins,
    only_pins_differ,
    pins_in,
    read_pins,
    render_pins,
    shipped_pins,
    uses_in,
    with_pins,
    without_pins,
)

WORKFLOW = github(profile())
CHECKOUT = shipped_pins().actions["actions/checkout"]

actions = st.sampled_from((*shipped_pins().actions, "a/b", "A-1/b_c.d-e", "0/-", "x/on", "docker/setup-buildx-action"))
pins = st.builds(
    Pin, st.sampled_from(("v1", "2.0.0", "v1.2.3-rc.1+b")), st.sampled_from(("0" * 40, "f" * 40, "a1" * 20))
)
tools = st.dictionaries(st.sampled_from(("nextest", "sccache", "a-0")), st.sampled_from(("0.9.1", "1")), max_size=3)
files = st.builds(Pins, st.dictionaries(actions, pins, max_size=6), tools)


def moved(workflow: str, to: str = "a" * 40, version: str = "v99.0.0") -> str:
    return workflow.replace(f"{CHECKOUT.sha} # {CHECKOUT.version}", f"{to} # {version}")


@given(files)
def test_what_is_written_is_read_again(made: Pins) -> None:
    assert read_pins(render_pins(made)) == made


@given(files, files, st.sampled_from(("\n", "\r\n")))
def test_pins_are_written_into_what_is_there(there: Pins, wanted: Pins, newline: str) -> None:
    comment = "# by hand\n"
    text = (comment + render_pins(there) + comment).replace("\n", newline)
    result = with_pins(text, wanted)
    assert read_pins(result) == Pins({**there.actions, **wanted.actions}, {**there.tools, **wanted.tools})
    assert result.count("# by hand") == 2
    assert with_pins(result, wanted) == result
    assert with_pins(text, there) == text
    assert newline == "\n" or "\n" not in result.replace("\r\n", "")


@pytest.mark.parametrize(
    "form",
    [
        '[actions."a/b"]\nversion = "v1" # ours\nsha = "{0}"\n',
        '[actions]\n"a/b".sha = "{0}"\n"a/b".version = "v1" # ours\n',
        'actions."a/b" = {{ sha = "{0}", version = "v1" }} # ours\n',
        '[tools]\nx = "1" # ours\n[actions]\n"a/b" = {{ sha = "{0}", version = "v1" }}\n',
    ],
)
def test_a_pin_is_moved_in_whatever_form_it_stands(form: str) -> None:
    text = form.format("0" * 40)
    result = with_pins(text, Pins({"a/b": Pin("v2", "1" * 40)}, {}))
    assert read_pins(result).actions["a/b"] == Pin("v2", "1" * 40)
    assert "# ours" in result
    added = read_pins(with_pins(text, Pins({"c/d": CHECKOUT}, {"y": "2"}))) if not form.startswith("actions.") else None
    assert added is None or (added.actions["c/d"], added.tools["y"]) == (CHECKOUT, "2")


def test_a_file_that_no_line_can_be_added_to_is_left_alone() -> None:
    text = 'actions = { "a/b" = { version = "v1", sha = "' + "0" * 40 + '" } }\n'
    with pytest.raises(ManifestError):
        with_pins(text, Pins({"c/d": CHECKOUT}, {}))


@given(files)
def test_only_what_is_missing_is_added(there: Pins) -> None:
    shipped = shipped_pins()
    missing = missing_pins(there, shipped.actions, shipped.tools, shipped)
    assert not missing.actions.keys() & there.actions.keys()
    assert missing.actions.keys() | there.actions.keys() == shipped.actions.keys() | there.actions.keys()


def test_a_pin_that_a_bot_moved_is_seen_and_is_all_that_differs() -> None:
    other = moved(WORKFLOW)
    assert pins_in(other, "x.yml")["actions/checkout"] == Pin("v99.0.0", "a" * 40)
    assert {**pins_in(other, "x.yml"), "actions/checkout": CHECKOUT} == pins_in(WORKFLOW, "x.yml")
    assert only_pins_differ(WORKFLOW, other)
    assert only_pins_differ(WORKFLOW.replace("\n", "\r\n"), other)
    assert not only_pins_differ(WORKFLOW, WORKFLOW)
    assert not only_pins_differ(WORKFLOW, WORKFLOW.replace("\n", "\r\n"))
    assert not only_pins_differ(WORKFLOW, other.replace("buildopt drift", "true"))
    assert not only_pins_differ(WORKFLOW, WORKFLOW.replace("actions/checkout@", "evil/checkout@"))


@pytest.mark.parametrize("note", ["", " # v7", " # tag=v7.1.0", " # v7.0.2  "])
def test_whatever_a_bot_makes_of_the_comment_is_part_of_the_pin(note: str) -> None:
    other = WORKFLOW.replace(f"{CHECKOUT.sha} # {CHECKOUT.version}", "b" * 40 + note)
    assert without_pins(other) == without_pins(WORKFLOW)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (moved(WORKFLOW, "v99"), "is at 'v99', not at a commit"),
        (moved(WORKFLOW, "A" * 40), "not at a commit"),
        (moved(WORKFLOW, "a" * 39), "not at a commit"),
        (WORKFLOW.replace(f" # {CHECKOUT.version}", ""), "does not say which version"),
        (moved(WORKFLOW, version="the newest"), "does not say which version"),
        (WORKFLOW.replace(CHECKOUT.sha, "c" * 40, 1), "is at two commits"),
    ],
)
def test_a_pin_that_is_none_is_refused_with_its_line(other: str, why: str) -> None:
    with pytest.raises(ManifestError) as caught:
        pins_in(other, "x.yml")
    first = str(caught.value.problems[0])
    assert why in first
    number = int(first.split(":")[1])
    assert "actions/checkout@" in other.splitlines()[number - 1]


def test_a_folder_in_an_action_is_no_other_action() -> None:
    found = {use.action for use in uses_in(WORKFLOW)}
    assert "actions/cache" in found
    assert found <= shipped_pins().actions.keys()


@given(st.text(max_size=200))
def test_no_text_breaks_the_reading_of_pins(text: str) -> None:
    assert without_pins(without_pins(text)) == without_pins(text)
    for use in uses_in(text):
        assert 1 <= use.line <= text.count("\n") + 1
