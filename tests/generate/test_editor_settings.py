from __future__ import annotations

import json

import pytest
from generate_inputs import made, text_of
from hypothesis import given
from hypothesis import strategies as st

from buildopt.errors import ManifestError
from buildopt.generate.jsonc import scan, with_values
from buildopt.profile.model import Ide, Profile

FILE = ".vscode/settings.json"
HEAD = '[package]\nname = "{}"\nversion = "0.1.0"\n[features]\n'
MEMBERS = {"a/Cargo.toml": HEAD.format("a") + "gpu = []\nx = []\n", "b/Cargo.toml": HEAD.format("b") + "gpu = []\n"}
FEATURES = "rust-analyzer.cargo.features"
NONE = "rust-analyzer.cargo.noDefaultFeatures"
DIRECTORY = "rust-analyzer.cargo.targetDir"


def editor(ide: Ide, before: str | None = None) -> tuple[dict, tuple[str, ...]]:
    files = MEMBERS if before is None else {**MEMBERS, FILE: before}
    result = made(Profile(version=1, ide=ide, features={"b": {"new": ()}}), files)
    scanned = scan(text_of(result, FILE), FILE)
    assert scanned is not None
    return {entry.key: entry.value for entry in scanned.entries}, result.notes


def test_a_file_that_is_not_there_is_made() -> None:
    result = made(Profile(version=1, ide=Ide(check="clippy")), MEMBERS)
    assert text_of(result, FILE) == (
        '{\n    "rust-analyzer.cargo.features": [],\n    "rust-analyzer.check.command": "clippy",\n'
        '    "rust-analyzer.cargo.targetDir": true\n}\n'
    )
    assert FILE not in made(Profile(version=1), MEMBERS).files


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ("all", "all"),
        ("default", []),
        ("none", []),
        (("gpu",), ["a/gpu", "b/gpu"]),
        (("a/gpu", "x"), ["a/gpu", "a/x"]),
        (("new",), ["b/new"]),
    ],
)
def test_features_are_named_with_their_packages(features, expected) -> None:
    values, notes = editor(Ide(features=features))
    assert values[FEATURES] == expected
    assert values.get(NONE) == (True if features == "none" else None)
    assert notes == ()


def test_a_feature_that_no_member_has_is_told() -> None:
    values, notes = editor(Ide(features=("nothing", "x", "b/x")))
    assert values[FEATURES] == ["a/x"]
    assert len(notes) == 2


def test_what_was_switched_on_is_switched_off_again() -> None:
    values, _ = editor(Ide(build_directory="shared"), f'{{"{DIRECTORY}": true, "{NONE}": true}}')
    assert values[NONE] is False
    assert values[DIRECTORY] is None
    assert DIRECTORY not in editor(Ide(build_directory="shared"))[0]


def test_a_build_directory_that_the_user_named_stays() -> None:
    assert editor(Ide(), '{"rust-analyzer.cargo.targetDir": "target/editor"}')[0][DIRECTORY] == "target/editor"


PLACES = {
    "{}": '{\n    "k": ["v"]\n}',
    "{\n}\n": '{\n    "k": ["v"]\n}\n',
    '{\n  "z": 1\n}\n': '{\n  "z": 1,\n  "k": ["v"]\n}\n',
    '{\n\t"z": 1, // last, with a comma\n}\n': '{\n\t"z": 1, // last, with a comma\n\t"k": ["v"],\n}\n',
    '{\n  "z": 1 // } not the end\n  // "k": 2\n}': '{\n  "z": 1, // } not the end\n  "k": ["v"]\n  // "k": 2\n}',
    '{\r\n  "z": 1\r\n}\r\n': '{\r\n  "z": 1,\r\n  "k": ["v"]\r\n}\r\n',
    '{"z":1}': '{"z":1, "k": ["v"]}',
    '{ "z": 1, }': '{ "z": 1, "k": ["v"], }',
    '{"z":1 /* over\nlines */ }': '{"z":1, "k": ["v"] /* over\nlines */ }',
    "// head\n{ // open\n  // inside\n}\n": '// head\n{ // open\n  // inside\n    "k": ["v"]\n}\n',
    "// only a comment": '// only a comment\n{\n    "k": ["v"]\n}\n',
    '{\n  "k": /* was */ [ 1, // one\n  ], "z": 2\n}': '{\n  "k": /* was */ ["v"], "z": 2\n}',
    '{"k": 1, "k": 2}': '{"k": 1, "k": ["v"]}',
    '{"k": [ "v", ] }': '{"k": [ "v", ] }',
    "": '{\n    "k": ["v"]\n}\n',
}


@pytest.mark.parametrize("before", PLACES)
def test_only_our_key_changes(before: str) -> None:
    newline = "\r\n" if "\r" in before else "\n"
    after = with_values(before, FILE, {"k": ["v"]}, newline)
    assert after == PLACES[before]
    assert with_values(after, FILE, {"k": ["v"]}, newline) == after


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("{", "1:2"), ('{\n  "a"}', "2:6"), ("[1]", "1:1"), ('{"a":1\n"b":2}', "2:1"), ("{,}", "1:2"), ('{"a":01}', "1:7"),
        ('{"a":1}x', "1:8"), ('{"a":"\n"}', "1:6"), ("{'a':1}", "1:2"), ("/* open", "1:1"), ('{"a":\\u00}', "1:6"), ('{"\\x":1}', "1:2"),
        ('{"a":' + "[" * 100000, "1:207"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_understood_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(ManifestError) as raised:
        made(Profile(version=1, ide=Ide()), {**MEMBERS, FILE: text})
    assert raised.value.problems[0].file == f"{FILE}:{place}"


SPACE = st.sampled_from(["", " ", "\n", "\n  ", " // c, }\n", " /* { */ ", "\r\n\t"])
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict]:
    values = draw(
        st.dictionaries(
            st.sampled_from(["k", "a", "b", "editor.x", 'q"']),
            st.recursive(LEAVES, lambda i: st.lists(i) | st.dictionaries(st.text(), i), max_leaves=4),
        )
    )
    text = draw(SPACE) + "{"
    for index, (key, value) in enumerate(values.items()):
        comma = "," if index < len(values) - 1 or draw(st.booleans()) else ""
        parts = [json.dumps(key), ":", json.dumps(value, indent=draw(st.sampled_from([None, 2]))), comma]
        text += draw(SPACE) + "".join(part + draw(SPACE) for part in parts)
    return text + draw(SPACE) + "}" + draw(SPACE), values


@given(
    documents(),
    st.sampled_from(["\n", "\r\n"]),
    st.dictionaries(st.sampled_from(["k", "new", "b"]), LEAVES | st.lists(st.text()), max_size=3),
)
def test_any_document_keeps_the_rest(document: tuple, newline: str, wanted: dict) -> None:
    text, values = document
    scanned = scan(text, FILE)
    assert scanned is not None
    assert {entry.key: entry.value for entry in scanned.entries} == values
    after = with_values(text, FILE, wanted, newline)
    again = scan(after, FILE)
    assert again is not None
    assert {entry.key: entry.value for entry in again.entries} == {**values, **wanted}
    assert [entry.key for entry in again.entries][: len(values)] == list(values)
    assert after.count("// c, }") == text.count("// c, }")
    assert after.count("/* { */") == text.count("/* { */")
    assert with_values(after, FILE, wanted, newline) == after
