"""`ci durations export` and `import`, for people and as JSON."""

from __future__ import annotations

import argparse
import sys

from buildopt.errors import ArgumentError
from buildopt.host import Host
from buildopt.show.common import open_context, print_json, say
from buildopt.verbs.durations import Exchanged, export_durations, import_durations

__all__ = ["show_durations"]


def show_durations(host: Host, arguments: argparse.Namespace, via_nox: bool) -> int:
    """Write the recorded durations to a file, or take in those of others; return the exit code."""
    del via_nox
    paths = [path.absolute() for path in arguments.files]
    exporting = arguments.action == "export"
    if exporting and len(paths) != 1:
        raise ArgumentError(f"export writes exactly one file, found {len(paths)}")
    context = open_context(host, arguments)
    done = export_durations(context, paths[0]) if exporting else import_durations(context, paths)
    for note in done.notes:
        say(note)
    if arguments.json:
        print_json({"version": 1, "durations": _document(done, arguments.action)})
    else:
        what = "written to" if exporting else "taken from"
        names = ", ".join(map(str, arguments.files)) if len(paths) < 4 else f"{len(paths)} files"
        tests, stages, samples = (
            f"{count} {word}{'' if count == 1 else 's'}"
            for count, word in ((done.tests, "test"), (done.stages, "stage"), (done.samples, "sample"))
        )
        sys.stdout.write(f"{tests} and {stages}, {samples} {what} {names}\n")
    return 0


def _document(done: Exchanged, action: str) -> dict[str, object]:
    return {
        "action": action,
        "tests": done.tests,
        "stages": done.stages,
        "samples": done.samples,
        "notes": list(done.notes),
    }
