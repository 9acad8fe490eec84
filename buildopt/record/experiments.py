"""Experiments, their measurements and accepted baselines, each asked and written as a function of an open connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildopt.record.rows import BaselineRow, ExperimentRow, MeasurementRow, RunRow, StageRow, bounded
from buildopt.record.statements import read_run, read_stage

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = [
    "baselines",
    "finish",
    "history",
    "insert",
    "insert_baseline",
    "insert_measurement",
    "last",
    "latest",
    "measurements",
    "prune",
    "stage_history",
]

_MOST_BASELINES = 1000
_MOST_MEASUREMENTS = 10_000  # of one experiment; a tuning of an hour has some hundreds
_LONGEST_DOCUMENT = 2**22
_EXPERIMENT = ", ".join(ExperimentRow._fields)
_MEASUREMENT = ", ".join(MeasurementRow._fields[1:])
_BASELINE = ", ".join(BaselineRow._fields)


def insert(connection: Connection, experiment: ExperimentRow) -> int:
    """Write an experiment, and return its number."""
    values = _values(experiment._replace(document=None))
    statement = f"INSERT INTO experiment ({_EXPERIMENT}) VALUES ({_marks(values)})"  # noqa: S608 - names of our own columns
    return connection.execute(statement, values).lastrowid or 0


def insert_measurement(connection: Connection, row: MeasurementRow) -> int:
    """Write a measurement and return its number; 0 when there is no such experiment or it has too many."""
    if not 0 <= row.position < _MOST_MEASUREMENTS:
        return 0
    values = _values(row[1:])
    cursor = connection.execute(
        f"INSERT INTO measurement (experiment, {_MEASUREMENT}) SELECT number, {_marks(values)} FROM experiment WHERE id = ?",  # noqa: S608
        (*values, row.experiment),
    )
    return cursor.rowcount and (cursor.lastrowid or 0)


def finish(connection: Connection, experiment: str, document: str) -> int:
    """Mark an experiment as done, with what it found; return 1, or 0 when there is none with this id."""
    kept = bounded(document, len(document)) if len(document) <= _LONGEST_DOCUMENT else None
    return connection.execute(
        "UPDATE experiment SET state = 'done', document = ? WHERE id = ?", (kept, experiment)
    ).rowcount


def last(connection: Connection, kind: str, key: str) -> tuple[ExperimentRow, ...]:
    """Return the experiment of this kind and key that was begun last, or nothing."""
    rows = connection.execute(
        f"SELECT {_EXPERIMENT} FROM experiment WHERE kind = ? AND key = ? ORDER BY number DESC LIMIT 1",  # noqa: S608
        (bounded(kind), bounded(key)),
    )
    return tuple(_experiment(row) for row in rows)


def latest(connection: Connection, kind: str, limit: int) -> tuple[ExperimentRow, ...]:
    """Return the last experiments of this kind, newest first."""
    rows = connection.execute(
        f"SELECT {_EXPERIMENT} FROM experiment WHERE kind = ? ORDER BY number DESC LIMIT ?",  # noqa: S608
        (kind, limit),
    )
    return tuple(_experiment(row) for row in rows)


def measurements(connection: Connection, experiment: str) -> tuple[MeasurementRow, ...]:
    """Return the measurements of an experiment, in order."""
    rows = connection.execute(
        f"SELECT ?1, {_MEASUREMENT} FROM measurement"  # noqa: S608 - names of our own columns
        " WHERE experiment = (SELECT number FROM experiment WHERE id = ?1) ORDER BY position",
        (experiment,),
    )
    return tuple(_measurement(row) for row in rows)


def history(connection: Connection, sought: tuple[str, str, str, str, int], limit: int) -> tuple[MeasurementRow, ...]:
    """Return the last successes of (scenario, arm, class of machine, rustc) after a measurement's number, oldest first."""
    columns = ", ".join(f"measurement.{name}" for name in MeasurementRow._fields[1:])
    rows = connection.execute(
        f"SELECT experiment.id, {columns} FROM measurement JOIN experiment ON experiment.number = experiment"  # noqa: S608
        " WHERE scenario = ? AND arm = ? AND host_class = ? AND rustc = ? AND measurement.number > ? AND result = 'success'"
        " ORDER BY measurement.number DESC LIMIT ?",
        (*sought, limit),
    )
    return tuple(_measurement(row) for row in rows)[::-1]


def stage_history(
    connection: Connection, stage: str, like: RunRow, limit: int, after: int
) -> tuple[tuple[RunRow, StageRow], ...]:
    """Return the last successes of a stage in runs like `like` whose key is above `after`, oldest first."""
    run_columns = ", ".join(f"run.{name}" for name in RunRow._fields)
    stage_columns = ", ".join(f"stage.{name}" for name in StageRow._fields[:-1])
    rows = connection.execute(
        f"SELECT {run_columns}, {stage_columns} FROM stage JOIN run ON run.key = stage.run"  # noqa: S608 - our own columns
        " WHERE stage.name = ? AND stage.result = 'success' AND stage.wall_seconds IS NOT NULL AND run.key > ?"
        " AND profile_fingerprint IS ? AND cargo IS ? AND rustc IS ? AND host_class IS ? AND ci = ?"
        " ORDER BY run.key DESC LIMIT ?",
        (stage, after, like.profile_fingerprint, like.cargo, like.rustc, like.host_class, like.ci, limit),
    )
    width = len(RunRow._fields)
    return tuple((read_run(row[:width]), read_stage(row[width:], {})) for row in rows)[::-1]


def insert_baseline(connection: Connection, baseline: BaselineRow) -> int:
    """Write an accepted baseline that all runs and measurements of today are older than, and return its number."""
    values = _values(baseline[:-2])
    return (
        connection.execute(
            f"INSERT INTO baseline ({_BASELINE}) VALUES ({_marks(values)},"  # noqa: S608 - names of our own columns
            " (SELECT coalesce(max(key), 0) FROM run), (SELECT coalesce(max(number), 0) FROM measurement))",
            values,
        ).lastrowid
        or 0
    )


def baselines(connection: Connection, host_class: str) -> tuple[BaselineRow, ...]:
    """Return the last baseline of each subject, by subject."""
    rows = connection.execute(
        f"SELECT {_BASELINE} FROM baseline WHERE number IN"  # noqa: S608 - names of our own columns
        " (SELECT max(number) FROM baseline WHERE host_class = ? GROUP BY subject) ORDER BY subject",
        (host_class,),
    )
    return tuple(BaselineRow(*row) for row in rows)


def prune(connection: Connection, keep: int) -> None:
    """Remove all but the last `keep` experiments, and all but the last thousand baselines."""
    for table, most in (("experiment", max(1, keep)), ("baseline", _MOST_BASELINES)):
        connection.execute(
            f"DELETE FROM {table} WHERE number <= (SELECT number FROM {table} ORDER BY number DESC LIMIT 1 OFFSET ?)",  # noqa: S608
            (most,),
        )


def _values(row: tuple[Any, ...]) -> list[object]:
    return [bounded(value) if isinstance(value, str) else value for value in row]


def _marks(values: list[object]) -> str:
    return ", ".join("?" * len(values))


def _experiment(row: Any) -> ExperimentRow:
    found = ExperimentRow(*row)
    return found._replace(dirty=None if found.dirty is None else bool(found.dirty))


def _measurement(row: Any) -> MeasurementRow:
    found = MeasurementRow(*row)
    return found._replace(cpu_complete=bool(found.cpu_complete))
