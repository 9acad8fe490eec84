"""A plan on the console or as JSON: its diff, what was written, what was restored."""

from __future__ import annotations

import argparse
import secrets
import sys

from buildopt import sync
from buildopt.colour import colour_wanted, paint_diff
from buildopt.errors import Drift, PinsMoved
from buildopt.show.common import print_json, say
from buildopt.show.moved import moved_document, moved_text
from buildopt.sync.model import Plan
from buildopt.verbs.context import Context
from buildopt.verbs.generated import make_committed_plan, make_plan, mend_include, rollback, write_plan
from buildopt.verbs.pins import WORKFLOW_FILE, moved_pins, only_moved

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
        if only_moved(plan):
            _say_moved(context, plan)
        elif plan.edits:
            say(f"drift in {_count(plan)}: not what the profile says. Next: {again} sync")
        else:
            say("in sync: every generated file is what the profile says")
    return (PinsMoved if only_moved(plan) else Drift).exit_code if plan.edits else 0


def _say_moved(context: Context, plan: Plan) -> None:
    """Say which pins moved, and as a warning on the diff where the job is one of GitHub's: it does not fail."""
    moves = [moved_text(each) for each in moved_pins(plan)]
    for line in (*moves, "only pins moved: buildopt ci pins --adopt writes them to the lock file"):
        say(line)
    if context.host.environ.get("GITHUB_ACTIONS") == "true":
        from buildopt.report.annotations import github_commands  # noqa: PLC0415 - only in a job of GitHub
        from buildopt.watch.diagnostics import Diagnostic  # noqa: PLC0415 - as above

        text = "\n".join((*moves, "buildopt ci pins --adopt writes them to the lock file"))
        warning = Diagnostic("warning", "only pins moved", WORKFLOW_FILE, None, None, text.encode())
        sys.stderr.write("".join(f"{line}\n" for line in github_commands([warning], "")))


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
    for note in (*plan.notes, *unverified, *_put_back(plan)):
        say(note)
    if not plan.edits:
        say("in sync: nothing to write")
    elif arguments.dry_run:
        say(f"{_count(plan)} to be written; nothing was (--dry-run)")
    else:
        say(f"wrote {_count(plan)}; cargo accepts them. Undo: {again} rollback. Next: {again} dev-quick")
    return 0


def _put_back(plan: Plan) -> list[str]:
    """Return a line for every pin that the plan puts back to where the lock file has it."""
    keep = "buildopt ci pins --adopt, before a sync, would keep it"
    return [f"a pin that moved is put back: {moved_text(each)}; {keep}" for each in moved_pins(plan)]


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
    if text and context.host.environ.get("GITHUB_ACTIONS") == "true":  # a line of a file is no command to GitHub
        from buildopt.report.annotations import unheard  # noqa: PLC0415 - only in a job of GitHub

        text = unheard(text, secrets.token_hex(16))
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
            "moved_pins": [moved_document(each) for each in moved_pins(plan)],
        }
    )


def _count(plan: Plan) -> str:
    number = len(plan.edits)
    return f"{number} file{'s' if number != 1 else ''}"
