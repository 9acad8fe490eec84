from __future__ import annotations

import pytest

from buildopt.generate.gitignore import line_for, with_lines

LINES = ("/.buildopt/", "/.cargo/buildopt.host.toml")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, b"/.buildopt/\n/.cargo/buildopt.host.toml\n"),
        (b"/target", b"/target\n/.buildopt/\n/.cargo/buildopt.host.toml\n"),
        (b"/target\r\n", b"/target\r\n/.buildopt/\r\n/.cargo/buildopt.host.toml\r\n"),
        (b"  /.buildopt/ \n# c\n", b"  /.buildopt/ \n# c\n/.cargo/buildopt.host.toml\n"),
        (b"/.cargo/buildopt.host.toml\n/.buildopt/", b"/.cargo/buildopt.host.toml\n/.buildopt/"),
        (b"#/.buildopt/\n", b"#/.buildopt/\n/.buildopt/\n/.cargo/buildopt.host.toml\n"),
    ],
)
def test_lines_are_added_where_they_are_missing(before: bytes | None, after: bytes) -> None:
    assert with_lines(before, LINES) == after
    assert with_lines(after, LINES) == after


@pytest.mark.parametrize(
    ("path", "line"),
    [(".bacon-locations", "/.bacon-locations"), ("./a/b", "/a/b"), ("a[1] ", "/a\\[1]\\ "), ("!a#", "/!a#")],
)
def test_a_line_ignores_its_path_and_no_other(path: str, line: str) -> None:
    assert line_for(path) == line
