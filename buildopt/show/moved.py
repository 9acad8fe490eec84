"""A pin that moved, for people and as JSON."""

from __future__ import annotations

from typing import Any

from buildopt.generate.ci.pins import Pin
from buildopt.report.layout import visible
from buildopt.verbs.pins import Moved

__all__ = ["moved_document", "moved_text"]


def moved_text(moved: Moved) -> str:
    """Return one line, as `actions/checkout v4.2.1 (11bd719) → v4.2.2 (08eba0b)`."""
    return visible(f"{moved.action} {_pin(moved.locked)} → {_pin(moved.found)}")


def moved_document(moved: Moved) -> dict[str, Any]:
    """Return the move as JSON; its keys are a contract."""
    return {"action": moved.action, "from": moved.locked._asdict(), "to": moved.found._asdict()}


def _pin(pin: Pin) -> str:
    return f"{pin.version} ({pin.sha[:7]})".strip()
