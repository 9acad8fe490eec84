"""Text on a terminal, counted in cells: how wide it is, cut and broken to a width. Pure."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["cut", "rows", "width_of"]

_TOKEN = re.compile(
    r"(\x1b\[[0-9;:]*m)"  # a colour
    r"|\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])?"  # what else steers a terminal
    r"|(\t)|([ -~]+)|([^\x00-\x1f\x7f-\x9f])|."
)
_RESETS = re.compile(r"\x1b\[[0:;]*m")
_TAB = "    "
_ZERO_WIDTH = {"Mn", "Me", "Cf"}


def width_of(text: str) -> int:
    """Return how many cells `text` takes; it holds nothing that steers a terminal."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def cut(text: str, width: int, mark: str) -> str:
    """Return `text` in at most `width` cells; where it is longer, it ends with `mark`."""
    if width_of(text) <= width:
        return text
    left = max(width - width_of(mark), 0)
    kept = []
    for character in text:
        left -= _cells(character)
        if left < 0:
            break
        kept.append(character)
    return "".join(kept) + (mark if width >= width_of(mark) else "")


@lru_cache(maxsize=512)
def rows(content: bytes, width: int, *, colour: bool) -> tuple[str, ...]:
    """Return what a program printed as rows of at most `width` cells, each of which can be drawn alone.

    Colours stay (without `colour` they go too); all else that steers a terminal is taken out.
    """
    found: list[str] = []
    style = ""
    for line in content.decode("utf-8", "replace").rstrip("\r\n").split("\n"):
        broken, style = _break(line, max(width, 2), style, colour)
        found += broken
    return tuple(found)


def _break(line: str, width: int, style: str, colour: bool) -> tuple[list[str], str]:
    """Return the rows of one line that begins in `style`, and the style that it leaves on."""
    if not style and len(line) <= width and line.isascii() and line.isprintable():
        return [line], ""
    done: list[str] = []
    row, used = [style], 0
    for found in _TOKEN.finditer(line):
        if found[1]:
            if colour:
                style = "" if _RESETS.fullmatch(found[1]) else style + found[1]
                row.append(found[1])
            continue
        for character in _TAB if found[2] else found[3] or found[4] or "":
            cells = _cells(character)
            if used + cells > width:
                done.append(_closed(row, style))
                row, used = [style], 0
            row.append(character)
            used += cells
    return [*done, _closed(row, style)], style


def _closed(row: list[str], style: str) -> str:
    return "".join(row) + ("\x1b[0m" if style else "")


@lru_cache(maxsize=4096)
def _cells(character: str) -> int:
    if character < "\u0300":
        return 1
    if unicodedata.category(character) in _ZERO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1
