"""`bench`: progress while it measures, tables when it has."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from buildopt.colour import colour_wanted
from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.report.comparisons import BenchView, as_json, as_lines, as_markdown, next_step, summary
from buildopt.show.common import open_context, print_json, say
from buildopt.show.measuring import ProgressLine
from buildopt.verbs.bench import Asked, bench

__all__ = ["show_bench"]


def show_bench(host: Host, arguments: argparse.Namespace, via_nox: bool) -> int:
    """Measure what `arguments` ask for, show it, and return the exit code.

    That is 130 after Ctrl-C, 1 when nothing that was asked for could be measured, else 0.
    """
    context = open_context(host, arguments, strict=False)
    asked = Asked(arguments.compare, arguments.scenario, arguments.pairs, arguments.time, arguments.fresh)
    with ProgressLine(host, json=arguments.json) as line:
        view = bench(context, asked, line.consume)
    job = host.environ.get("GITHUB_STEP_SUMMARY")
    if job and view.comparisons:
        try:
            host.files.append(Path(job), as_markdown(view).encode())
        except MachineRefused as error:
            say(f"the summary of this job is not written: {error.message}")
    if arguments.json:
        print_json(as_json(view))
    else:
        _show(view, host, via_nox)
    return 130 if view.interrupted else int(view.is_empty)


def _show(view: BenchView, host: Host, via_nox: bool) -> None:
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 140))
    lines = as_lines(view, width, color=colour_wanted(sys.stdout, host.environ))
    sys.stdout.write("".join(f"{line}\n" for line in ["", *lines]))
    sys.stdout.flush()
    for note in view.notes:
        say(note)
    say(summary(view))
    say(next_step(view, via_nox=via_nox))
