"""JSON with comments and trailing commas, as editors write it: scanned so that single values can be changed in place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from buildopt.errors import ManifestError, Problem

__all__ = ["Entry", "Scanned", "scan", "with_values"]

_TRIVIA = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_SAME_LINE = re.compile(r"(?:[ \t\r]+|//[^\n]*|/\*[^\n]*?\*/)*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null", re.ASCII)
_DEEPEST = 200


class Entry(NamedTuple):
    """One key of the outermost object, with offsets into the text."""

    start: int
    key: str
    value: Any
    value_start: int
    value_end: int


class Scanned(NamedTuple):
    """The outermost object."""

    entries: tuple[Entry, ...]
    start: int
    end: int
    """Where its closing brace stands."""
    comma: int | None
    """Behind the comma after the last entry, if there is one."""


class _Malformed(Exception):
    def __init__(self, position: int, expected: str) -> None:
        super().__init__(expected)
        self.position = position
        self.expected = expected


def scan(text: str, file: str) -> Scanned | None:
    """Return the outermost object of `text`, or None when there are only comments and spaces.

    Raises ManifestError with line and column when the text cannot be understood.
    """
    try:
        start = _skip(text, 0)
        if start == len(text):
            return None
        if text[start] != "{":
            raise _Malformed(start, "an object in braces")
        entries, comma, end = _members(text, start, 0)
        if _skip(text, end) != len(text):
            raise _Malformed(_skip(text, end), "nothing after the object")
    except _Malformed as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        problem = Problem(f"expected {error.expected}", file=f"{file}:{line}:{column}")
        raise ManifestError(f"{file} cannot be read; nothing was written", problems=(problem,)) from error
    return Scanned(tuple(entries), start, end - 1, comma)


def with_values(text: str, file: str, values: Mapping[str, Any], newline: str) -> str:
    """Return `text` with the keys of `values` set in its outermost object; all else stays, comments too.

    Raises ManifestError with line and column when the text cannot be understood.
    """
    scanned = scan(text, file)
    if scanned is None:
        gap = newline if text and not text.endswith("\n") else ""
        return text + gap + _object(values, newline)
    last = {entry.key: entry for entry in scanned.entries}
    edits = [
        (last[key].value_start, last[key].value_end, json.dumps(value, ensure_ascii=False))
        for key, value in values.items()
        if key in last and not _same(last[key].value, value)
    ]
    missing = {key: value for key, value in values.items() if key not in last}
    if missing:
        edits += _insertions(text, scanned, missing, newline)
    for start, end, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[end:]
    return text


def _insertions(text: str, scanned: Scanned, values: Mapping[str, Any], newline: str) -> list[tuple[int, int, str]]:
    if not scanned.entries:
        inside = text[scanned.start + 1 : scanned.end]
        if inside.strip():  # comments only
            lines = newline.join(_pairs(values, "    "))
            return [(scanned.end, scanned.end, ("" if inside.endswith("\n") else newline) + lines + newline)]
        return [(scanned.start, scanned.end + 1, _object(values, newline).removesuffix(newline))]
    last = scanned.entries[-1]
    comma = scanned.comma
    edits = [(last.value_end, last.value_end, ",")] if comma is None else []
    after = comma or last.value_end
    trailing = "," if comma is not None else ""
    rest = _SAME_LINE.match(text, after)
    line_end = rest.end() if rest else after
    first = scanned.entries[0].start
    indent = text[text.rfind("\n", 0, first) + 1 : first]
    if text.startswith("\n", line_end) and not indent.strip():
        if text[line_end - 1] == "\r":
            line_end -= 1
        pairs = newline + newline.join(_pairs(values, indent)) + trailing
        if line_end > after:
            return [*edits, (line_end, line_end, pairs)]
    else:
        pairs = " " + " ".join(_pairs(values, "")) + trailing
    return [(after, after, (edits[0][2] if edits else "") + pairs)]


def _object(values: Mapping[str, Any], newline: str) -> str:
    return newline.join(["{", *_pairs(values, "    "), "}", ""])


def _pairs(values: Mapping[str, Any], indent: str) -> list[str]:
    pairs = [f"{indent}{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    return [*(f"{pair}," for pair in pairs[:-1]), pairs[-1]]


def _same(old: Any, new: Any) -> bool:
    return type(old) is type(new) and bool(old == new)


def _skip(text: str, position: int) -> int:
    match = _TRIVIA.match(text, position)
    return match.end() if match else position


def _members(text: str, position: int, depth: int) -> tuple[list[Entry], int | None, int]:
    """Return the entries of the object at `position`, the end of its last comma if that trails, and its end."""
    entries: list[Entry] = []
    comma = None
    position = _skip(text, position + 1)
    while not text.startswith("}", position):
        if entries and comma is None:
            raise _Malformed(position, "a comma or a closing brace")
        start = position
        key, position = _string(text, position, "a key in double quotes or a closing brace")
        position = _skip(text, position)
        if not text.startswith(":", position):
            raise _Malformed(position, "a colon")
        value_start = _skip(text, position + 1)
        value, value_end = _value(text, value_start, depth)
        entries.append(Entry(start, key, value, value_start, value_end))
        position, comma = _comma(text, value_end)
    return entries, comma, position + 1


def _comma(text: str, position: int) -> tuple[int, int | None]:
    position = _skip(text, position)
    if text.startswith(",", position):
        return _skip(text, position + 1), position + 1
    return position, None


def _value(text: str, position: int, depth: int) -> tuple[Any, int]:
    if depth > _DEEPEST:
        raise _Malformed(position, f"at most {_DEEPEST} levels")
    if text.startswith("{", position):
        entries, _, end = _members(text, position, depth + 1)
        return {entry.key: entry.value for entry in entries}, end
    if text.startswith("[", position):
        return _items(text, position, depth + 1)
    if text.startswith('"', position):
        return _string(text, position, "a string")
    match = _SCALAR.match(text, position)
    if match is None:
        raise _Malformed(position, "a value")
    return json.loads(match.group()), match.end()


def _items(text: str, position: int, depth: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    comma: int | None = 0
    position = _skip(text, position + 1)
    while not text.startswith("]", position):
        if comma is None:
            raise _Malformed(position, "a comma or a closing bracket")
        item, position = _value(text, position, depth)
        items.append(item)
        position, comma = _comma(text, position)
    return items, position + 1


def _string(text: str, position: int, expected: str) -> tuple[str, int]:
    match = _STRING.match(text, position)
    if match is None:
        raise _Malformed(position, expected)
    try:
        return str(json.loads(match.group())), match.end()
    except ValueError as error:
        raise _Malformed(position, "a string with valid escapes") from error
