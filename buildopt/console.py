"""What people see of a run: the stage and why, Cargo's own output untouched, one closing line."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import BinaryIO, TextIO

from buildopt.colour import colour_wanted, paint
from buildopt.pipeline.events import (
    Event,
    Note,
    Output,
    RunFinished,
    StageFinished,
    StageStarted,
    StepFinished,
    StepStarted,
)
from buildopt.report.closing import closing_line

__all__ = ["Console"]

# Switched on by buildopt to measure; the command that a person would type goes without them.
_OWN_ARGUMENTS = frozenset({"-v", "--timings", "--message-format=json-render-diagnostics"})


class Console:
    """Shows events on the standard streams. With `json`, all of it goes to stderr: stdout is for the one document."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        json: bool,
        via_nox: bool = False,
        next_stages: Mapping[str, str] | None = None,
    ) -> None:
        self.colour = colour_wanted(sys.stderr, environ)
        self.json = json
        self.via_nox = via_nox
        self._at_line_start = True
        self._next_stages = next_stages or {}
        self._total_packages: int | None = None

    def consume(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Output():
                self._raw(sys.stdout if event.stream == "stdout" and not self.json else sys.stderr, event.content)
            case Note():
                self.line(event.text, "yellow")
            case StageStarted():
                self._total_packages = event.total_packages
                self.line(f"{self._style(event.stage, 'bold')}  {event.why}")
            case StepStarted():
                self.line(f"  {_typed(event.argv)}", "dim")
            case StepFinished() if event.result == "skipped":
                self.line(f"  {event.step}: {event.detail}", "dim")
            case StageFinished():
                text = closing_line(
                    event,
                    total_packages=self._total_packages,
                    next_stage=self._next_stages.get(event.stage),
                    via_nox=self.via_nox,
                )
                colour = {"success": "green", "skipped": "dim"}.get(event.result, "red")
                self.line(text, colour)
            case RunFinished():
                self._flush()
            case _:
                pass

    def line(self, text: str, style: str | None = None) -> None:
        """Write one line of buildopt's own to stderr."""
        if not self._at_line_start:
            sys.stderr.write("\n")
            self._at_line_start = True
        sys.stderr.write(f"{self._style(text, style) if style else text}\n")
        sys.stderr.flush()

    def _style(self, text: str, name: str) -> str:
        return paint(text, name) if self.colour else text

    def _raw(self, stream: TextIO, content: bytes) -> None:
        self._at_line_start = content.endswith(b"\n")
        stream.flush()
        binary: BinaryIO | None = getattr(stream, "buffer", None)
        if binary is None:  # a stream that a test or a notebook put there
            stream.write(content.decode(errors="replace"))
        else:
            binary.write(content)
            binary.flush()

    def _flush(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()


def _typed(argv: tuple[str, ...]) -> str:
    """Return the command as a person would type it: without what only measures, long lists shortened."""
    import shlex  # noqa: PLC0415 - off the path of a run that has nothing to do

    words = [os.path.basename(argv[0]), *(_named(word) for word in argv[1:] if word not in _OWN_ARGUMENTS)]
    text = shlex.join(words)
    return text if len(text) <= 160 else f"{text[:157]}..."


def _named(word: str) -> str:
    """Return a package id, `path+file:///ws/core#0.1.0`, as people write it: `core@0.1.0`."""
    url, mark, fragment = word.partition("#")
    if not mark or not word.startswith("path+"):
        return word
    return fragment if "@" in fragment else f"{url.rpartition('/')[2]}@{fragment}"
