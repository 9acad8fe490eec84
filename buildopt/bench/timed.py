"""One timed run of a few calls of Cargo: what they cost together, what else the machine did, what went wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from buildopt.bench.commands import Call
from buildopt.bench.measured import Measured
from buildopt.cargo.messages import MessageStream
from buildopt.cargo.stderr import StderrReader
from buildopt.cargo.timings import parse_timings
from buildopt.host import Command, Host

__all__ = ["DISK_FULL", "Timed", "run_calls"]

DISK_FULL = "No space left on device"
"""The system's own words."""

_TAIL_BYTES = 65_536
_LINE_CHARACTERS = 300
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Timed(NamedTuple):
    """What was run, and how it ended."""

    measured: Measured
    failed: Call | None
    """The call that failed."""
    words: str
    """Why it failed, in one line of its own output; empty when it did not."""


class _Tail:
    """The end of what a command prints."""

    def __init__(self) -> None:
        self.content = b""

    def keep(self, chunk: bytes) -> None:
        self.content = (self.content + chunk)[-_TAIL_BYTES:]


def run_calls(
    host: Host,
    calls: Sequence[Call],
    root: Path,
    env: Mapping[str, str | None],
    *,
    timeout_seconds: float,
    complete: bool = True,
) -> Timed:
    """Run `calls` one after the other until one fails, and return their cost together.

    `complete` is off where a server works for them: then neither its CPU time nor what is external can be told.
    Raises ToolMissing and MachineRefused as `Host.run` does.
    """
    started_at, started, busy = host.now(), host.monotonic(), host.busy_seconds()
    wall = cpu = tested = 0.0
    peak = rebuilt = 0
    told = waited = False
    failed, words = None, ""
    crates: dict[str, float] = {}
    with host.speed() as speed:
        for call in calls:
            stream, reader, tail = MessageStream(), StderrReader(), _Tail()
            told |= call.told

            def on_stdout(chunk: bytes, call: Call = call, stream: MessageStream = stream, tail: _Tail = tail) -> None:
                tail.keep(stream.feed(chunk).text if call.told else chunk)

            def on_stderr(chunk: bytes, reader: StderrReader = reader, tail: _Tail = tail) -> None:
                tail.keep(reader.feed(chunk))

            command = Command(call.argv, root, env, timeout_seconds)
            finished = host.run(command, on_stdout=on_stdout, on_stderr=on_stderr)
            reader.flush()
            if reader.timings_path is not None:
                _add_crates(host, Path(reader.timings_path), crates)
            wall += finished.wall_seconds
            cpu += finished.cpu_seconds
            peak = max(peak, finished.peak_bytes)
            rebuilt += sum(artifact.fresh is False for artifact in stream.artifacts)
            waited |= bool(reader.lock_waits)
            tested += finished.wall_seconds if call.tests else 0.0
            if finished.returncode != 0 or finished.timed_out:
                failed = call
                words = (
                    f"it took more than {timeout_seconds:.0f} s" if finished.timed_out else _words(tail.content, call)
                )
                break
    after, elapsed = host.busy_seconds(), host.monotonic() - started
    external = None
    if complete and busy is not None and after is not None and elapsed > 0:
        external = min(1.0, max(0.0, (after - busy - cpu - speed.cpu_seconds) / (host.cores * elapsed)))
    measured = Measured(
        wall_seconds=wall,
        cpu_seconds=cpu,
        peak_bytes=peak,
        external_share=external,
        lock_wait=waited,
        cpu_complete=complete,
        started_at=started_at,
        rebuilt=rebuilt if told else None,
        result="failure" if failed else "success",
        test_seconds=tested if any(call.tests for call in calls) else None,
        crates=crates,
        unit_seconds=speed.unit_seconds,
    )
    return Timed(measured, failed, words)


def _add_crates(host: Host, report: Path, crates: dict[str, float]) -> None:
    """Add what each package took by Cargo's report."""
    html = host.files.read(report) or b""
    for unit in parse_timings(html.decode(errors="replace")):
        crates[unit.package] = crates.get(unit.package, 0.0) + unit.duration_seconds


def _words(output: bytes, call: Call) -> str:
    """Return the line that says best why a call failed."""
    if DISK_FULL.encode() in output:
        return DISK_FULL
    lines = [_ANSI.sub("", line).strip() for line in output.decode(errors="replace").splitlines()]
    lines = [line[:_LINE_CHARACTERS] for line in lines if line]
    if call.tests:
        failed = [line for line in lines if re.search(r"^test .* FAILED|^FAIL \[|^\S+ \.\.\. FAILED", line)]
        if failed:
            return failed[0]
    errors = [line for line in lines if line.startswith("error")]
    if len(errors) > 1 and errors[0].startswith("error: failed to run"):
        return errors[1]  # what that program said itself
    return (errors or lines[-1:] or ["it said nothing"])[0]
