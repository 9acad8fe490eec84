"""The file of places that editors read, in the format of bacon's default export. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from buildopt.watch.diagnostics import Diagnostic

__all__ = ["locations"]

_ORDER = {"error": 0, "test": 1, "warning": 2}
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def locations(diagnostics: Iterable[Diagnostic], root: Path | None = None) -> str:
    """Return one line for every place: `error src/lib.rs:3:14 mismatched types`, errors first, then tests, then warnings.

    With `root`, relative paths are made absolute, as bacon writes them. A diagnostic without a place has no line.
    """
    placed = [each for each in diagnostics if each.path is not None]
    return "".join(f"{_line(each, root)}\n" for each in sorted(placed, key=lambda each: _ORDER[each.level]))


def _line(diagnostic: Diagnostic, root: Path | None) -> str:
    path = diagnostic.path or ""
    if root is not None:
        path = os.path.normpath(root / path)
    text = f"{diagnostic.level} {path}:{diagnostic.line or 1}:{diagnostic.column or 1} {diagnostic.message}"
    return _BREAKS.sub(" ", text).rstrip()
