"""`ci durations`: what the record knows of how long tests and stages take, from one machine to another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.record import Record, TimeRow
from buildopt.record.exchange import MOST_BYTES, read_times, times_as_json
from buildopt.verbs.context import Context

__all__ = ["Exchanged", "export_durations", "import_durations", "read_durations"]

_AHEAD_MILLISECONDS = 24 * 3600 * 1000  # what a clock may be wrong by


class Exchanged(NamedTuple):
    """What was written to a file, or taken from some."""

    tests: int
    stages: int
    samples: int
    notes: tuple[str, ...] = ()
    """What was not as it should be, a line each."""


def export_durations(context: Context, path: Path) -> Exchanged:
    """Write what the record knows to the file `path`; raises MachineRefused when it cannot be written."""
    with Record.open(context.host, context.state) as record:
        rows = record.times()
        notes = (record.note,) if record.note else ()
    context.host.files.write(path, times_as_json(rows).encode())
    return _counted(rows, notes)


def import_durations(context: Context, paths: Sequence[Path]) -> Exchanged:
    """Add what the files `paths` know to the record; a second time, or in another order, leads to the same record.

    A file that is missing, damaged or too large is left out and said: durations only ever balance work.
    """
    until = int(context.host.now() * 1000) + _AHEAD_MILLISECONDS
    rows: set[TimeRow] = set()
    notes = []
    for path in paths:
        found, note = read_durations(context.host, path)
        rows.update(row for row in found if row.at <= until)
        notes += [note] if note else []
    context.prepare_state()
    with Record.open(context.host, context.state) as record:
        record.add_times(sorted(rows))
        notes += [record.note] if record.note else []
    return _counted(rows, tuple(notes))


def read_durations(host: Host, path: Path) -> tuple[tuple[TimeRow, ...], str | None]:
    """Return what the file `path` knows, and, when it cannot be used, nothing and a line that says why."""
    stamp = host.files.stamp(path)
    try:
        if stamp is None:
            raise ValueError("there is no such file")
        if stamp[0] > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES // 2**20} MiB")
        return read_times(host.files.read(path) or b""), None
    except (ValueError, MachineRefused) as error:
        why = error.message if isinstance(error, MachineRefused) else str(error)
        return (), f"recorded durations are not used: {path}: {why}"


def _counted(rows: Sequence[TimeRow] | set[TimeRow], notes: tuple[str, ...]) -> Exchanged:
    names = {row[:3] for row in rows}
    tests = sum(bool(binary) for _, binary, _ in names)
    return Exchanged(tests, len(names) - tests, len(rows), notes)
