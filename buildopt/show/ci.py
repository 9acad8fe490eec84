"""`ci-matrix` and `ci`: what CI has to run, which actions it is pinned to, what it will store."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from buildopt.errors import PinsMoved
from buildopt.generate.ci.pins import PINS_FILE
from buildopt.host import Host
from buildopt.report.layout import columns, visible
from buildopt.show.common import open_context, print_json, say
from buildopt.show.moved import moved_document, moved_text
from buildopt.verbs.ci import Matrix, ci_matrix
from buildopt.verbs.pins import WORKFLOW_FILE, Moved, PinTable, adopt, pin_table

__all__ = ["show_caches", "show_ci_matrix", "show_pins"]


def show_ci_matrix(host: Host, arguments: argparse.Namespace, _via_nox: bool) -> int:
    """Print what CI has to run as one JSON document, and add it to the file that GITHUB_OUTPUT names; return 0."""
    context = open_context(host, arguments, strict=False)
    matrix = ci_matrix(context, arguments.base)
    document = matrix_document(matrix)
    output = host.environ.get("GITHUB_OUTPUT")
    if output:
        host.files.append(Path(output), _outputs(document).encode())
    say(visible(matrix.why))
    print_json(document)
    return 0


def matrix_document(matrix: Matrix) -> dict[str, Any]:
    """Return the document of `ci-matrix`; its keys are a contract with the generated workflow."""
    return {
        "version": 1,
        "lanes": list(matrix.lanes),
        "tests": len(matrix.tests),
        "matrix": {"include": [job._asdict() for job in matrix.tests]},
        "why": matrix.why,
    }


def _outputs(document: dict[str, Any]) -> str:
    """Return the outputs of the job, each between lines that nobody could have foreseen."""
    end = f"end-{secrets.token_hex(16)}"
    values = ((key, json.dumps(document[key])) for key in ("lanes", "tests", "matrix"))
    return "".join(f"{key}<<{end}\n{value}\n{end}\n" for key, value in values)


def show_pins(host: Host, arguments: argparse.Namespace, _via_nox: bool) -> int:
    """Show, adopt or check the pins of the generated workflow, and return the exit code."""
    context = open_context(host, arguments)
    adopted = adopt(context) if arguments.adopt else ()
    table = pin_table(context)
    if arguments.json:
        print_json(_pins_document(table, adopted))
    elif not arguments.adopt:
        sys.stdout.write("".join(f"{line}\n" for line in _pin_lines(table)))
        sys.stdout.flush()
    _say_of_pins(table, adopted, arguments)
    return PinsMoved.exit_code if arguments.check and table.moved else 0


def _say_of_pins(table: PinTable, adopted: Sequence[Moved], arguments: argparse.Namespace) -> None:
    for each in adopted or table.moved:
        say(moved_text(each))
    if adopted:
        say(f"{PINS_FILE} has them now. Undo: buildopt rollback. Next: buildopt drift")
    elif table.moved:
        say(f"buildopt ci pins --adopt writes them to {PINS_FILE}; buildopt sync puts them back")
    elif not table.written:
        say(f"{WORKFLOW_FILE} or {PINS_FILE} is not written yet: these pins come with buildopt. Next: buildopt sync")
    elif arguments.adopt or arguments.check:
        say(f"{WORKFLOW_FILE} has every action at the commit in {PINS_FILE}")


def _pin_lines(table: PinTable) -> list[str]:
    rows = [("action", "version", "commit", "where")]
    for each in table.actions:
        where = f"line {', '.join(map(str, each.lines))}" if each.lines else "not used" if table.written else ""
        moved = f"; there {each.moved.version}" if each.moved else ""
        rows.append((each.action, each.pin.version, each.pin.sha, f"{where}{moved}"))
    rows += [(name, version, "", "a program that jobs install") for name, version in table.tools.items()]
    return columns(rows, width=160)


def _pins_document(table: PinTable, adopted: Sequence[Moved]) -> dict[str, Any]:
    actions = [
        {
            "action": each.action,
            **each.pin._asdict(),
            "lines": list(each.lines),
            "moved": each.moved and each.moved._asdict(),
        }
        for each in table.actions
    ]
    return {
        "version": 1,
        "in_sync": table.written and not table.moved,
        "actions": actions,
        "tools": table.tools,
        "adopted": [moved_document(each) for each in adopted],
    }


def show_caches(host: Host, arguments: argparse.Namespace, _via_nox: bool) -> int:
    """Show what CI will store against the limit, and return 0."""
    from buildopt.report.ci_caches import as_json, as_lines  # noqa: PLC0415 - each verb loads what it needs
    from buildopt.verbs.ci_caches import ci_caches  # noqa: PLC0415 - as above

    found = ci_caches(open_context(host, arguments))
    if arguments.json:
        print_json(as_json(found))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in as_lines(found, 120)))
    return 0
