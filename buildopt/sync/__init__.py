"""Plans of edits: diff, check, apply all or none, undo."""

from __future__ import annotations

from buildopt.sync.apply import Restored, apply, rollback
from buildopt.sync.diff import diff_of, diff_text
from buildopt.sync.model import Edit, EditKind, Plan
from buildopt.sync.plan import make_plan, read_texts
from buildopt.sync.recovery import recover

__all__ = [
    "Edit",
    "EditKind",
    "Plan",
    "Restored",
    "apply",
    "diff_of",
    "diff_text",
    "make_plan",
    "read_texts",
    "recover",
    "rollback",
]
