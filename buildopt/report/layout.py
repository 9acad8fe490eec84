"""Plain text for people: headings, aligned columns, nothing that moves or blinks. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["advice", "columns", "heading", "paint", "visible", "wrapped"]

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_GAP = "  "


def visible(text: str) -> str:
    """Return `text` on one line and without what would steer a terminal: names and reasons come from outside."""
    return _CONTROL.sub(" ", text).strip()


def paint(text: str, style: str | None, color: bool) -> str:
    """Return `text` in a style (`bold`, `dim`, `red`, `green`, `yellow`), or as it is."""
    return f"\033[{_CODES[style]}m{text}\033[0m" if color and style else text


def heading(text: str, color: bool) -> str:
    """Return the title of a section."""
    return paint(text, "bold", color)


def advice(text: str, width: int) -> list[str]:
    """Return what a reader can do next, as an indented line that starts with an arrow."""
    return wrapped(text, width, first="  → ", rest="    ")


def columns(
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    width: int = 100,
    styles: Sequence[str | None] = (),
    color: bool = False,
) -> list[str]:
    """Return `rows` with aligned cells, indented by two; the columns in `right` are flush right.

    The last column is cut to fit `width`. `styles` paints whole rows.
    """
    if not rows:
        return []
    cells = [[visible(cell) for cell in row] for row in rows]
    count = max(len(row) for row in cells)
    widths = [max((len(row[n]) for row in cells if n < len(row)), default=0) for n in range(count)]
    lines = []
    for number, row in enumerate(cells):
        padded = [cell.rjust(widths[n]) if n in right else cell.ljust(widths[n]) for n, cell in enumerate(row)]
        line = _cut(f"  {_GAP.join(padded)}".rstrip(), width)
        lines.append(paint(line, styles[number] if number < len(styles) else None, color))
    return lines


def wrapped(text: str, width: int, *, first: str = "  ", rest: str = "  ") -> list[str]:
    """Return `text` broken between words, so that no line is longer than `width` (a longer word stays whole)."""
    lines: list[str] = []
    line, started = first, False
    for word in visible(text).split():
        if started and len(line) + 1 + len(word) > width:
            lines.append(line)
            line, started = rest, False
        line = f"{line} {word}" if started else f"{line}{word}"
        started = True
    return [*lines, line] if started else lines


def _cut(line: str, width: int) -> str:
    return line if len(line) <= max(width, 20) else f"{line[: max(width, 20) - 1]}…"
