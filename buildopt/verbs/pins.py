"""Pins that moved: seen in a plan, shown beside the lock file, adopted into it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from buildopt import sync
from buildopt.errors import ManifestError, Problem, ProfileError
from buildopt.generate.ci import WORKFLOW as WORKFLOW_FILE
from buildopt.generate.ci import pins
from buildopt.generate.ci.pins import PINS_FILE, Pin, Pins
from buildopt.generate.toml import decode, encode
from buildopt.sync.model import Edit, Plan
from buildopt.verbs.context import Context
from buildopt.verbs.generated import make_committed_plan

__all__ = ["WORKFLOW_FILE", "Moved", "PinTable", "PinnedAction", "adopt", "moved_pins", "only_moved", "pin_table"]

_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)


class Moved(NamedTuple):
    """A pin that the workflow has elsewhere than the lock file."""

    action: str
    locked: Pin
    found: Pin


class PinnedAction(NamedTuple):
    """An action of the lock file, and where the workflow uses it."""

    action: str
    pin: Pin
    lines: tuple[int, ...]
    """Of the workflow."""
    moved: Pin | None
    """What the workflow has instead."""


class PinTable(NamedTuple):
    """The lock file beside the workflow."""

    actions: tuple[PinnedAction, ...]
    tools: dict[str, str]
    written: bool
    """Whether both files are there; before the first sync these are the pins that come with buildopt."""

    @property
    def moved(self) -> tuple[Moved, ...]:
        """Return the pins that the workflow has elsewhere."""
        return tuple(Moved(each.action, each.pin, each.moved) for each in self.actions if each.moved is not None)


def moved_pins(plan: Plan) -> tuple[Moved, ...]:
    """Return the pins that a sync would put back, whatever else it would write."""
    found: dict[Moved, None] = {}
    for edit in plan.edits:
        if edit.path == WORKFLOW_FILE and edit.before is not None and edit.after is not None:
            before, after = (_commits(text.decode(errors="replace")) for text in (edit.before, edit.after))
            wanted = dict(after)
            found.update(
                (Moved(action, wanted[action], pin), None) for action, pin in before if wanted.get(action, pin) != pin
            )
    return tuple(found)


def only_moved(plan: Plan) -> bool:
    """Whether a plan does nothing but put pins back, and everything is still at a commit, which no branch or tag is."""
    return bool(plan.edits) and all(_only_moved(edit) for edit in plan.edits)


def _only_moved(edit: Edit) -> bool:
    if edit.path != WORKFLOW_FILE or edit.before is None or edit.after is None:
        return False
    before, after = (text.decode(errors="replace") for text in (edit.before, edit.after))
    return pins.only_pins_differ(before, after) and all(_COMMIT.fullmatch(use.at) for use in pins.uses_in(before))


def _commits(workflow: str) -> Iterator[tuple[str, Pin]]:
    for use in pins.uses_in(workflow):
        yield use.action, Pin(use.version or "", use.at)


def pin_table(context: Context) -> PinTable:
    """Return what the lock file says beside what the workflow has.

    Raises ProfileError without `[ci.github]`, ManifestError for a lock file, or a pin in the workflow, that cannot be one.
    """
    workflow, lock, written = _texts(context)
    found = pins.pins_in(workflow, WORKFLOW_FILE)
    unknown = tuple(
        Problem(f"{action} is not in it", file=PINS_FILE) for action in sorted(found.keys() - lock.actions.keys())
    )
    if unknown:
        hint = "buildopt sync adds those that it generates"
        raise ManifestError("the workflow uses actions that are not pinned", problems=unknown, hint=hint)
    lines: dict[str, list[int]] = {}
    for use in pins.uses_in(workflow):
        lines.setdefault(use.action, []).append(use.line)
    actions = tuple(
        PinnedAction(
            action, pin, tuple(lines.get(action, ())), found[action] if found.get(action, pin) != pin else None
        )
        for action, pin in sorted(lock.actions.items(), key=lambda item: item[0].lower())
    )
    return PinTable(actions, dict(lock.tools), written)


def adopt(context: Context) -> tuple[Moved, ...]:
    """Write the pins that moved in the workflow to the lock file, so that it may be undone as a sync; return them.

    Raises as `pin_table` does, and ManifestError for an action that the generated workflow does not use.
    """
    moved = pin_table(context).moved
    if not moved:
        return ()
    for edit in make_committed_plan(context).edits:
        if edit.path == WORKFLOW_FILE:
            _refuse_others(edit)
    before = sync.read_texts(context.host, context.root, (PINS_FILE,))[PINS_FILE]
    source = decode(before, PINS_FILE)
    text = pins.with_pins(source.text, Pins({each.action: each.found for each in moved}, {}))
    plan = Plan((Edit(PINS_FILE, before, encode(text, source)),))
    context.prepare_state()
    sync.apply(context.host, context.root, context.state, plan, verify=lambda: None)
    return moved


def _refuse_others(edit: Edit) -> None:
    """Refuse a workflow that uses, at whatever commit, what the generated one does not."""
    there, generated = (
        {line.strip() for line in pins.without_pins(decode(text, WORKFLOW_FILE).text).splitlines() if "uses:" in line}
        for text in (edit.before, edit.after)
    )
    problems = tuple(Problem(f"{line} is not generated", file=WORKFLOW_FILE) for line in sorted(there - generated))
    if problems:
        hint = "buildopt sync writes the workflow again"
        raise ManifestError("the workflow uses another action than the generated one", problems=problems, hint=hint)


def _texts(context: Context) -> tuple[str, Pins, bool]:
    ci = context.ci_profile.ci
    if ci is None or ci.github is None:
        problem = Problem("pins belong to a workflow for GitHub, which is not declared", key="ci.github")
        raise ProfileError("there are no pins", problems=(problem,), hint="add [ci.github], then buildopt sync")
    texts = sync.read_texts(context.host, context.root, (WORKFLOW_FILE, PINS_FILE))
    if len(texts) < 2:
        return "", pins.shipped_pins(), False
    return (
        decode(texts[WORKFLOW_FILE], WORKFLOW_FILE).text,
        pins.read_pins(decode(texts[PINS_FILE], PINS_FILE).text),
        True,
    )
