"""TOML text: read as values, split into statements so that one of them can be changed and every other byte stays.

tomlkit edits lists here, in the style that they have. Whole documents are never handed to it: a key that it adds to a
table lands behind the comments that belong to the next table.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from typing import Any, NamedTuple

from buildopt.errors import ManifestError, Problem

__all__ = [
    "BOM",
    "Source",
    "Statement",
    "array_led_by",
    "array_with",
    "array_without",
    "decode",
    "encode",
    "inline_pairs",
    "key_text",
    "parse",
    "quoted",
    "splice",
    "statements",
    "value_text",
]

BOM = "\ufeff"
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = " \t\r"


class Source(NamedTuple):
    """The text of a file without its byte order mark, and what is needed to give the bytes back."""

    text: str
    newline: str
    """The line ending that most lines have."""
    bom: bool


class Statement(NamedTuple):
    """One statement of a TOML document, as offsets into its text."""

    kind: str
    """`pair`, `table`, `array` (a `[[…]]` header) or `blank` (empty lines and comments)."""
    start: int
    end: int
    """Past the line ending."""
    table: tuple[str, ...] = ()
    """The header that the statement stands under; of a header, the header itself."""
    key: tuple[str, ...] = ()
    value: tuple[int, int] = (0, 0)
    """Where the value of a pair stands."""

    @property
    def path(self) -> tuple[str, ...]:
        """Return the whole key, header included."""
        return self.table + self.key


def decode(content: bytes | None, file: str) -> Source:
    """Return the text of `content`; no file is an empty text.

    Raises ManifestError when it is not UTF-8.
    """
    try:
        text = (content or b"").decode("utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{file} is not UTF-8", problems=(Problem(str(error), file=file),)) from error
    bom = text.startswith(BOM)
    text = text.removeprefix(BOM)
    windows = text.count("\r\n")
    return Source(text, "\r\n" if windows * 2 > text.count("\n") else "\n", bom)


def encode(text: str, source: Source) -> bytes:
    """Return the bytes of `text`, with the byte order mark that `source` had."""
    return ((BOM if source.bom else "") + text).encode()


def parse(text: str, file: str) -> dict[str, Any]:
    """Return the values of a TOML text.

    TOML 1.1, which Cargo reads since 1.94 and the standard library does not yet, is left to tomlkit.
    Raises ManifestError, with the place, when neither can read it.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        problem = Problem("values stand inside each other too deeply", file=file)
        raise ManifestError(f"{file} cannot be read", problems=(problem,)) from error
    except tomllib.TOMLDecodeError as error:
        import tomlkit  # noqa: PLC0415 - heavy, and rarely needed here
        from tomlkit.exceptions import TOMLKitError  # noqa: PLC0415 - as above

        try:
            return dict(tomlkit.parse(text).unwrap())
        except (TOMLKitError, ValueError, RecursionError):
            problem = Problem(f"not valid TOML: {error}", file=file)
            raise ManifestError(f"{file} cannot be read", problems=(problem,)) from error


def quoted(text: str) -> str:
    """Return `text` as a TOML basic string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def key_text(*parts: str) -> str:
    """Return a dotted key, its parts quoted where they must be."""
    return ".".join(part if _BARE.fullmatch(part) else quoted(part) for part in parts)


def value_text(value: bool | int | str | Sequence[str]) -> str:
    """Return a value as TOML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return quoted(value) if isinstance(value, str) else f"[{', '.join(map(quoted, value))}]"


def array_with(text: str, items: Sequence[str]) -> str:
    """Return the array literal `text` with strings added at its end, in the style that it has."""
    import tomlkit  # noqa: PLC0415 - heavy

    document = tomlkit.parse("k = " + text.replace("\r\n", "\n") + "\n")
    for item in items:
        document["k"].append(item)
    result = tomlkit.dumps(document).removeprefix("k = ").removesuffix("\n")
    return result.replace("\n", "\r\n") if "\r\n" in text else result


def array_led_by(text: str, item: str) -> str:
    """Return the array literal `text` with a string added at its start, on a line of its own where the others are."""
    inside = text[1:-1]
    if not inside.strip():
        return f"[{quoted(item)}]"
    gap = inside[: len(inside) - len(inside.lstrip())]
    return f"[{gap}{quoted(item)},{gap if chr(10) in gap else ' '}{inside.lstrip()}]"


