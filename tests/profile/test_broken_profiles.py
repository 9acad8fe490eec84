"""Whatever stands in a profile, the answer is a profile or a ProfileError: never another exception, never a hang."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import RICH, damage, document_text, documents, mutate
from profile_texts import lines_of, load_text

from buildopt.errors import ProfileError
from buildopt.profile import preset_names, read_preset
from buildopt.profile.documents import parse

TEXTS = [RICH, *(read_preset(name).decode() for name in preset_names())]
DOCUMENTS = documents()


def refusal(content: str | bytes, **how: object) -> ProfileError | None:
    """Return why a profile was refused; None when it loaded. Any other exception fails the test."""
    try:
        load_text(content, **how)
    except ProfileError as error:
        return error
    return None


def broken(seed: int, wanted: int) -> int:
    """Load changed profiles until `wanted` were refused; each refusal must be fit for a person."""
    chance = random.Random(seed)
    refused = tried = 0
    while refused < wanted:
        tried += 1
        if chance.random() < 0.5:
            content = document_text(mutate(chance.choice(DOCUMENTS), chance)).encode()
        else:
            content = damage(chance.choice(TEXTS), chance)
        error = refusal(content, ci=chance.random() < 0.5)
        if error is not None:
            refused += 1
            assert error.exit_code == 2
            assert error.problems
            for line in error.lines():
                assert line.isprintable(), line
                assert len(line) < 600, line
    return tried


@pytest.mark.parametrize("seed", range(3))
def test_five_hundred_broken_profiles_are_refused_in_words(seed: int) -> None:
    assert broken(seed, 500) >= 500


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_ten_thousand_broken_profiles_are_refused_in_words(seed: int) -> None:
    assert broken(seed, 1000) >= 1000


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_profile_or_refused(content: bytes) -> None:
    error = refusal(b"version = 1\n" + content)
    assert error is None or error.problems


@given(st.dictionaries(st.text(max_size=12).map(lambda name: f"BUILDOPT_{name}"), st.text(max_size=20), max_size=3))
@settings(max_examples=60)
def test_any_variable_is_a_key_or_refused_by_name(environ: dict[str, str]) -> None:
    error = refusal(RICH, environ=environ)
    assert error is None or {problem.file for problem in error.problems} <= set(environ)


@given(st.lists(st.text(max_size=30) | st.from_regex(r"[a-z.\"-]{1,20}=.{0,20}", fullmatch=True), max_size=3))
@settings(max_examples=60)
def test_any_set_argument_is_a_key_or_refused(call: list[str]) -> None:
    error = refusal(RICH, call=call)
    assert error is None or error.problems


MIB = 1 << 20


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"x = " + b"[" * 100_000, "nested too deep"),
        (b"x = " + b"{a=" * 100_000, "nested too deep"),
        (b"x = " + b"[" * 40 + b"]" * 40, "nested too deep"),
        (b"[" + b"a." * 5_000 + b"a]", "too many segments"),
        (b"a." * 400_000 + b"a = 1", "too many segments"),
        (b'"a".' * 200_000 + b"a = 1", "too many segments"),
        (b"#" * (MIB + 1), "larger than 1 MiB"),
        (b"a" * MIB, "not TOML"),
        (b'"' * MIB, "not TOML"),
        (b"x = " + b"1" * 100_000, "a number is too long"),
        ("version = 1\n".encode("utf-16"), "not UTF-8"),
        (b"version = 1\nx = '\xff'\n", "buildopt.toml:2: not UTF-8"),
        (b"\0" * 50, "not TOML"),
    ],
    ids=range(13),
)
def test_a_text_made_to_hurt_is_refused_quickly(content: bytes, said: str) -> None:
    assert any(said in line for line in lines_of(content))


def test_thousands_of_problems_are_told_in_part() -> None:
    text = "version = 1\n" + "".join(f"key{number} = 1\n" for number in range(20_000))
    with pytest.raises(ProfileError) as caught:
        load_text(text)
    assert len(caught.value.problems) == 50
    assert "20000 problems" in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"[stages.a{n}]\nrequires = ['b{n}']\n" for n in range(20_000)),
        "[stages.a]\nrun = [" + "'chek', " * 100_000 + "]\n",
        "[stages.a]\nrun = ['check']\nrequires = [" + "'chek', " * 100_000 + "]\n",
        "".join(f"[stages.a{n}]\nrun = ['check']\nrequires = ['a{n + 1}']\n" for n in range(20_000)),
    ],
    ids=["names", "steps", "requires", "chain"],
)
def test_a_great_many_mistakes_of_one_kind_are_told_in_part(text: str) -> None:
    assert 0 < len(lines_of(f"version = 1\n{text}")) <= 50


def test_a_byte_order_mark_is_read_over() -> None:
    assert parse(b"\xef\xbb\xbfversion = 1\n", "f") == {"version": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version = 1\nx = yes\n", "buildopt.toml:2:5: not TOML: invalid value (text stands in quotes"),
        ('version = 1\n\nx = "a\n', "buildopt.toml:3:7: not TOML: illegal character"),
        (
            "version = 1\nversion = 1\n",
            "buildopt.toml:2:12: not TOML: cannot overwrite a value (the same key stands twice",
        ),
        (
            "version = 1\n[a]\n[a]\n",
            "buildopt.toml:3:3: not TOML: cannot declare ('a',) twice (the same table stands twice",
        ),
        ("version = 1\nx = [1,\n", "buildopt.toml:2:8: not TOML: "),
        ("version: 1\n", "buildopt.toml:1:8: not TOML: expected '='"),
    ],
)
def test_a_syntax_error_says_where_and_what_to_do(text: str, said: str) -> None:
    (line,) = lines_of(text)
    assert line.startswith(said)
