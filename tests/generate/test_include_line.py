from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.errors import ManifestError
from buildopt.generate.include_line import with_include, with_region, without_include, without_region
from buildopt.generate.toml import decode

FILE = ".cargo/config.toml"
LINE = 'include = ["buildopt.toml"] # written by buildopt\n'

EXTENDED = {
    "": LINE,
    "[build]\njobs = 2\n": LINE + "\n[build]\njobs = 2\n",
    "[build]\njobs = 2": LINE + "\n[build]\njobs = 2",
    "# about build\n[build]\njobs = 2\n": LINE + "\n# about build\n[build]\njobs = 2\n",
    "# a licence\n\n[build]\n": "# a licence\n\n" + LINE + "\n[build]\n",
    "# only a comment": LINE + "\n# only a comment",
    'include = ["a.toml"] # mine\n': 'include = ["buildopt.toml", "a.toml"] # mine\n',
    'include = [{ path = "a.toml", optional = true }]\n': 'include = ["buildopt.toml", { path = "a.toml", optional = true }]\n',
    "include = []\n": 'include = ["buildopt.toml"]\n',
    'include = "a.toml"\n': 'include = ["buildopt.toml", "a.toml"]\n',
    'x = 1\n"include" = [\n    "a.toml", # one\n]\n': 'x = 1\n"include" = [\n    "buildopt.toml",\n    "a.toml", # one\n]\n',
    '[build]\njobs = 2\n\n[[include]]\npath = "a.toml"\n': '[build]\njobs = 2\n\n[[include]]\npath = "buildopt.toml"\n\n[[include]]\npath = "a.toml"\n',
}


@pytest.mark.parametrize("before", EXTENDED)
def test_the_include_is_added_and_taken_away_again(before: str) -> None:
    after = with_include(decode(before.encode(), FILE), FILE)
    assert after == EXTENDED[before]
    source = decode(after.encode(), FILE)
    assert with_include(source, FILE) == after
    back = without_include(source, FILE)
    if before.startswith('include = "'):  # which Cargo refuses anyway
        assert back == 'include = ["a.toml"]\n'
    else:
        assert tomllib.loads(back) == (tomllib.loads(before) if before != "include = []\n" else {})
        assert [line for line in before.splitlines() if "#" in line] == [
            line for line in back.splitlines() if "#" in line
        ]
    if "include" not in before:
        assert back == before


@pytest.mark.parametrize("before", EXTENDED)
def test_windows_line_endings_stay(before: str) -> None:
    text = before.replace("\n", "\r\n")
    after = with_include(decode(text.encode(), FILE), FILE)
    if "\n" in before:
        assert after == EXTENDED[before].replace("\n", "\r\n")


@pytest.mark.parametrize(
    "text", ['include = ["./buildopt.toml"]\n', '[[include]]\npath = "buildopt.toml"\noptional = true\n']
)
def test_an_include_in_other_words_is_ours_too(text: str) -> None:
    source = decode(text.encode(), FILE)
    assert with_include(source, FILE) == text
    assert without_include(source, FILE) == ""


def test_an_include_that_cargo_cannot_read_is_refused() -> None:
    with pytest.raises(ManifestError) as raised:
        with_include(decode(b"include = 3\n", FILE), FILE)
    assert ".cargo/config.toml: include: expected a list of paths" in str(raised.value.problems[0])


BODY = "\n[profile.dev]\ndebug = false\n"


@pytest.mark.parametrize("before", ["", "[build]\njobs = 2\n", "[build]\njobs = 2\n\n", "[build]\r\njobs = 2\r\n"])
def test_a_region_comes_and_goes_and_nothing_else_changes(before: str) -> None:
    after = with_region(decode(before.encode(), FILE), FILE, BODY)
    assert tomllib.loads(after) == {**tomllib.loads(before), "profile": {"dev": {"debug": False}}}
    assert with_region(decode(after.encode(), FILE), FILE, BODY) == after
    assert without_region(after, FILE) == before
    other = with_region(decode(after.encode(), FILE), FILE, BODY.replace("false", "1"))
    assert tomllib.loads(other)["profile"]["dev"]["debug"] == 1


def test_a_region_may_be_anywhere_and_text_behind_it_stays() -> None:
    text = with_region(decode(b"[a]\n", FILE), FILE, BODY) + "# mine\n[b]\n"
    assert without_region(text, FILE) == "[a]\n# mine\n[b]\n"


@pytest.mark.parametrize("mark", ["# >>> buildopt >>>", "# <<< buildopt <<<"])
def test_a_region_with_a_mark_missing_or_twice_is_refused(mark: str) -> None:
    text = with_region(decode(b"[a]\n", FILE), FILE, BODY) + "# mine\n[b]\n"
    for broken in (text.replace(f"{mark}\n", ""), text.replace(mark, f"{mark}\n{mark}")):
        with pytest.raises(ManifestError) as raised:
            without_region(broken, FILE)
        assert "do not match" in str(raised.value.problems[0])
    assert without_region(f'a = "{mark}"\n', FILE) == f'a = "{mark}"\n'


def test_a_table_that_the_user_has_is_refused() -> None:
    with pytest.raises(ManifestError) as raised:
        with_region(decode(b"[profile]\ndev.debug = 1\n", FILE), FILE, BODY)
    assert "profile.dev: stands in the file already (move it to buildopt.toml)" in str(raised.value.problems[0])
    assert with_region(decode(b"[profile.dev.package.x]\ndebug = 1\n", FILE), FILE, BODY)


LINES = st.sampled_from(
    [
        "# \u2028 \u2028 \x85",
        "",
        "# c",
        "[build]",
        "jobs = 2",
        "[a.b]",
        'x = """\ninclude = ["q"]\n"""',
        "y = [",
        "]",
        "include = [",
        '"z.toml",',
        "[[include]]",
        'path = "p.toml"',
    ]
)


@given(st.lists(LINES, max_size=8), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_file_gets_one_entry_and_keeps_the_rest(lines: list[str], newline: str, ended: bool) -> None:
    text = newline.join([*lines, ""] if ended else lines)
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    if not isinstance(before.get("include", []), list):
        return
    source = decode(text.encode(), FILE)
    after = tomllib.loads(with_include(source, FILE))
    paths = [item.get("path") if isinstance(item, dict) else item for item in after.pop("include")]
    assert paths.count("buildopt.toml") == 1
    assert after == {key: value for key, value in before.items() if key != "include"}
    again = decode(with_include(source, FILE).encode(), FILE)
    assert tomllib.loads(without_include(again, FILE)).get("include", []) == before.get("include", [])