def array_without(text: str, positions: Sequence[int]) -> str:
    """Return the array literal `text` without the items at `positions`."""
    import tomlkit  # noqa: PLC0415 - heavy

    document = tomlkit.parse("k = " + text.replace("\r\n", "\n") + "\n")
    for position in sorted(positions, reverse=True):
        del document["k"][position]
    result = tomlkit.dumps(document).removeprefix("k = ").removesuffix("\n")
    return result.replace("\n", "\r\n") if "\r\n" in text else result


def splice(text: str, edits: Sequence[tuple[int, int, str]]) -> str:
    """Return `text` with each (start, end, replacement) made, those at one place in the order given; no two overlap."""
    parts: list[str] = []
    position = 0
    for start, end, replacement in sorted(edits, key=lambda edit: edit[:2]):
        parts += [text[position:start], replacement]
        position = end
    return "".join([*parts, text[position:]])


def statements(text: str) -> list[Statement]:
    """Return the statements of a valid TOML document, in order and without gaps."""
    found: list[Statement] = []
    table: tuple[str, ...] = ()
    position = 0
    while position < len(text):
        start = position
        position = _skip(text, position, _SPACE)
        character = text[position : position + 1]
        if character in ("", "\n", "#"):
            position = _line_end(text, position)
            found.append(Statement("blank", start, position, table))
        elif character == "[":
            kind = "array" if text.startswith("[[", position) else "table"
            table, position = _key(text, position + (2 if kind == "array" else 1))
            position = _line_end(text, position)
            found.append(Statement(kind, start, position, table))
        else:
            key, position = _key(text, position)
            first = _skip(text, position + 1, _SPACE)
            last = _value_end(text, first)
            position = _line_end(text, last)
            found.append(Statement("pair", start, position, table, key, (first, last)))
    return found


def inline_pairs(text: str, start: int) -> list[tuple[tuple[str, ...], tuple[int, int]]]:
    """Return the keys of the inline table that starts at `start`, each with where its value stands."""
    found: list[tuple[tuple[str, ...], tuple[int, int]]] = []
    position = start + 1
    while True:
        position = _skip(text, position, " \t\r\n,")
        if text[position] == "}":
            return found
        if text[position] == "#":
            position = _line_end(text, position)
            continue
        key, position = _key(text, position)
        first = _skip(text, position + 1, _SPACE)
        position = _value_end(text, first)
        found.append((key, (first, position)))


def _skip(text: str, position: int, characters: str) -> int:
    while position < len(text) and text[position] in characters:
        position += 1
    return position


def _line_end(text: str, position: int) -> int:
    found = text.find("\n", position)
    return len(text) if found < 0 else found + 1


def _key(text: str, position: int) -> tuple[tuple[str, ...], int]:
    """Return a dotted key and the position of the character that ends it (`=` or `]`)."""
    parts: list[str] = []
    while True:
        position = _skip(text, position, _SPACE)
        if text[position] in "\"'":
            end = _string_end(text, position)
            literal = text[position:end]
            parts.append(literal[1:-1] if literal[0] == "'" else str(parse(f"k = {literal}", "key")["k"]))
        else:
            end = position
            while text[end] not in " \t.=]":
                end += 1
            parts.append(text[position:end])
        position = _skip(text, end, _SPACE)
        if text[position] != ".":
            return tuple(parts), position
        position += 1


def _string_end(text: str, position: int) -> int:
    quote = text[position]
    long = text.startswith(quote * 3, position)
    position += 3 if long else 1
    while True:
        if text[position] == "\\" and quote == '"':
            position += 2
        elif long and text.startswith(quote * 3, position):
            position += 3
            return _skip(text, position, quote)  # up to two quotes may stand right before the closing three
        elif not long and text[position] == quote:
            return position + 1
        else:
            position += 1


def _value_end(text: str, position: int) -> int:
    if text[position] in "\"'":
        return _string_end(text, position)
    if text[position] in "[{":
        return _bracket_end(text, position)
    end = position
    while end < len(text) and text[end] not in "\n#,]}":
        end += 1
    return position + len(text[position:end].rstrip())


def _bracket_end(text: str, position: int) -> int:
    depth = 0
    while True:
        character = text[position]
        if character in "\"'":
            position = _string_end(text, position)
            continue
        if character == "#":
            position = _line_end(text, position)
            continue
        if character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
        position += 1
        if depth == 0:
            return position
