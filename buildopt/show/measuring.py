"""The one line that says where a long measurement stands, for `bench`, `tune` and `gate`."""

from __future__ import annotations

import sys

from buildopt.bench.progress import Progress, about
from buildopt.host import Host
from buildopt.host.terminal import size
from buildopt.report.layout import visible

__all__ = ["ProgressLine", "about"]

_EVERY_SECONDS = 30.0  # where lines are kept, as in the log of a CI job
_CLEAR_LINE = "\r\x1b[K"


class ProgressLine:
    """Shows progress on stderr: on a terminal in one line that is written again and again, elsewhere every 30 seconds.

    Lines that stay are always written. With `json` nothing is: then stderr is for what goes wrong.
    """

    def __init__(self, host: Host, *, json: bool) -> None:
        self._host = host
        self._silent = json
        self._live = sys.stderr.isatty() and host.environ.get("TERM") != "dumb"
        self._drawn = False
        self._next = float("-inf")

    def consume(self, progress: Progress) -> None:
        """Show one piece of progress."""
        if self._silent:
            return
        text = visible(progress.text)
        if progress.stays:
            self._write(f"{text}\n", drawn=False)
            return
        if progress.seconds_left is not None:
            text += f" ({about(progress.seconds_left)} left)"
        if self._live:
            width = max(20, size()[0] - 1)
            self._write(text if len(text) <= width else f"{text[: width - 1]}…", drawn=True)
        elif self._host.monotonic() >= self._next:
            self._next = self._host.monotonic() + _EVERY_SECONDS
            self._write(f"{text}\n", drawn=False)

    def note(self, text: str) -> None:
        """Show a line that stays."""
        self.consume(Progress(text, stays=True))

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            self._write("", drawn=False)

    def _write(self, text: str, *, drawn: bool) -> None:
        sys.stderr.write(f"{_CLEAR_LINE if self._drawn else ''}{text}")
        sys.stderr.flush()
        self._drawn = drawn
