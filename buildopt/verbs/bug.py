"""What remains of a defect: a file with the details, and one line that names it."""

from __future__ import annotations

import tempfile
import traceback

import buildopt
from buildopt.errors import Bug

__all__ = ["as_bug"]


def as_bug(error: Exception) -> Bug:
    """Return `error` as a Bug, its traceback kept in a file of the temporary folder."""
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="buildopt-bug-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(f"buildopt {buildopt.__version__}\n{text}")
            hint = f"please report it with {file.name}"
    except OSError:
        hint = "the details could not be written to the temporary folder"
    return Bug(f"buildopt hit a bug: {type(error).__name__}: {error}", hint=hint)
