"""A plan on the console or as JSON: its diff, what was written, what was restored."""

from __future__ import annotations

import argparse
import sys

from buildopt import sync
from buildopt.colour import colour_wanted, paint_diff
from buildopt.show.common import print_json, say
from buildopt.sync.model import Plan
from buildopt.verbs.context import Context
from buildopt.verbs.generated import make_committed_plan, make_plan, mend_include, rollback, write_plan

__all__ = ["show_plan"]


def show_plan(context: Context, arguments: argparse.Namespace, again: str) -> int:
    """Do what `arguments` asks for, show it, and return the exit code; `again` is how the next verb is typed."""
    if arguments.verb == "rollback":
        return _rollback(context, arguments.json)
    if arguments.verb == "drift" or arguments.check:
        return _check(context, arguments.json, again)
    return _sync(context, arguments, again)


def _check(context: Context, json: bool, again: str) -> int:
    plan = make_committed_plan(context)
    if json:
        _print_plan(plan, written=False)
    else:
        _print_diff(context, plan)
        if plan.edits:
            say(f"drift in {_count(plan)}: not what the profile says. Next: {again} sync")
        else:
            say("in sync: every generated file is what the profile says")
    return 1 if plan.edits else 0


def _sync(context: Context, arguments: argparse.Namespace, again: str) -> int:
    mended = None if arguments.dry_run else mend_include(context)
    if mended:
        say(mended)
    plan = make_plan(context)
    if not arguments.json:
        _print_diff(context, plan)
    unverified: tuple[str, ...] = ()
    if not arguments.dry_run and plan.edits:
        unverified = write_plan(context, plan, say)
    if arguments.json:
        _print_plan(plan._replace(notes=(*plan.notes, *unverified)), written=not arguments.dry_run)
        return 0
    for note in (*plan.notes, *unverified):
        say(note)
    if not plan.edits:
        say("in sync: nothing to write")
    elif arguments.dry_run:
        say(f"{_count(plan)} to be written; nothing was (--dry-run)")
    else:
        say(f"wrote {_count(plan)}; cargo accepts them. Undo: {again} rollback. Next: {again} dev-quick")
    return 0


def _rollback(context: Context, json: bool) -> int:
    restored = rollback(context)
    if json:
        print_json({"version": 1, "restored": list(restored.paths), "remaining": restored.remaining})
    elif not restored.paths:
        say("nothing to undo: no sync is recorded in .buildopt/")
    else:
        rest = f"; {restored.remaining} earlier sync(s) can still be undone" if restored.remaining else ""
        say(f"restored {', '.join(restored.paths)}, byte for byte{rest}")
    return 0


def _print_diff(context: Context, plan: Plan) -> None:
    text = sync.diff_text(plan)
    sys.stdout.write(paint_diff(text) if colour_wanted(sys.stdout, context.host.environ) else text)
    sys.stdout.flush()


def _print_plan(plan: Plan, *, written: bool) -> None:
    edits = [{"path": edit.path, "kind": edit.kind, "diff": sync.diff_of(edit)} for edit in plan.edits]
    print_json(
        {
            "version": 1,
            "in_sync": not plan.edits,
            "edits": edits,
            "notes": list(plan.notes),
            "written": bool(edits) and written,
        }
    )


def _count(plan: Plan) -> str:
    number = len(plan.edits)
    return f"{number} file{'s' if number != 1 else ''}"
