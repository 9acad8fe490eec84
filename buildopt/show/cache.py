"""`cache save` and `cache restore` on the console or as JSON."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from buildopt.cache.freshness import Restored, Saved
from buildopt.host import Host
from buildopt.show.common import open_context, print_json, say
from buildopt.verbs.cache import restore, save

__all__ = ["show_cache"]

_SILENT_SECONDS = 1.0


def show_cache(host: Host, arguments: argparse.Namespace, via_nox: bool) -> int:
    """Save or restore as `arguments` says, show what came of it, and return the exit code: 0, also when all is rebuilt."""
    del via_nox
    started = host.monotonic()
    context = open_context(host, arguments, strict=False)
    with _patience(arguments.action):
        done = save(context) if arguments.action == "save" else restore(context)
    seconds = host.monotonic() - started
    if arguments.json:
        print_json({"version": 1, "cache": {**_document(done), "seconds": round(seconds, 3)}})
    else:
        say(f"cache {arguments.action}: {_text(done)}; {seconds:.2f} s")
    return 0


@contextmanager
def _patience(action: str) -> Iterator[None]:
    """Say that it is still at work, when it takes long."""
    timer = threading.Timer(_SILENT_SECONDS, say, (f"cache {action}: reading sources and what was built …",))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _document(done: Saved | Restored | None) -> dict[str, object]:
    if isinstance(done, Restored):
        return {"usable": done.why is None, **done._asdict()}
    return {"saved": done is not None, **(Saved(0, 0, 0, 0) if done is None else done)._asdict()}


def _text(done: Saved | Restored | None) -> str:
    if done is None:
        return "nothing is built yet, nothing to save"
    if isinstance(done, Saved):
        unsure = f", {done.unsure} of them of unknown age" if done.unsure else ""
        doubtful = f", {done.doubtful_units} to be built again" if done.doubtful_units else ""
        return f"{done.inputs} inputs{unsure}, {done.units} units{doubtful}"
    if done.why is not None:
        rebuilt = "; the whole workspace will be rebuilt" if done.changed else ""
        return f"the target directory is not used: {done.why}{rebuilt}"
    total = done.unchanged + done.changed + done.new
    counts = (("changed", done.changed), ("new", done.new), ("removed", done.removed))
    rest = "".join(f", {number} {name}" for name, number in counts if number)
    units = f"; {done.invalidated_units} units invalidated" if done.invalidated_units else ""
    return f"{done.unchanged} of {total} inputs unchanged{rest}{units}"
