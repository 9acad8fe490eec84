"""`sync`, `drift` and `rollback`: Cargo is asked first, because it takes longest."""

from __future__ import annotations

import argparse
from contextlib import nullcontext

from buildopt.host import Host
from buildopt.show.common import open_context

__all__ = ["show_generated"]


def show_generated(host: Host, arguments: argparse.Namespace, via_nox: bool) -> int:
    """Do what `arguments` asks for, show it, and return the exit code."""
    context = open_context(host, arguments)
    asking = nullcontext() if arguments.verb == "rollback" else context.cargo_ahead()
    with asking:
        wanted = None if arguments.verb == "rollback" else context.ci_profile  # a broken one is refused before the rest
        from buildopt import generate  # noqa: PLC0415 - loaded while Cargo answers
        from buildopt.show.plans import show_plan  # noqa: PLC0415 - as above

        if wanted is not None:
            generate.prepare(wanted)
    return show_plan(context, arguments, "nox -s" if via_nox else "buildopt")
