"""Cargo's own configuration file: the one line that includes ours, or (below Cargo 1.94) a marked region.

`include` takes a list of paths or tables. What it names is read before the file it stands in, so the user's own values win;
ours comes first in the list, so that the user's other includes win too.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from buildopt.cargo.config import REGION_BEGIN, REGION_END
from buildopt.errors import ManifestError, Problem
from buildopt.generate.toml import (
    Source,
    Statement,
    array_led_by,
    array_without,
    key_text,
    parse,
    splice,
    statements,
)

__all__ = ["NAME", "with_include", "with_region", "without_include", "without_region"]

NAME = "buildopt.toml"
_LINE = f'include = ["{NAME}"] # written by buildopt'


def with_include(source: Source, file: str) -> str:
    """Return the text of a Cargo configuration that includes ours.

    Raises ManifestError when its `include` is nothing that can be extended.
    """
    text = source.text
    given = parse(text, file).get("include")
    if given is None:
        return _with_new_line(text, source.newline)
    if isinstance(given, list) and any(_is_ours(item) for item in given):
        return text
    for statement in statements(text):
        if statement.kind == "array" and statement.table == ("include",):
            lines = ("[[include]]", f'path = "{NAME}"', "", "")
            return splice(text, [(statement.start, statement.start, source.newline.join(lines))])
        if statement.kind == "pair" and statement.path == ("include",):
            start, end = statement.value
            if isinstance(given, list):
                return splice(text, [(start, end, array_led_by(text[start:end], NAME))])
            if isinstance(given, str):
                return splice(text, [(start, end, f'["{NAME}", {text[start:end]}]')])
    problem = Problem("expected a list of paths", file=file, key="include", hint='write include = ["other.toml"]')
    raise ManifestError(f"{file} has an include that Cargo does not read", problems=(problem,))


def without_include(source: Source, file: str) -> str:
    """Return the text of a Cargo configuration that does not include ours."""
    text = source.text
    given = parse(text, file).get("include")
    if not isinstance(given, list) or not any(_is_ours(item) for item in given):
        return text
    found = statements(text)
    for index, statement in enumerate(found):
        if statement.kind == "array" and statement.table == ("include",):
            end = next((i for i in range(index + 1, len(found)) if found[i].kind in ("table", "array")), len(found))
            body = text[statement.start : found[end - 1].end]
            if _is_ours(parse(body, file)["include"][0]):
                return splice(text, [(statement.start, found[end - 1].end, "")])
        if statement.kind == "pair" and statement.path == ("include",):
            if len(given) == 1:
                return splice(text, [(*_with_gap(text, found, index), "")])
            start, end = statement.value
            ours = [index for index, item in enumerate(given) if _is_ours(item)]
            return splice(text, [(start, end, array_without(text[start:end], ours))])
    return text


def with_region(source: Source, file: str, body: str) -> str:
    """Return the text of a Cargo configuration with `body` in a marked region at its end; any other region goes.

    Raises ManifestError when the user's part has one of the tables of `body`: TOML allows each table once.
    """
    text = without_region(source.text, file)
    theirs, ours = parse(text, file), parse(body, "the generated settings")
    both = sorted(_tables(theirs) & _tables(ours))
    if both:
        problems = tuple(
            Problem("stands in the file already", file=file, key=key_text(*table), hint="move it to buildopt.toml")
            for table in both
        )
        message = f"below Cargo 1.94 the settings go into {file} itself, and TOML allows each table only once"
        raise ManifestError(message, problems=problems, hint="or use Cargo 1.94 or newer, which can include a file")
    if text and not text.endswith("\n"):
        text += source.newline
    lines = [
        *([""] if text else []),
        REGION_BEGIN,
        *body.strip("\n").split("\n"),
        REGION_END,
        "",
    ]
    return text + source.newline.join(lines)


def without_region(text: str, file: str) -> str:
    """Return the text without our marked region, and without the empty line that sets it apart.

    Raises ManifestError when one of the two marks is missing: nobody can tell then where the region ends.
    """
    lines = text.split("\n")
    marks = [(index, line.strip()) for index, line in enumerate(lines) if line.strip() in (REGION_BEGIN, REGION_END)]
    if not marks:
        return text
    if [mark for _, mark in marks] != [REGION_BEGIN, REGION_END]:
        hint = (
            f"it starts with a line {REGION_BEGIN!r} and ends with a line {REGION_END!r}; mend or remove them by hand"
        )
        problem = Problem("the marks of the generated region do not match", file=file, hint=hint)
        raise ManifestError(f"{file} has no region that could be replaced", problems=(problem,))
    first, last = (index for index, _ in marks)
    gap = 1 if first and not lines[first - 1].strip() else 0
    return "\n".join(lines[: first - gap] + lines[last + 1 :])


def _is_ours(item: object) -> bool:
    path = item.get("path") if isinstance(item, dict) else item
    return isinstance(path, str) and posixpath.normpath(path) == NAME


def _with_new_line(text: str, newline: str) -> str:
    """Put the line at the top, but behind a comment that an empty line sets apart (a licence, a schema)."""
    lines = text.split("\n")
    comments = next((index for index, line in enumerate(lines) if not line.startswith("#")), len(lines))
    apart = comments and comments + 1 < len(lines) and lines[comments].strip() == ""
    position = len("\n".join(lines[: comments + 1])) + 1 if apart else 0
    gap = newline if text[position:].strip() else ""
    return text[:position] + _LINE + newline + gap + text[position:]


def _with_gap(text: str, found: list[Statement], index: int) -> tuple[int, int]:
    """Return where a statement stands, with the empty line behind it when there is one before it too."""
    statement = found[index]
    after = found[index + 1] if index + 1 < len(found) else None
    before = found[index - 1] if index else None
    alone = before is None or not text[before.start : before.end].strip()
    if alone and after is not None and not text[after.start : after.end].strip():
        return statement.start, after.end
    return statement.start, statement.end


def _tables(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return the tables that hold values of their own."""
    found = {path} if path and any(not isinstance(value, dict) for value in values.values()) else set()
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _tables(value, (*path, key))
    return found
