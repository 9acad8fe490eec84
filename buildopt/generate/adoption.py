"""Settings put into the text of a profile, each with comment lines above it that say why; every other byte stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from buildopt.errors import ManifestError, Problem
from buildopt.generate.toml import (
    Source,
    Statement,
    key_text,
    parse,
    splice,
    statements,
    value_text,
)

__all__ = ["EVIDENCE", "Adopted", "adopt"]

EVIDENCE = "# tuned: "
"""What the comment of an adopted setting begins with: the next tuning replaces it."""

_MORE = "#   "


class Adopted(NamedTuple):
    """One setting to be written."""

    path: tuple[str, ...]
    """The whole key, as `("cargo", "profile", "dev-fast", "debug")`."""
    value: bool | int | str | Sequence[str]
    comment: tuple[str, ...]
    """Lines of evidence, without `#`."""


def adopt(source: Source, file: str, settings: Sequence[Adopted]) -> str:
    """Return the text of a profile with `settings` in it, each in place of what stood there or at the end of its table.

    Raises ManifestError for a setting that would have to go into an inline table.
    """
    text = source.text
    for setting in settings:
        text = _with(text, file, setting, source.newline)
    return text


def _with(text: str, file: str, setting: Adopted, newline: str) -> str:
    found = statements(text)
    lines = [*_comment(setting.comment)]
    for index, statement in enumerate(found):
        if statement.kind == "pair" and statement.path == setting.path:
            first = _comment_start(text, found, index)
            indent = text[statement.start :][
                : len(text[statement.start :]) - len(text[statement.start :].lstrip(" \t"))
            ]
            above = "".join(f"{indent}{line}{newline}" for line in lines)
            first_byte, past = statement.value
            return splice(text, [(first, statement.start, above), (first_byte, past, value_text(setting.value))])
        if statement.kind == "pair" and setting.path[: len(statement.path)] == statement.path:
            raise _inline(file, statement, setting)
    *table, name = setting.path
    pair = newline.join([*lines, f"{key_text(name)} = {value_text(setting.value)}"])
    if (end := _end_of_table(found, tuple(table))) is not None:
        gap = "" if text[:end].endswith("\n") else newline
        return f"{text[:end]}{gap}{pair}{newline}{text[end:]}"
    dotted = _dotted_in(found, tuple(table))
    if dotted is not None:
        last, header = dotted
        key = key_text(*setting.path[len(header) :])
        line = newline.join([*lines, f"{key} = {value_text(setting.value)}"])
        gap = "" if text[: last.end].endswith("\n") else newline
        return f"{text[: last.end]}{gap}{line}{newline}{text[last.end :]}"
    gap = "" if not text else newline if text.endswith("\n") else newline * 2
    result = f"{text}{gap}[{key_text(*table)}]{newline}{pair}{newline}"
    parse(result, file)
    return result


def _comment(lines: Sequence[str]) -> list[str]:
    return [f"{_MORE if number else EVIDENCE}{line}" for number, line in enumerate(lines)]


def _comment_start(text: str, found: Sequence[Statement], index: int) -> int:
    """Return where the evidence of an earlier tuning, right above the statement `index`, begins; else the statement itself."""
    position = index
    while position and found[position - 1].kind == "blank":
        line = text[found[position - 1].start : found[position - 1].end].strip()
        if line.startswith(EVIDENCE):
            return found[position - 1].start
        if not line.startswith(_MORE):
            break
        position -= 1
    return found[index].start


def _end_of_table(found: Sequence[Statement], table: tuple[str, ...]) -> int | None:
    """Return the end of the last pair under the header `table`, or of the header itself; None without that header."""
    end = None
    for statement in found:
        if statement.table == table and statement.kind in ("table", "pair"):
            end = statement.end
    return end if any(s.kind == "table" and s.table == table for s in found) else None


def _dotted_in(found: Sequence[Statement], table: tuple[str, ...]) -> tuple[Statement, tuple[str, ...]] | None:
    """Return the last pair that is written with dots into `table`, and the header that it stands under."""
    last = None
    for statement in found:
        dotted = statement.kind == "pair" and len(statement.key) > 1 and len(statement.table) < len(table)
        if dotted and statement.path[: len(table)] == table:
            last = statement, statement.table
    return last


def _inline(file: str, statement: Statement, setting: Adopted) -> ManifestError:
    line = f"{key_text(*setting.path)} = {value_text(setting.value)}"
    problem = Problem(
        "is an inline table",
        file=file,
        key=key_text(*statement.path),
        hint=f"write it as a table, or add by hand: {line}",
    )
    return ManifestError("the profile cannot be written as it stands", problems=(problem,))
