"""`watch` on a terminal, as plain lines, or as one JSON object a line."""

from __future__ import annotations

import argparse
import errno
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from buildopt.errors import BuildoptError
from buildopt.host import Host
from buildopt.host.terminal import keys
from buildopt.pipeline.events import LockWait, Note, Output, Spawned, StageFinished, StageStarted
from buildopt.screen import PlainWatch, Screen
from buildopt.show.common import open_context
from buildopt.verbs.context import Context
from buildopt.verbs.watch import Watched, usual_seconds, watch, watched_stages
from buildopt.watch.events import Cancelled, Changed, Idle, Known, Ready, Trouble, WatchEvent

__all__ = ["show_watch"]

_EXIT_CODES = {"success": 0, "failure": 1, "timeout": 124}
_GONE = (errno.EIO, errno.EPIPE, errno.ENXIO)  # what was written to is there no more


def show_watch(host: Host, arguments: argparse.Namespace, via_nox: bool) -> int:
    """Watch as `arguments` ask for, show it, and return the exit code.

    That is 0 after a key, SIGTERM or SIGHUP, 130 after Ctrl-C; with `--once` it is what the stages ended with.
    """
    try:
        context = open_context(host, arguments, strict=False)
        watched = _show(host, context, arguments, via_nox)
    except BuildoptError as error:
        if not arguments.json:
            raise
        _JsonLines(host).refused(error)
        return error.exit_code
    except OSError as error:
        if error.errno not in _GONE:
            raise
        return 0
    if watched.stopped_by == "SIGINT":
        return 130
    return _EXIT_CODES[watched.result] if arguments.once and watched.stopped_by is None else 0


def _show(host: Host, context: Context, arguments: argparse.Namespace, via_nox: bool) -> Watched:
    with ExitStack() as stack:
        if arguments.json:
            context.note = lambda text: lines.consume(Trouble(text))
            lines = _JsonLines(host)
            return watch(context, tell=lines.consume, once=arguments.once)
        if arguments.once or not sys.stderr.isatty():
            plain = PlainWatch(host, via_nox=via_nox)
            context.host = _coloured(host, plain.colour)
            return watch(context, tell=plain.consume, once=arguments.once)
        clear, stages = context.loaded.profile.watch.clear, watched_stages(context)
        usual = usual_seconds(context, stages)
        screen = Screen(host, stages, clear=clear, via_nox=via_nox, usual=usual.get)
        typed = stack.enter_context(keys(host, screen.redraw))
        stack.enter_context(screen)
        context.host = _coloured(host, screen.colour)
        meant = None if typed is None else _Meant(typed, screen.key)
        return watch(context, tell=screen.consume, keys=meant, tick=screen.tick)


def _coloured(host: Host, colour: bool) -> Host:
    """Return a host whose Cargo writes colours, where they are wanted: its output goes through a pipe."""
    if not colour:
        return host
    return Host({**host.environ, "CARGO_TERM_COLOR": host.environ.get("CARGO_TERM_COLOR", "always")}, host.files)


class _Meant:
    """Keys by what they mean."""

    def __init__(self, typed: Any, meaning: Callable[[str], str | None]) -> None:
        self._typed = typed
        self._meaning = meaning

    def fileno(self) -> int:
        return int(self._typed.fileno())

    def read(self) -> list[str]:
        meanings = ("quit" if key == "hangup" else self._meaning(key) for key in self._typed.read())
        return [meaning for meaning in meanings if meaning is not None]


class _JsonLines:
    """One JSON object a line on stdout; what Cargo prints goes to stderr."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._started: StageStarted | None = None
        self._idle_result = "success"

    def consume(self, event: WatchEvent) -> None:
        match event:
            case Output():
                sys.stderr.buffer.write(event.content)
                sys.stderr.buffer.flush()
            case Ready():
                self._line(
                    "ready", packages=None, stages=list(event.stages), directories=event.directories, files=event.files
                )
            case Changed():
                self._line("change", packages=list(event.packages), paths=list(event.paths), why=event.why)
            case StageStarted():
                self._started = event
            case Spawned() if self._started is not None:
                started, self._started = self._started, None
                self._line(
                    "stage-started",
                    stage=started.stage,
                    packages=list(started.packages),
                    pid=event.pid,
                    why=started.why,
                )
            case StageFinished() if event.result != "cancelled":
                self._line("stage-finished", **_finished(event))
            case Cancelled():
                self._line("cancelled", stage=event.stage, result="cancelled", cause=event.cause, seconds=event.seconds)
            case Known():
                self._line(
                    "stage-finished", stage=event.stage, packages=list(event.packages), result="success", known=True
                )
            case Idle():
                self._line("idle", result=event.result, stage=event.stage, green_seconds=event.green_seconds)
            case Trouble() | Note():
                self._line("error", message=event.text)
            case LockWait():
                self._line(
                    "error", stage=event.stage, message=f"waits for a lock that another cargo holds ({event.what})"
                )
            case _:
                pass

    def refused(self, error: BuildoptError) -> None:
        """Say why there is no watch."""
        self._line("error", message="; ".join(error.lines()), **error.as_json())

    def _line(self, event: str, **facts: Any) -> None:
        document = {"version": 1, "event": event, "time": self._host.now(), "stage": None, "packages": [], "paths": [],
                    "result": None, "pid": None}  # fmt: skip
        document.update({key: value for key, value in facts.items() if value is not None or key not in document})
        sys.stdout.write(json.dumps(document, ensure_ascii=True) + "\n")
        sys.stdout.flush()


def _finished(event: StageFinished) -> dict[str, Any]:
    return {
        "stage": event.stage,
        "packages": list(event.packages),
        "result": event.result,
        "wall_seconds": event.wall_seconds,
        "cpu_seconds": event.cpu_seconds,
        "budget_seconds": event.budget_seconds,
        "detail": event.detail,
        "known": False,
    }
