from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.errors import ManifestError
from buildopt.generate.adoption import Adopted, adopt
from buildopt.generate.toml import decode

DEBUG = Adopted(("cargo", "profile", "dev-fast", "debug"), 0, ("0.87 [0.84, 0.90] alone", "evidence abc"))
PACKAGE = Adopted(("cargo", "profile", "dev-fast", "package", "*", "debug"), False, ("0.93",))
LINKER = Adopted(("cargo", "linker", "prefer"), ["mold"], ("0.65",))


def written(text: str, *settings: Adopted) -> str:
    return adopt(decode(text.encode(), "buildopt.toml"), "buildopt.toml", settings)


def test_setting_goes_to_the_end_of_its_table_before_what_follows():
    text = 'version = 1\n\n[cargo.profile.dev-fast]\ninherits = "dev" # mine\n\n# about stages\n[stages.core]\nrun = ["build"]\n'
    assert written(text, DEBUG) == (
        'version = 1\n\n[cargo.profile.dev-fast]\ninherits = "dev" # mine\n'
        "# tuned: 0.87 [0.84, 0.90] alone\n#   evidence abc\ndebug = 0\n"
        '\n# about stages\n[stages.core]\nrun = ["build"]\n'
    )


def test_value_that_stands_there_is_replaced_with_its_old_evidence_and_nothing_else():
    text = "version = 1\n[cargo.profile.dev-fast]\n# why I did it\n# tuned: old\n#   older\ndebug = 1 # keep me\nstrip = true\n"
    assert written(text, DEBUG) == (
        "version = 1\n[cargo.profile.dev-fast]\n# why I did it\n"
        "# tuned: 0.87 [0.84, 0.90] alone\n#   evidence abc\ndebug = 0 # keep me\nstrip = true\n"
    )


def test_missing_tables_are_added_at_the_end():
    assert written("version = 1", PACKAGE, LINKER) == (
        'version = 1\n\n[cargo.profile.dev-fast.package."*"]\n# tuned: 0.93\ndebug = false\n'
        '\n[cargo.linker]\n# tuned: 0.65\nprefer = ["mold"]\n'
    )


def test_dotted_keys_are_joined_by_dotted_keys():
    text = 'version = 1\n[cargo]\nprofile.dev-fast.inherits = "dev"\njobs = 2\n'
    result = written(text, DEBUG)
    assert tomllib.loads(result)["cargo"]["profile"]["dev-fast"] == {"inherits": "dev", "debug": 0}


@pytest.mark.parametrize(
    "text",
    [
        'version = 1\n[cargo]\nprofile = { dev-fast = { inherits = "dev" } }\n',
        'version = 1\ncargo.profile.dev-fast = { inherits = "dev" }\n',
    ],
)
def test_inline_table_is_refused_with_the_line_to_write(text):
    with pytest.raises(ManifestError) as caught:
        written(text, DEBUG)
    assert "cargo.profile.dev-fast.debug = 0" in str(caught.value.problems[0])


def test_windows_line_endings_stay():
    text = "version = 1\r\n[cargo.profile.dev-fast]\r\ninherits = 'dev'\r\n"
    assert "\n" not in written(text, DEBUG).replace("\r\n", "")


TABLES = st.lists(
    st.sampled_from([
        '[cargo.profile.dev-fast]\ninherits = "dev"\n', "# alone\n", "\n", "[stages.a]\nrun = []\n", "[budgets]\nenforce = true\n",
        '[cargo.profile.dev-fast.package."*"]\nopt-level = 1\n', '[cargo.linker]\nprefer = ["lld"] # x\n',
    ]),
    unique=True,
)  # fmt: skip


@given(TABLES, st.permutations([DEBUG, PACKAGE, LINKER]))
def test_what_is_asked_for_stands_there_and_what_was_stays(tables, settings):
    before = "version = 1\n" + "".join(tables)
    after = written(before, *settings)
    values = tomllib.loads(after)
    assert values["cargo"]["profile"]["dev-fast"]["debug"] == 0
    assert values["cargo"]["profile"]["dev-fast"]["package"]["*"]["debug"] is False
    assert values["cargo"]["linker"]["prefer"] == ["mold"]
    kept = [line for line in after.splitlines() if line in before.splitlines()]
    assert [line for line in before.splitlines() if "prefer" not in line and line] == [line for line in kept if line]
    assert written(after, *settings) == after
