from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from buildopt.watch.diagnostics import Diagnostic
from buildopt.watch.locations import locations


def diagnostic(
    level: str, message: str, path: str | None = "src/lib.rs", line: int = 3, column: int = 14
) -> Diagnostic:
    return Diagnostic(level, message, path, line, column, b"")


def test_one_line_each_and_errors_first():
    found = [
        diagnostic("warning", "unused variable: `x`"),
        diagnostic("test", "tests::adds: boom", "core/tests/it.rs", 1, 19),
        diagnostic("error", "mismatched types"),
    ]
    assert locations(found) == (
        "error src/lib.rs:3:14 mismatched types\n"
        "test core/tests/it.rs:1:19 tests::adds: boom\n"
        "warning src/lib.rs:3:14 unused variable: `x`\n"
    )


def test_paths_become_absolute_under_a_root():
    found = [
        diagnostic("error", "a"),
        diagnostic("error", "b", "../near/src/lib.rs"),
        diagnostic("error", "c", "/far.rs"),
    ]
    assert (
        locations(found, Path("/ws"))
        == "error /ws/src/lib.rs:3:14 a\nerror /near/src/lib.rs:3:14 b\nerror /far.rs:3:14 c\n"
    )


def test_what_has_no_place_has_no_line():
    assert locations([diagnostic("error", "linking with `cc` failed", None)]) == ""


LEVELS = st.sampled_from(["error", "warning", "test"])
FOUND = st.builds(diagnostic, LEVELS, st.text(), st.text(min_size=1), st.integers(1, 9999), st.integers(1, 9999))


@given(st.lists(FOUND))
def test_one_line_for_each_whatever_it_contains(found):
    lines = locations(found).splitlines()
    assert len(lines) == len(found)
    assert all(re.match(r"(?:error|warning|test) .*:\d+:\d+", line) for line in lines)
    kinds = [line.partition(" ")[0] for line in lines]
    assert kinds == sorted(kinds, key=["error", "test", "warning"].index)
