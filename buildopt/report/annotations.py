"""Diagnostics as the hosts of CI take them: workflow commands of GitHub Actions, a Code Quality report of GitLab. Pure.

What a compiler or a test printed is untrusted: here it becomes one line each, in which nothing can begin another command.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable
from typing import Any

from buildopt.report.layout import visible
from buildopt.watch.diagnostics import Diagnostic
from buildopt.watch.failing_tests import without_escapes

__all__ = ["code_quality", "github_commands", "unheard"]

_MOST_COMMANDS = 10  # of each kind in one step; GitHub drops what is above
_MOST_PROBLEMS = 1000
_LONGEST_TITLE = 200
_LONGEST_MESSAGE = 4000  # characters
_SEVERITY = {"error": "critical", "test": "major", "warning": "minor"}
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def github_commands(diagnostics: Iterable[Diagnostic], folder: str | None) -> tuple[str, ...]:
    """Return one line for every annotation, at most ten errors and ten warnings, then a line that counts the rest.

    `folder` is the workspace root relative to that of the repository (empty for the same); None when it is outside, and
    then no place is told. A failed test is an error.
    """
    found = list(dict.fromkeys(diagnostics))
    kinds = (
        ("error", [each for each in found if each.level != "warning"]),
        ("warning", [each for each in found if each.level == "warning"]),
    )
    lines = [_command(kind, each, folder) for kind, some in kinds for each in some[:_MOST_COMMANDS]]
    more = [f"{len(some) - _MOST_COMMANDS} more {kind}s" for kind, some in kinds if len(some) > _MOST_COMMANDS]
    if more:
        lines.append(f"not annotated, because GitHub takes {_MOST_COMMANDS} of a kind: {' and '.join(more)}")
    return tuple(lines)


def code_quality(diagnostics: Iterable[Diagnostic], folder: str | None) -> list[dict[str, Any]]:
    """Return the diagnostics that have a place as GitLab's Code Quality report, at most 1,000; `folder` is as above.

    The fingerprint does not depend on the line, so that an edit above a warning does not make it a new one.
    """
    seen: dict[tuple[str, str, str], int] = {}
    entries: list[dict[str, Any]] = []
    for each in dict.fromkeys(diagnostics):
        path = _place(each.path, folder)
        if path is None or len(entries) == _MOST_PROBLEMS:
            continue
        message = visible(_plain(each.message))[:_LONGEST_MESSAGE]
        what = (each.level, path, message)
        seen[what] = seen.get(what, 0) + 1
        entries.append(
            {
                "description": message,
                "check_name": "cargo-test" if each.level == "test" else f"rust-{each.level}",
                "fingerprint": hashlib.blake2b(repr((*what, seen[what])).encode(), digest_size=16).hexdigest(),
                "severity": _SEVERITY[each.level],
                "location": {"path": path, "lines": {"begin": max(1, each.line or 1)}},
            }
        )
    return entries


def unheard(text: str, token: str) -> str:
    """Return lines in which GitHub finds no command, whatever they say; `token` is one that nobody could have foreseen."""
    end = "" if not text or text.endswith("\n") else "\n"
    return f"::stop-commands::{token}\n{text}{end}::{token}::\n"


def _command(kind: str, diagnostic: Diagnostic, folder: str | None) -> str:
    path = _place(diagnostic.path, folder)
    facts: list[tuple[str, object]] = []
    if path is not None:
        facts = [("file", path), ("line", diagnostic.line), ("col", diagnostic.column)]
    title = visible(_plain(diagnostic.message)) or kind
    facts.append(
        ("title", f"test failed: {title}"[:_LONGEST_TITLE] if diagnostic.level == "test" else title[:_LONGEST_TITLE])
    )
    properties = ",".join(f"{key}={_property(str(value))}" for key, value in facts if value not in (None, ""))
    message = _plain(without_escapes(diagnostic.rendered)).strip("\n") or title
    return f"::{kind} {properties}::{_data(_cut(message))}"


def _place(path: str | None, folder: str | None) -> str | None:
    """Return a path as the repository knows it, or None for one that is not in it."""
    if path is None or folder is None or posixpath.isabs(path):
        return None
    joined = posixpath.normpath(posixpath.join(folder, path))
    return None if joined in (".", "..") or joined.startswith("../") else _plain(joined)


def _plain(text: str) -> str:
    """Return `text` with line breaks and tabs, and without anything else that steers."""
    return _STEERING.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}\n…"


def _data(text: str) -> str:
    """Escape the message of a command, as the toolkit of GitHub Actions does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
