"""Colour on a terminal: whether, and which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

__all__ = ["colour_wanted", "paint", "paint_diff"]

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def paint(text: str, name: str) -> str:
    """Return `text` in a colour, or in `bold` or `dim`."""
    return f"\033[{_CODES[name]}m{text}\033[0m"


def colour_wanted(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether `stream` gets colour: NO_COLOR forbids it, FORCE_COLOR asks for it, else only on a terminal."""
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or (stream.isatty() and environ.get("TERM") != "dumb")


def paint_diff(text: str) -> str:
    """Return a unified diff with added lines green, removed lines red and headers bold."""
    painted = []
    for line in text.splitlines(keepends=True):
        body = line.rstrip("\n")
        name = "bold" if body.startswith(("+++", "---")) else {"+": "green", "-": "red", "@": "cyan"}.get(body[:1])
        painted.append(f"{paint(body, name)}{line[len(body) :]}" if name else line)
    return "".join(painted)
