from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.errors import ManifestError
from buildopt.generate.toml import array_with, decode, key_text, parse, quoted, statements, value_text

KEYS = st.one_of(st.text("abc-_1", min_size=1, max_size=4), st.text(st.characters(codec="utf-8"), max_size=6))
SCALARS = st.sampled_from(
    [
        "1",
        "true",
        "1979-05-27 07:32:00",
        "-inf",
        '"# no comment"',
        "'[x]'",
        '"a\\"b"',
        '"""\n[[x]]\n"" # "\n"""',
        "'''\n'' [a]\n'''",
        '"""x"""""',
        "''''x'''''",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[ " + ", # ]\n".join(items) + "\n]"),
        st.dictionaries(KEYS, inner, max_size=3).map(
            lambda d: "{ " + ", ".join(f"{key_text(k)} = {v}" for k, v in d.items()) + " }"
        ),
    ),
    max_leaves=6,
)
END = st.sampled_from(["\n", " # x = [\n", "\r\n", "\t\n\n"])


@given(
    st.lists(
        st.tuples(st.lists(KEYS, max_size=2).map(tuple), st.dictionaries(KEYS, st.tuples(VALUES, END), max_size=3)),
        max_size=4,
    )
)
def test_statements_cover_the_text_and_point_at_their_values(tables: list) -> None:
    text = ""
    for header, pairs in tables:
        text += f"[{key_text(*header)}] # [h]\n" if header else ""
        text += "".join(f"  {key_text(key)} = {value}{end}" for key, (value, end) in pairs.items())
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # the same table twice
    found = statements(text)
    assert "".join(text[each.start : each.end] for each in found) == text
    for each in found:
        if each.kind == "pair":
            value = values
            for part in each.path:
                value = value[part]
            first, last = each.value
            assert repr(tomllib.loads(f"k = {text[first:last]}")["k"]) == repr(value)


@given(st.text(st.characters(codec="utf-8")))
def test_quoted_text_is_read_back(text: str) -> None:
    assert tomllib.loads(f"{key_text(text)} = {quoted(text)}") == {text: text}
    assert tomllib.loads(f"k = {value_text([text])}") == {"k": [text]}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[]", '["x"]'),
        ('["a"]', '["a", "x"]'),
        ('[ "a", ]', '[ "a", "x" ]'),
        ('[\n    "a", # one\n    "b" # two\n]', '[\n    "a", # one\n    "b", # two\n    "x"\n]'),
        ('[\r\n  "a",\r\n]', '[\r\n  "a",\r\n  "x",\r\n]'),
    ],
)
def test_an_array_grows_in_its_own_style(before: str, after: str) -> None:
    assert array_with(before, ["x"]) == after


def test_what_is_no_toml_is_refused_with_its_place() -> None:
    with pytest.raises(ManifestError) as raised:
        parse("a = 1\nb = [", "sub/Cargo.toml")
    assert "sub/Cargo.toml" in str(raised.value.problems[0])
    for text in ("a = " + "[" * 100_000, "a = " + "[" * 5_000 + "]" * 5_000, "a = {" * 5_000):
        with pytest.raises(ManifestError, match=r"Cargo\.toml cannot be read"):
            parse(text, "Cargo.toml")
    with pytest.raises(ManifestError, match="not UTF-8"):
        decode(b"\xff", "Cargo.toml")
