"""What nextest prints and is told."""

from __future__ import annotations

import json
import tomllib
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.cargo.nextest import filtersets, own_report, parse_listing, report_config


def suite(**tests: str) -> dict[str, object]:
    return {
        "testcases": {name: {"ignored": False, "filter-match": {"status": status}} for name, status in tests.items()}
    }


def test_only_what_would_run_is_listed():
    text = json.dumps(
        {
            "rust-suites": {
                "b::it": suite(z="matches", y="matches", x="mismatch"),
                "a": suite(),
                "c": suite(x="mismatch"),
                "d": {"status": "skipped", "testcases": {}},
            }
        }
    )
    assert parse_listing(text.encode()) == {"b::it": ("y", "z")}


@pytest.mark.parametrize(
    "text",
    [
        b"", b"nextest", b"[]", b"{}", b'{"rust-suites": 1}', b'{"rust-suites": {"a": {}}}', b"\xff", b"[" * 100_000,
        b'{"rust-suites": {"a": {"testcases": {"x": {}}}}}', b'{"rust-suites": {"a": {"testcases": ["x"]}}}',
    ],
)  # fmt: skip
def test_another_form_of_list_is_refused(text: bytes):
    with pytest.raises(ValueError):
        parse_listing(text)


def test_names_are_quoted_and_a_whole_binary_is_named_alone():
    listed = {"a": ("x", "y"), "b::it": ("m::one", "par(en), ~")}
    assert filtersets({"a": ("y", "x")}, listed) == ("binary_id(=a)",)
    assert filtersets({"a": ("x",), "b::it": ("par(en), ~",)}, listed) == (
        "binary_id(=a) & (test(=x))",
        r"binary_id(=b::it) & (test(=par\u{28}en\u{29}\u{2c}\u{20}\u{7e}))",
    )
    assert filtersets({}, listed) == ()


def test_many_names_are_several_filtersets_and_too_many_are_none():
    names = tuple(f"module::test_{number:06}" for number in range(60_000))
    listed = {"a": names, "b": ("x",)}
    some = filtersets({"a": names[:10_000]}, listed)
    assert some is not None
    assert len(some) > 2
    assert max(map(len, some)) <= 100_000
    assert sum(text.count("test(=") for text in some) == 10_000
    assert filtersets({"a": names[1:]}, listed) is None
    assert filtersets({"a": names}, listed) == ("binary_id(=a)",)


def test_a_name_longer_than_a_filterset_is_no_endless_loop():
    listed = {"a": ("x" * 150_000, "y")}
    found = filtersets({"a": ("x" * 150_000,)}, listed)
    assert found is None, "no argument may be that long"


@given(st.text(st.characters(codec="utf-8"), min_size=1).map(lambda text: f"/tmp/{text}/junit.xml"))
def test_the_report_is_asked_for_at_any_path(path: str):
    document = tomllib.loads(report_config(PurePath(path)))
    assert document["profile"]["default"]["junit"]["path"] == str(PurePath(path))


@pytest.mark.parametrize(
    ("config", "profile", "path"),
    [
        ("", "default", None),
        ("[profile.default]\nretries = 1\n", "default", None),
        ('[profile.default.junit]\npath = "j.xml"\n', "default", "target/nextest/default/j.xml"),
        ('[profile.default.junit]\npath = "j.xml"\n', "ci", "target/nextest/ci/j.xml"),
        ('[profile.ci.junit]\npath = "j.xml"\n', "default", None),
        ('[store]\ndir = "s"\n[profile.ci.junit]\npath = "d/j.xml"\n', "ci", "s/ci/d/j.xml"),
        ('[profile.ci.junit]\npath = "j.xml"\n[profile.x]\ninherits = "ci"\n', "x", "target/nextest/x/j.xml"),
        ('[profile.x]\ninherits = "y"\n[profile.y]\ninherits = "x"\n', "x", None),
        ('[profile.default.junit]\npath = "/abs/j.xml"\n', "default", "/abs/j.xml"),
        ("profile = 1\n", "default", None),
        ("[profile]\ndefault = 1\n", "default", None),
        ("not toml", "default", None),
    ],
)
def test_a_report_of_the_users_own_is_found(config: str, profile: str, path: str | None):
    found = own_report(config.encode(), profile)
    assert (None if found is None else str(found)) == path


def test_a_config_that_is_no_text_says_nothing():
    assert own_report(b"\xff\xfe", "default") is None
