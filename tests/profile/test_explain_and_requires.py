from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from profile_texts import load_text

from buildopt.errors import ProfileError, ToolMissing
from buildopt.profile import check_requires, explain
from buildopt.profile.explanation import _comment

TEXT = """\
version = 1
extends = ["zen"]
[stages.quick-check]
# Two minutes were too short
# for "us".
timeout = "3m" # see '#12'

# Asked for by the platform team.
[cache]
storage = "local"
wrapper = "none"
[[override]]
when = { ci = true }
set.cache.wrapper = "sccache"
"""


def test_a_value_is_explained_with_who_gave_it_and_whom_it_replaced() -> None:
    said = explain(load_text(TEXT), "stages.quick-check.timeout")
    assert said.value == "3m"
    assert said.origin == ("file", "buildopt.toml")
    assert said.reason == 'buildopt.toml sets it, which wins over every preset; preset zen says "2m"'
    assert said.comment == "Two minutes were too short for \"us\". see '#12'"
    assert said.documentation.startswith("When the stage is killed")
    assert said.expected.startswith('"auto", or a duration')


def test_each_layer_is_explained_in_words() -> None:
    key = "cache.wrapper"
    variable = {"BUILDOPT_CACHE__WRAPPER": "none"}
    assert "[[override]] in buildopt.toml" in explain(load_text(TEXT, ci=True), key).reason
    assert "the variable BUILDOPT_CACHE__WRAPPER" in explain(load_text(TEXT, ci=True, environ=variable), key).reason
    called = explain(load_text(TEXT, ci=True, environ=variable, call=["cache.wrapper=sccache"]), key).reason
    assert called.startswith("it was given with --set")
    assert called.endswith(
        '; BUILDOPT_CACHE__WRAPPER says "none", buildopt.toml says "sccache", buildopt.toml says "none"'
    )


def test_a_preset_line_is_explained_with_the_comment_of_the_preset() -> None:
    said = explain(load_text(TEXT), "cargo.profile.dev-fast.opt-level")
    assert said.origin == ("preset", "preset zen")
    assert said.comment is not None
    assert "2.7 times" in said.comment


def test_of_two_presets_it_is_said_that_the_later_one_won() -> None:
    said = explain(load_text('version = 1\nextends = ["zen", "dev-fast"]\n'), "cargo.profile.dev-fast.debug")
    assert said.value == "line-tables-only"
    assert said.reason.endswith("of two presets the later one wins; preset zen says 1")


def test_a_line_of_an_override_is_explained_with_its_own_comment() -> None:
    text = "version = 1\n[cache] # mine\nwrapper = 'none' # plain\n[[override]]\nwhen = { ci = true }\n# Shared.\nset.cache.wrapper = 'sccache'\n"
    assert explain(load_text(text, ci=True), "cache.wrapper").comment == "Shared."
    assert explain(load_text(text, ci=False), "cache.wrapper").comment == "plain"


def test_a_default_is_explained_as_one() -> None:
    said = explain(load_text(TEXT), "record.keep-runs")
    assert (said.value, said.origin.layer) == (1000, "default")
    assert "default" in said.reason
    assert explain(load_text(TEXT), "requires.cargo").value is None


def test_a_table_is_explained_by_its_parts() -> None:
    said = explain(load_text(TEXT), "cache")
    assert said.comment == "Asked for by the platform team."
    assert [(part.key, part.value) for part in said.parts] == [("cache.storage", "local"), ("cache.wrapper", "none")]


def test_every_key_that_was_given_can_be_explained() -> None:
    loaded = load_text(TEXT)
    for key in loaded.given:
        assert explain(loaded, key).documentation
        assert explain(loaded, key).value == loaded.given[key][-1].value


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("cach.wrapper", 'did you mean "cache.wrapper"?'),
        ("stages.quick-check.timeot", 'did you mean "stages.quick-check.timeout"?'),
        ("zzz", "no such key"),
        ("", "no such key"),
        ("a..b", "no such key"),
        ("a = 1\nb", "no such key"),
        ("cache.wrapper.x", "no such key"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(key: str, said: str) -> None:
    with pytest.raises(ProfileError) as caught:
        explain(load_text(TEXT), key)
    assert said in str(caught.value.problems[0])


@given(st.text())
def test_any_text_can_be_searched_for_a_comment(text: str) -> None:
    assert _comment(text, ("a", "b")) is None or "#" in text


def requiring(text: str) -> object:
    return load_text(f"version = 1\n[requires]\n{text}\n").profile


@pytest.mark.parametrize(
    ("specifier", "version", "fits"),
    [
        (">=1.85", "1.95.0", True),
        (">=1.85", "1.84.1", False),
        (">=1.97", "1.97.0-nightly", True),
        (">=1.97", "1.97.0-beta.3", True),
        ("<1.97", "1.97.0-nightly", False),
        (">=1.97", "cargo 1.96.0 (abc 2026-01-01)", False),
        (">=1.85,<2", "1.95.0", True),
        ("~=1.85", "2.0.0", False),
        ("==1.95.*", "1.95.3", True),
        (">=0.1", "0.1.0.dev3", True),
        (">=1", "unknown", False),
        (">=1", None, False),
    ],
)
def test_a_version_is_compared_by_its_release(specifier: str, version: str | None, fits: bool) -> None:
    profile = requiring(f'cargo = "{specifier}"')
    if fits:
        check_requires(profile, {"cargo": version})
    else:
        with pytest.raises(ToolMissing):
            check_requires(profile, {"cargo": version})


def test_everything_unmet_is_said_at_once_with_how_to_get_it() -> None:
    profile = requiring('cargo = ">=1.99"\nnextest = ">=0.9"\nnox = ">=2024.4"')
    with pytest.raises(ToolMissing) as caught:
        check_requires(profile, {"cargo": "1.95.0", "nox": "2026.10.20"})
    assert caught.value.exit_code == 3
    cargo, nextest = map(str, caught.value.problems)
    assert cargo.startswith("requires.cargo: cargo >=1.99 is required, found 1.95.0 (rustup update")
    assert nextest.startswith(
        "requires.nextest: nextest >=0.9 is required, and it was not found (cargo install cargo-nextest"
    )


def test_sccache_is_only_required_while_it_is_used() -> None:
    check_requires(requiring('sccache = ">=0.8"'), {})
    with pytest.raises(ToolMissing):
        check_requires(requiring('sccache = ">=0.8"\n[cache]\nwrapper = "sccache"'), {})


@pytest.mark.parametrize(
    ("statement", "kept_out"),
    [
        ("from buildopt.profile import outline", {"buildopt.profile.model", "dataclasses", "jsonschema", "packaging"}),
        (
            "from buildopt.profile import load",
            {"jsonschema", "packaging", "difflib", "json", "buildopt.profile.documentation"},
        ),
        ("from buildopt.profile import check_requires", {"packaging", "jsonschema"}),
    ],
)
def test_what_is_heavy_is_imported_when_it_is_needed(statement: str, kept_out: set[str]) -> None:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert kept_out & set(done.stdout.split()) == set()
