"""`gate` on the console, as JSON, and as Markdown for a pull request."""

from __future__ import annotations

import argparse
import shutil
import sys

from buildopt.colour import colour_wanted
from buildopt.host import Host
from buildopt.report.gate import as_json, as_text
from buildopt.report.gate_markdown import as_markdown
from buildopt.show.common import open_context, print_json, say
from buildopt.show.measuring import ProgressLine
from buildopt.verbs.experiments import open_lab
from buildopt.verbs.gate import gate

__all__ = ["show_gate"]


def show_gate(host: Host, arguments: argparse.Namespace, via_nox: bool) -> int:
    """Hold budgets and history, show what was found, and return 1 when the gate fails, else 0."""
    del via_nox
    context = open_context(host, arguments)
    with ProgressLine(host, json=arguments.json) as progress:
        lab = None if arguments.no_measure else open_lab
        view = gate(context, lab=lab, accept=arguments.accept, tell=progress.consume)
    if arguments.markdown is not None:
        # What one step of a CI job has written into its summary stays there.
        append = str(arguments.markdown) == host.environ.get("GITHUB_STEP_SUMMARY")
        write = host.files.append if append else host.files.write
        write(arguments.markdown.absolute(), as_markdown(view).encode())
    if arguments.json:
        print_json(as_json(view))
    else:
        for note in view.notes:
            say(note)
        width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 140))
        sys.stdout.write(as_text(view, width, color=colour_wanted(sys.stdout, host.environ)))
    return int(view.failed)
