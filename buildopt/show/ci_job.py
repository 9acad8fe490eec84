"""What a run tells the host of a CI job: annotations on the diff, a summary, a report of problems. It never fails the run."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.pipeline.events import (
    Event,
    Note,
    Output,
    RunFinished,
    RunStarted,
    StageFinished,
    StageStarted,
    StepFinished,
    Units,
)
from buildopt.report.annotations import code_quality, github_commands
from buildopt.report.ci_summary import RunFacts, as_markdown
from buildopt.watch.diagnostics import Diagnostic, DiagnosticReader

__all__ = ["CODE_QUALITY_FILE", "CiJob"]

CODE_QUALITY_FILE = "gl-code-quality.json"
_MOST_DIAGNOSTICS = 2000
_LONGEST_RENDERED = 16_384  # bytes
_LARGEST_SUMMARY = 1 << 20  # bytes; GitHub drops the summary of a step above it


class CiJob:
    """Consumes the events of one run, and tells of it at its end; `line` writes one line of ours to stderr."""

    def __init__(self, host: Host, root: Path, line: Callable[[str], None]) -> None:
        self._host = host
        self._root = root
        self._line = line
        self._github = host.environ.get("GITHUB_ACTIONS") == "true"
        self._token = secrets.token_hex(16)
        self._reader = DiagnosticReader(str(root))
        self._diagnostics: list[Diagnostic] = []
        self._command = ""
        self._stages: list[StageFinished] = []
        self._covered: dict[str, tuple[int, str]] = {}
        self._units: list[Units] = []
        self._notes: list[str] = []
        self._broken = False

    def consume(self, event: Event) -> None:
        """Take one event; after a defect of its own, one line says so and nothing more is told."""
        if self._broken:
            return
        try:
            self._take(event)
        except Exception as error:  # noqa: BLE001 - what only tells of a run must never fail it
            self._broken = True
            self._line(f"the CI job is not told of this run: {error}")

    def _take(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._command = event.command
                if self._github:  # what a test prints is no command to GitHub until the token is said
                    self._line(f"::stop-commands::{self._token}")
            case StageStarted():
                self._covered[event.stage] = (event.total_packages, event.why)
            case Output():
                self._keep(self._reader.feed(event.content, event.stream))
                self._reader.rest()  # what is no diagnostic is not needed
            case StepFinished():
                self._keep(self._reader.flush())
            case Units():
                self._units.append(event)
            case Note():
                self._notes.append(event.text)
            case StageFinished():
                self._stages.append(event)
            case RunFinished():
                self._tell(event)
            case _:
                pass

    def _keep(self, found: tuple[Diagnostic, ...]) -> None:
        room = _MOST_DIAGNOSTICS - len(self._diagnostics)
        self._diagnostics += (each._replace(rendered=each.rendered[:_LONGEST_RENDERED]) for each in found[:room])

    def _tell(self, ended: RunFinished) -> None:
        if self._github:
            self._line(f"::{self._token}::")
        self._keep(self._reader.flush())
        folder = self._folder()
        if self._github:
            for command in github_commands(self._diagnostics, folder):
                self._line(command)
        if self._host.environ.get("GITLAB_CI"):
            self._write_code_quality(folder)
        summary = self._host.environ.get("GITHUB_STEP_SUMMARY")
        if summary:
            self._write_summary(Path(summary), ended)

    def _folder(self) -> str | None:
        """Return the workspace root relative to that of the repository, the nearest folder upwards with a `.git`."""
        for folder in (self._root, *self._root.parents):
            if self._host.files.mode(folder / ".git") is not None:
                return self._root.relative_to(folder).as_posix().removeprefix(".")
        return None

    def _write_code_quality(self, folder: str | None) -> None:
        text = json.dumps(code_quality(self._diagnostics, folder))
        try:
            self._host.files.write(self._root / ".buildopt" / CODE_QUALITY_FILE, text.encode(), flush=False)
        except MachineRefused as error:
            self._line(f"the Code Quality report is not written: {error.message}")

    def _write_summary(self, path: Path, ended: RunFinished) -> None:
        units = tuple(unit for units in self._units for unit in units.units)
        facts = RunFacts(
            self._command, ended.result, ended.wall_seconds, tuple(self._stages), self._covered, units,
            tuple(self._diagnostics), tuple(self._notes),
        )  # fmt: skip
        text = f"{as_markdown(facts)}\n".encode()
        there = self._host.files.stamp(path)
        try:
            if there is None or there[0] + len(text) < _LARGEST_SUMMARY:
                self._host.files.append(path, text)
        except MachineRefused as error:
            self._line(f"the summary of this job is not written: {error.message}")
