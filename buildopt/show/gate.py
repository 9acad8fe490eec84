"""`gate` on the console, as JSON, and as Markdown for a pull request."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

from buildopt.bench.arms import Arm, parse_arm
from buildopt.bench.config_lines import Ground
from buildopt.bench.lab import Lab
from buildopt.bench.sampling import Laboratory
from buildopt.colour import colour_wanted
from buildopt.host import Host
from buildopt.report.gate import as_json, as_text
from buildopt.report.gate_markdown import as_markdown
from buildopt.show.common import open_context, print_json, say
from buildopt.show.measuring import ProgressLine
from buildopt.verbs.context import Context
from buildopt.verbs.gate import OpenLab, gate

__all__ = ["show_gate"]


def show_gate(host: Host, arguments: argparse.Namespace, via_nox: bool) -> int:
    """Hold budgets and history, show what was found, and return 1 when the gate fails, else 0."""
    del via_nox
    context = open_context(host, arguments)
    with ProgressLine(host, json=arguments.json) as progress:
        lab = None if arguments.no_measure else _lab(context, progress)
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


def _lab(context: Context, progress: ProgressLine) -> tuple[OpenLab, Callable[[], Arm]]:
    """Return how the lab is opened, and the arm that builds as the profile of today says."""

    def open_lab() -> AbstractContextManager[Laboratory]:
        return Lab.open(
            context.host,
            context.root,
            context.state,
            context.workspace,
            profile=context.loaded.profile,
            note=progress.note,
        )

    def arm() -> Arm:
        ground = Ground(context.host, context.root, context.state, context.loaded.profile, context.toolchain)
        return parse_arm("current", ground)

    return open_lab, arm
