"""Edits of Rust source: a statement in the body of a real function, or one more public function. Pure.

A `touch` is no edit: rustc then finds nothing changed, and the build costs some 40 % less than after a real one. So every
edit has a number that no build has seen before; and it moves the lines below it, as most edits do.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = ["Place", "body_places", "edited", "signature_place"]

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RAW_STRING = re.compile(r'[bc]?r(#*)"')
_CHARACTER = re.compile(r"b?'(?:\\.[^']*|[^\\'])'")
_FUNCTION = re.compile(
    r"(?P<before>(?:\b(?:pub(?:\s*\([^)]*\))?|default|const|async|unsafe|safe|extern(?:\s+\"\s*\")?)\s+)*)\bfn\s+(?P<name>\w+)\s*(?P<generic><)?"
)
_MACRO = re.compile(r"\b\w+\s*!\s*(?:\w+\s*)?([({\[])")
_CONDITION = re.compile(r"#!?\s*\[\s*(?:cfg\b|test\b|bench\b|inline\b|no_mangle|naked|unsafe|proc_macro|macro_export)")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class Place(NamedTuple):
    """Where an edit goes in a file."""

    kind: Literal["body", "signature"]
    offset: int
    """In characters; the end of the file for a signature."""


def edited(text: str, place: Place, number: int, lines: int) -> str:
    """Return `text` with the edit `number` made at `place`; `lines` empty lines go before it."""
    gap = "\n" * lines
    if place.kind == "signature":
        return f"{text}\n{gap}#[doc(hidden)]\n#[allow(dead_code)]\npub fn buildopt_edit_{number}() -> u64 {{\n    {number}\n}}\n"
    statement = f"\n{gap}    let _ = core::hint::black_box({number}_u64);"
    return text[: place.offset] + statement + text[place.offset :]


def signature_place(text: str) -> Place:
    """Return where one more function can be put: at the end."""
    return Place("signature", len(text))


def body_places(text: str) -> tuple[Place, ...]:
    """Return where a statement can stand at the start of a function's body, the most typical function first.

    Left out are functions in macros, under `cfg` or a test attribute, and const ones. Generic ones come last, because
    they are compiled elsewhere. Whether the compiler takes the statement only a build can say.
    """
    plain = _blanked(text)
    skipped = _skipped(plain)
    found: list[tuple[int, int, bool]] = []
    for match in _FUNCTION.finditer(plain):
        if any(start <= match.start() < end for start, end in skipped) or re.search(r"\bconst\b", match["before"]):
            continue
        opening = _body(plain, match.end() - (1 if match["generic"] else 0))
        if opening is not None:
            found.append((opening + 1, _end(plain, opening) - opening, match["generic"] is not None))
    if not found:
        return ()
    middle = statistics.median_low([size for _, size, _ in found])
    found.sort(key=lambda one: (one[2], abs(one[1] - middle), one[0]))
    return tuple(Place("body", offset) for offset, _, _ in found)


def _blanked(text: str) -> str:
    """Return `text` of the same length with comments, strings and characters as spaces."""
    out: list[str] = []
    position = 0
    while position < len(text):
        end = _end_of_literal(text, position)
        if end is None:
            word = _WORD.match(text, position)
            end = word.end() if word else position + 1
            out.append(text[position:end])
        else:
            out.append(re.sub(r"[^\n]", " ", text[position:end]))
        position = end
    return "".join(out)


def _end_of_literal(text: str, position: int) -> int | None:
    """Return where the comment, string or character that begins at `position` ends; None when none does."""
    sign = text[position]
    if text.startswith("//", position):
        end = text.find("\n", position)
        return len(text) if end < 0 else end
    if text.startswith("/*", position):
        return _end_of_comment(text, position)
    if sign in "rbc" and (raw := _RAW_STRING.match(text, position)):
        end = text.find('"' + raw[1], raw.end())
        return len(text) if end < 0 else end + 1 + len(raw[1])
    if sign == '"' or (sign in "bc" and text.startswith('"', position + 1)):
        end = position + 1 if sign == '"' else position + 2
        while end < len(text) and text[end] != '"':
            end += 2 if text[end] == "\\" else 1
        return min(end + 1, len(text))
    if sign in "'b" and (character := _CHARACTER.match(text, position)):
        return character.end()
    return None


def _end_of_comment(text: str, position: int) -> int:
    depth = 0
    while position < len(text):
        if text.startswith("/*", position):
            depth, position = depth + 1, position + 2
        elif text.startswith("*/", position):
            depth, position = depth - 1, position + 2
            if depth == 0:
                return position
        else:
            position += 1
    return len(text)


def _skipped(plain: str) -> Sequence[tuple[int, int]]:
    """Return the spans of macro calls and definitions, and of items whose attributes say when they are compiled, or how."""
    spans = [(match.start(), _end(plain, match.end() - 1)) for match in _MACRO.finditer(plain)]
    for match in _CONDITION.finditer(plain):
        if match[0].startswith("#!"):
            if "cfg" in match[0]:
                return [(0, len(plain))]
            continue
        end = _end(plain, plain.index("[", match.start()))
        opening = _first(plain, end, "{;")
        if opening is not None:
            spans.append((match.start(), _end(plain, opening) if plain[opening] == "{" else opening))
    return spans


def _body(plain: str, position: int) -> int | None:
    """Return where the body of a function opens; None for one that has none."""
    opening = _first(plain, position, "{;")
    return opening if opening is not None and plain[opening] == "{" else None


def _first(plain: str, position: int, wanted: str) -> int | None:
    """Return where the first of `wanted` stands outside of brackets."""
    while position < len(plain):
        sign = plain[position]
        if sign in wanted:
            return position
        position = _end(plain, position) if sign in "([" else position + 1
        if sign in ")]}":
            return None
    return None


def _end(plain: str, opening: int) -> int:
    """Return the position after the bracket that closes the one at `opening`; the end of the text when none does."""
    waiting: list[str] = []
    for position in range(opening, len(plain)):
        sign = plain[position]
        if sign in _CLOSING:
            waiting.append(_CLOSING[sign])
        elif waiting and sign == waiting[-1]:
            waiting.pop()
            if not waiting:
                return position + 1
    return len(plain)
