"""What people see of a watch: a calm screen on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from buildopt.colour import colour_wanted
from buildopt.console import Console
from buildopt.host import Host
from buildopt.host.terminal import size
from buildopt.pipeline.events import LockWait, Output, StageFinished
from buildopt.units import format_duration
from buildopt.watch.board import Board, counted, edited
from buildopt.watch.drawing import ASCII, HELP, UNICODE, Look, Marks, frame
from buildopt.watch.events import Cancelled, Changed, Idle, Known, Paused, Ready, Trouble, Waiting, WatchEvent

__all__ = ["PlainWatch", "Screen"]

_MEANINGS = {
    "r": "rerun", "enter": "rerun", "n": "next", "p": "pause", "space": "pause", "f": "full", "q": "quit", "hangup": "quit",
}  # fmt: skip
_DRAW_SECONDS = 0.05
_HOME, _CLEAR, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"
_HIDE, _SHOW, _RESET = "\x1b[?25l", "\x1b[?25h", "\x1b[0m"


class PlainWatch:
    """Calm lines, one after the other; what Cargo and tests print goes through as it is."""

    def __init__(self, host: Host, *, via_nox: bool = False) -> None:
        self._host = host
        self._console = Console(host.environ, json=False, via_nox=via_nox)
        self._marks = _marks(sys.stderr)
        self.colour = self._console.colour

    def consume(self, event: WatchEvent) -> None:
        """Show one event."""
        line = self._console.line
        match event:
            case Ready():
                line(
                    f"watching {event.packages} packages, {event.files} files; stages {', '.join(event.stages)}", "dim"
                )
            case Changed():
                line(f"{_clock(self._host.now())} edit: {edited(event.paths)} {self._marks.arrow} {event.why}", "bold")
            case Waiting():
                if event.seconds > 0:
                    line(f"{event.stage} starts after {format_duration(event.seconds)} without an edit", "dim")
            case Known():
                line(f"{event.stage}: this content has passed it already ({', '.join(event.packages)})", "green")
            case Cancelled():
                cause = {"edit": "a newer edit", "key": "a key"}.get(event.cause, event.cause)
                line(f"{event.stage} cancelled after {format_duration(event.seconds)} by {cause}", "dim")
            case Idle():
                line(_idle_line(event), "green" if event.result == "success" else "red")
            case Paused():
                line("paused: edits start nothing" if event.on else "the pause is over", "yellow")
            case Trouble():
                line(event.text, "yellow")
            case LockWait():
                line(f"{event.stage} waits for a lock that another cargo holds ({event.what})", "yellow")
            case StageFinished() if event.result == "cancelled":
                pass  # `Cancelled` says it
            case _:
                self._console.consume(event)

    def line(self, text: str, style: str | None = None) -> None:
        """Write one line of buildopt's own."""
        self._console.line(text, style)


