from __future__ import annotations

import random
import re
import tomllib
from datetime import UTC, date, datetime
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import RICH, VALUES, documents, mutate
from packaging.specifiers import SpecifierSet
from profile_texts import load_text

from buildopt.errors import ProfileError
from buildopt.profile import enforce, schema
from buildopt.profile.json_schema import format_checker
from buildopt.profile.reader import read_document
from buildopt.profile.shapes import SPECIFIER
from buildopt.profile.write import COMMAND, products

VALIDATOR = jsonschema.Draft202012Validator(schema(), format_checker=format_checker())
DOCUMENTS = documents()


def parser_accepts(document: dict[str, Any]) -> bool:
    reading = read_document(document, "buildopt.toml")
    return not reading.problems and not reading.unknown


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_every_key_of_the_schema_is_documented() -> None:
    tables = [schema(), *schema()["$defs"].values()]
    silent = [key for table in tables for key, value in table["properties"].items() if not value["description"]]
    assert silent == []


@pytest.mark.parametrize("path", products(), ids=lambda path: path.name)
def test_the_committed_copy_is_what_the_model_says(path: Any) -> None:
    assert path.read_text(encoding="utf-8") == products()[path], f"{path.name} is stale: run {COMMAND}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_parser_and_schema_accept_what_is_right(document: dict[str, Any]) -> None:
    assert parser_accepts(document)
    assert VALIDATOR.is_valid(document)


@given(st.randoms(use_true_random=False))
@settings(max_examples=600)
def test_parser_and_schema_agree_on_changed_documents(chance: random.Random) -> None:
    document = mutate(chance.choice(DOCUMENTS), chance)
    assert parser_accepts(document) == VALIDATOR.is_valid(document)


MOMENTS = (datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 1))


@pytest.mark.parametrize("key", sorted(schema()["properties"]))
def test_parser_and_schema_agree_on_every_value_at_every_key(key: str) -> None:
    for value in (*VALUES[1:], *MOMENTS):
        document = {"version": 1, key: value}
        assert parser_accepts(document) == VALIDATOR.is_valid(document), document


@given(st.from_regex(r"\A[0-9.]{0,4}(ms|s|m|h|B|GiB|kB)?[0-9]{0,2}(s|m|h)?\n?\Z") | st.text(max_size=8))
def test_parser_and_schema_agree_on_durations_and_sizes(text: str) -> None:
    for document in ({"version": 1, "budgets": {"clean-build": text}}, {"version": 1, "cache": {"size": text}}):
        assert parser_accepts(document) == VALIDATOR.is_valid(document)


@given(st.from_regex(SPECIFIER.removesuffix(r"(?!\n)"), alphabet=st.characters(max_codepoint=126)))
def test_a_specifier_of_the_pattern_is_one_for_packaging(text: str) -> None:
    if re.search(SPECIFIER, text):
        SpecifierSet(text)


def test_enforcing_finds_a_document_that_the_schema_does_not_know() -> None:
    loaded = load_text(RICH)
    enforce(loaded)
    spoilt = loaded._replace(documents=(("other.toml", {"version": 1, "cache": {"storage": ["redis://:pw@h"]}}),))
    with pytest.raises(ProfileError) as caught:
        enforce(spoilt)
    (line,) = map(str, caught.value.problems)
    assert line.startswith("other.toml: cache.storage: ")
    assert "pw" not in line


def test_unknown_keys_that_were_let_through_stay_warnings_when_enforced() -> None:
    loaded = load_text("version = 1\nlater = 1\n[cache]\nkind = 2\n", strict=False)
    assert [problem.key for problem in loaded.warnings] == ["later", "cache.kind"]
    enforce(loaded)


def test_a_file_may_give_a_part_of_a_stage_that_a_preset_has_in_full() -> None:
    document = tomllib.loads("version = 1\nextends = ['dev-fast']\n[stages.core]\ntimeout = '1m'\n")
    assert VALIDATOR.is_valid(document)
    assert parser_accepts(document)
