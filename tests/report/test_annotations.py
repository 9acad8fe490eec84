from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.report.annotations import code_quality, github_commands
from buildopt.watch.diagnostics import Diagnostic, DiagnosticReader

RUSTC = b"""\x1b[1m\x1b[91merror[E0308]\x1b[0m\x1b[1m: mismatched types\x1b[0m
 --> src/lib.rs:3:14
  |
3 |     100%: "a"
  |           ^^^ expected `u32`, found `&str`

warning: unused variable: `x`
 --> src/lib.rs:7:9
  |
7 |     let x = 1;
  |         ^ help: if this is intentional, prefix it with an underscore: `_x`

"""


def read(text: bytes) -> tuple[Diagnostic, ...]:
    reader = DiagnosticReader("/ws")
    return (*reader.feed(text), *reader.flush())


def parsed(line: str) -> tuple[str, dict[str, str], str]:
    """Return kind, properties and message as the runner of GitHub Actions reads a command."""
    found = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
    assert found is not None, line

    def plain(text: str) -> str:
        for code, sign in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
            text = text.replace(code, sign)
        return text

    properties = dict(part.split("=", 1) for part in found[2].split(","))
    message = found[3].replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
    return found[1], {key: plain(value) for key, value in properties.items()}, message


def a(
    level: str = "error",
    message: str = "m",
    path: str | None = "src/lib.rs",
    line: int | None = 1,
    column: int | None = 1,
):
    return Diagnostic(level, message, path, line, column, message.encode("utf-8", "replace"))


def test_what_rustc_says_is_an_annotation_at_its_place():
    error, warning = (parsed(line) for line in github_commands(read(RUSTC), "rust"))
    assert error[0] == "error"
    assert error[1] == {"file": "rust/src/lib.rs", "line": "3", "col": "14", "title": "mismatched types"}
    assert error[2].startswith("error[E0308]: mismatched types\n --> src/lib.rs:3:14\n")
    assert '100%: "a"' in error[2]
    assert warning[:2] == (
        "warning",
        {"file": "rust/src/lib.rs", "line": "7", "col": "9", "title": "unused variable: `x`"},
    )


def test_a_failed_test_is_an_error():
    kind, properties, _ = parsed(github_commands([a("test", "tests::adds: assertion failed")], "")[0])
    assert (kind, properties["title"]) == ("error", "test failed: tests::adds: assertion failed")


@pytest.mark.parametrize(
    ("path", "folder", "told"),
    [
        ("src/lib.rs", "", "src/lib.rs"),
        ("src/lib.rs", "rust", "rust/src/lib.rs"),
        ("../shared/src/lib.rs", "rust", "shared/src/lib.rs"),
        ("../other/src/lib.rs", "", None),
        ("/rustc/59807/library/core/src/num/mod.rs", "", None),
        ("src/lib.rs", None, None),
        ("./src/lib.rs", "", "src/lib.rs"),
    ],
)
def test_a_place_is_told_as_the_repository_knows_it(path, folder, told):
    _, properties, _ = parsed(github_commands([a(path=path)], folder)[0])
    assert properties.get("file") == told
    assert ("line" in properties) is (told is not None)
    assert [entry["location"]["path"] for entry in code_quality([a(path=path)], folder)] == ([told] if told else [])


def test_ten_of_a_kind_are_annotated_and_the_rest_is_counted():
    many = [a(level, f"m{n}") for n in range(13) for level in ("error", "warning")]
    *commands, last = github_commands(many, "")
    assert [line[2:7] for line in commands] == ["error"] * 10 + ["warni"] * 10
    assert last == "not annotated, because GitHub takes 10 of a kind: 3 more errors and 3 more warnings"
    assert len(github_commands(many[:20], "")) == 20


def test_the_same_complaint_is_annotated_once():
    assert len(github_commands([a(), a()], "")) == 1
    assert len(code_quality([a(), a()], "")) == 1


ODD = st.text(
    st.sampled_from("a%:,\r\n\x1b\x00=|[]#\u2028\u202e\ud800é") | st.characters(), max_size=30
) | st.sampled_from(["::error::x", "%0A::error::x", "##[error]x", "%25", "a::b,c=d", "::add-mask::"])


@given(message=ODD, path=ODD, rendered=st.binary(max_size=60), folder=st.sampled_from(["", "rust"]))
def test_nothing_that_is_printed_can_begin_another_command_or_get_lost(message, path, rendered, folder):
    lines = github_commands([Diagnostic("error", message, path, 3, None, rendered)], folder)
    (line,) = lines
    line.encode()
    assert len(line.splitlines()) == 1
    assert re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202e]", line) is None
    kind, properties, text = parsed(line)
    assert kind == "error"
    assert set(properties) <= {"file", "line", "title"}
    assert properties.get("line") in (None, "3")
    assert "\r" not in text


@given(
    st.lists(
        st.builds(a, st.sampled_from(["error", "warning", "test"]), ODD, ODD | st.none(), st.none() | st.integers(0, 9))
    )
)
def test_the_report_for_gitlab_has_unique_fingerprints_and_what_its_schema_requires(diagnostics):
    entries = json.loads(json.dumps(code_quality(diagnostics, "")))
    assert len({entry["fingerprint"] for entry in entries}) == len(entries)
    for entry in entries:
        assert set(entry) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert entry["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert entry["location"]["lines"]["begin"] >= 1
        assert not Path(entry["location"]["path"]).is_absolute()
        assert not entry["location"]["path"].startswith(("./", "../"))


def test_an_edit_above_a_warning_makes_no_new_one_of_it():
    before, after = (code_quality([a("warning", line=line)], "") for line in (7, 9))
    assert before[0]["fingerprint"] == after[0]["fingerprint"]
    assert len(code_quality([a("warning", f"m{n}", line=n) for n in range(1200)], "")) == 1000