class Screen:
    """One screen that is drawn in place on the terminal of standard error; a context manager.

    Without `clear`, and where the terminal can do nothing but lines, it writes the lines of `PlainWatch`.
    `usual` says how many seconds a stage usually takes. Events, keys and ticks may come from any thread.
    """

    def __init__(
        self,
        host: Host,
        stages: Sequence[str] = (),
        *,
        clear: bool = True,
        via_nox: bool = False,
        usual: Callable[[str], float | None] = lambda _stage: None,
    ) -> None:
        self._host = host
        self._stream = sys.stderr
        self._plain = PlainWatch(host, via_nox=via_nox)
        self._board = Board(stages, usual, host.monotonic)
        self._drawn: list[str] | None = None
        self._look = Look(80, 24, colour_wanted(sys.stderr, host.environ), _marks(sys.stderr))
        self._size = (80, 24)
        self._drawn_at: dict[str, float] = {}
        self._stale = False
        self._help = False
        self._all = False
        self._clock = ""
        self._lock = threading.RLock()
        self.live = clear and sys.stderr.isatty() and host.environ.get("TERM") != "dumb"
        """Whether the screen is drawn in place."""
        self.colour = self._look.colour

    def __enter__(self) -> Screen:
        if self.live:
            self._write("\r\n" * size()[1])  # what was there before can still be scrolled to
            self.redraw()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the last state readable, with the cursor below it; may be called twice."""
        with self._lock:
            if self.live:
                below = "" if self._all or self._drawn is None else f"\x1b[{len(self._drawn)};1H\r\n{_CLEAR_BELOW}"
                self._write(f"{_RESET}{below}{_SHOW}")
            self.live = False

    def consume(self, event: WatchEvent) -> None:
        """Show one event."""
        with self._lock:
            if isinstance(event, Changed):
                self._clock = _clock(self._host.now())
            new = self._board.consume(event)
            if not self.live or (self._all and not isinstance(event, Changed)):
                self._plain.consume(event)
            elif self._all:
                self._all = False
                self.redraw()
            elif isinstance(event, Output):
                self._stale = self._stale or new
                self._draw_in_time("output")
            elif new:
                self._draw()

    def key(self, name: str) -> str | None:
        """Return what a key asks of the watch: `rerun`, `next`, `pause`, `full` or `quit`; None for one that the screen answers."""
        if name in _MEANINGS:
            return _MEANINGS[name]
        with self._lock:
            if name == "?" and self.live and not self._all:
                self._help = not self._help
                self._draw()
            elif name == "?":
                for line in HELP:
                    self._plain.line(line, "dim")
            elif name == "a" and self.live:
                self._all = not self._all
                if self._all:
                    self._show_all()
                else:
                    self.redraw()
            elif name == "escape" and (self._help or self._all):
                self._help = self._all = False
                self.redraw()
        return None

    def tick(self) -> None:
        """Draw what time has changed; to be called some ten times a second while a stage runs."""
        with self._lock:
            if self.live and not self._all:
                self._stale = self._stale or self._board.running or size() != self._size
                self._draw_in_time("tick")

    def redraw(self) -> None:
        """Draw everything anew: after a stop, and when the terminal has another size."""
        with self._lock:
            if self.live and not self._all:
                self._drawn = None
                self._draw()

    def _draw_in_time(self, occasion: str) -> None:
        """Draw what is new, but not more often than eyes can follow: a thousand warnings come in a thousand pieces."""
        now = self._host.monotonic()
        if self._stale and now - self._drawn_at.get(occasion, float("-inf")) >= _DRAW_SECONDS:
            self._drawn_at[occasion] = now
            self._draw()

    def _draw(self) -> None:
        """Write the rows that differ from those on the screen, all in one go."""
        self._stale = False
        columns, lines = self._size = size()
        look = self._look._replace(columns=max(columns - 1, 10), lines=lines)
        if look != self._look or self._drawn is None:
            self._look, self._drawn = look, []
            start = f"{_HIDE}{_RESET}{_HOME}{_CLEAR}"
        else:
            start = ""
        wanted = frame(self._board, look, help_shown=self._help, clock=self._clock)
        before = self._drawn
        changed = [
            f"\x1b[{number + 1};1H{row}{_CLEAR_LINE}"
            for number, row in enumerate(wanted)
            if number >= len(before) or before[number] != row
        ]
        if len(wanted) < len(before):
            changed.append(f"\x1b[{len(wanted) + 1};1H{_CLEAR_BELOW}")
        self._drawn = wanted
        if start or changed:
            self._write(f"{start}{''.join(changed)}\x1b[{max(len(wanted), 1)};1H")

    def _show_all(self) -> None:
        """Write everything that is known without cutting it: the terminal scrolls, and more output follows below."""
        current = self._board.current
        self._write(f"{_RESET}{_HOME}{_CLEAR}{_SHOW}")
        for stage in self._board.stages.values():
            if stage is not current:
                for diagnostic in stage.shown:
                    self._plain.consume(Output("stderr", diagnostic.rendered + b"\n"))
        for content in () if current is None else tuple(current.raw):
            self._plain.consume(Output("stderr", content))
        said = counted(self._board.diagnostics())
        name = "" if current is None else f" of {current.name}"
        self._plain.line(f"all output{name}{f': {said}' if said else ''}; press a to go back", "dim")

    def _write(self, text: str) -> None:
        content = text.encode(self._stream.encoding or "utf-8", "replace")
        with contextlib.suppress(OSError):  # the terminal has gone away: SIGHUP or `hangup` ends the watch
            self._stream.flush()
            descriptor = self._stream.fileno()
            while content:
                try:
                    content = content[os.write(descriptor, content) :]
                except BlockingIOError:  # another program has made the terminal non-blocking
                    select.select([], [descriptor], [], 1.0)


def _marks(stream: TextIO) -> Marks:
    """Return the signs that the encoding of `stream` has."""
    try:
        "".join(UNICODE).encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def _clock(epoch: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(epoch))


def _idle_line(event: Idle) -> str:
    if event.result == "success":
        when = "" if event.green_seconds is None else f" in {format_duration(event.green_seconds)} after the edit"
        return f"idle: all stages passed{when}"
    return f"idle: {event.stage} failed" if event.stage else "idle: it cannot run yet"
