"""Plans as unified diffs for people: nothing in a file or its name can act on the terminal, and nothing is invisible."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator

from buildopt.sync.model import Edit, Plan

__all__ = ["diff_of", "diff_text"]


def diff_text(plan: Plan) -> str:
    """Return the unified diff of all edits, without colour; empty when there are none."""
    return "".join(map(diff_of, plan.edits))


def diff_of(edit: Edit) -> str:
    r"""Return the unified diff of one edit.

    Carriage returns and other unprintable characters are shown as escapes (`\r`, `\x1b`, `\u202e`), bytes that are
    not UTF-8 as `\xe9`, a binary file (one with a NUL) as one line.
    """
    old = "/dev/null" if edit.before is None else _name(f"a/{edit.path}")
    new = "/dev/null" if edit.after is None else _name(f"b/{edit.path}")
    before, after = edit.before or b"", edit.after or b""
    if b"\0" in before or b"\0" in after:
        return f"Binary files {old} ({len(before)} bytes) and {new} ({len(after)} bytes) differ\n"
    return f"--- {old}\n+++ {new}\n" + "".join(_hunks(_lines(before), _lines(after)))


def _hunks(before: list[str], after: list[str]) -> Iterator[str]:
    for number, line in enumerate(difflib.unified_diff(before, after)):
        if number < 2:  # the header, which cannot say /dev/null without a time beside it
            continue
        if line.startswith("@@"):
            yield line
        elif line.endswith("\n"):
            yield f"{_visible(line[:-1])}\n"
        else:
            yield f"{_visible(line)}\n\\ No newline at end of file\n"


def _lines(content: bytes) -> list[str]:
    """Split at newlines only: str.splitlines would also split at form feeds and the like."""
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    whole, rest = lines[:-1], lines[-1]
    return [f"{line}\n" for line in whole] + ([rest] if rest else [])


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\t" else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return repr(character)[1:-1]


def _name(path: str) -> str:
    """Quote a path as git does, where it holds something that cannot be printed as it is."""
    if path.isprintable() and not set(path) & {'"', "\\"}:
        return path
    quoted = "".join(
        f"\\{c}" if c in '"\\' else c if c.isprintable() else "".join(f"\\{byte:03o}" for byte in os.fsencode(c))
        for c in path
    )
    return f'"{quoted}"'
