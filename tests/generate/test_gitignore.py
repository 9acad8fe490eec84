from __future__ import annotations

import pytest

from buildopt.generate.gitignore import with_lines

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
