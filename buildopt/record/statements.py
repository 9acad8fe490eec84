"""What is written to the record and asked of it, each as a function of an open connection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from buildopt.record.rows import (
    CacheRow,
    CrateCost,
    CycleRow,
    RunRow,
    StageRow,
    StepRow,
    UnitRow,
    bounded,
    bounded_list,
)

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = [
    "Written",
    "count",
    "cycles",
    "has_passed",
    "insert",
    "insert_cycle",
    "last_cycle",
    "last_stage",
    "median",
    "notes",
    "prune",
    "read_run",
    "read_stage",
    "runs",
    "slowest",
    "stages",
    "steps",
    "units",
    "usual_seconds",
]

_MOST_UNITS = 20_000
_RUNS_WITH_FRESH_UNITS = 20
_CYCLES_FOR_A_RUN = 10
_RUN = ", ".join(RunRow._fields)
_UNIT = ", ".join(UnitRow._fields)
_STAGE = ", ".join(StageRow._fields[:-1])
_STEP = ", ".join(StepRow._fields)
_CYCLE = ", ".join(CycleRow._fields)


class Written(NamedTuple):
    """A whole run, as it is written in one transaction."""

    run: RunRow
    stages: Sequence[StageRow]
    steps: Sequence[StepRow]
    units: Sequence[UnitRow]
    notes: Sequence[str]


def insert(connection: Connection, written: Written) -> int:
    """Write a whole run, and return its key."""
    run = written.run
    values = [_plain(value) for value in run]
    key = connection.execute(f"INSERT INTO run ({_RUN}) VALUES ({_marks(values)})", values).lastrowid  # noqa: S608 - names of our own columns
    _insert_many(
        connection, f"stage (run, position, {_STAGE})", (_stage_values(stage) for stage in written.stages), key
    )
    _insert_many(connection, f"step (run, position, {_STEP})", (_values(step) for step in written.steps), key)
    kept = written.units[:_MOST_UNITS]
    _insert_many(connection, f"unit (run, position, {_UNIT})", (_values(unit) for unit in kept), key)
    _insert_many(connection, "note (run, position, text)", ([bounded(text)] for text in written.notes[:100]), key)
    connection.executemany(
        "INSERT OR REPLACE INTO cache VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(key, *_cache_values(stage.name, stage.cache)) for stage in written.stages if stage.cache is not None],
    )
    return key or 0


def runs(connection: Connection, limit: int) -> tuple[RunRow, ...]:
    """Return the last `limit` runs, newest first."""
    rows = connection.execute(f"SELECT {_RUN} FROM run ORDER BY id DESC LIMIT ?", (limit,))  # noqa: S608
    return tuple(read_run(row) for row in rows)


def count(connection: Connection) -> tuple[int]:
    """Return how many runs there are."""
    return (int(connection.execute("SELECT count(*) FROM run").fetchone()[0]),)


def stages(connection: Connection, run: str) -> tuple[StageRow, ...]:
    """Return the stages of a run, in order."""
    found = connection.execute(
        "SELECT stage, hits, misses, errors, not_cached, location FROM cache"
        " WHERE run = (SELECT key FROM run WHERE id = ?)",
        (run,),
    )
    caches = {
        name: CacheRow(hits, misses, errors, json.loads(why), where) for name, hits, misses, errors, why, where in found
    }
    rows = connection.execute(
        f"SELECT {_STAGE} FROM stage WHERE run = (SELECT key FROM run WHERE id = ?) ORDER BY position",  # noqa: S608
        (run,),
    )
    return tuple(read_stage(row, caches) for row in rows)


def last_stage(connection: Connection, stage: str) -> tuple[tuple[RunRow, StageRow], ...]:
    """Return the last time that `stage` was run and not skipped, with its run; nothing when it never was."""
    columns = ", ".join(f"run.{name}" for name in RunRow._fields)
    row = connection.execute(
        f"SELECT {columns} FROM run JOIN stage ON stage.run = run.key"  # noqa: S608 - names of our own columns
        " WHERE stage.name = ? AND stage.result <> 'skipped' ORDER BY run.id DESC LIMIT 1",
        (stage,),
    ).fetchone()
    if row is None:
        return ()
    run = read_run(row)
    return tuple((run, found) for found in stages(connection, run.id) if found.name == stage)[-1:]


def has_passed(connection: Connection, stage: str) -> tuple[bool, ...]:
    """Return something when `stage` has ever succeeded, else nothing."""
    found = connection.execute("SELECT 1 FROM stage WHERE name = ? AND result = 'success' LIMIT 1", (stage,)).fetchone()
    return (True,) if found else ()


def steps(connection: Connection, run: str) -> tuple[StepRow, ...]:
    """Return the steps of a run, in order."""
    rows = connection.execute(
        f"SELECT {_STEP} FROM step WHERE run = (SELECT key FROM run WHERE id = ?) ORDER BY position",  # noqa: S608
        (run,),
    )
    found = (StepRow(*row) for row in rows)
    return tuple(
        step._replace(argv=tuple(json.loads(str(step.argv))), lock_wait=bool(step.lock_wait)) for step in found
    )


def units(connection: Connection, run: str) -> tuple[UnitRow, ...]:
    """Return the units of a run, in the order in which they were told."""
    rows = connection.execute(
        f"SELECT {_UNIT} FROM unit WHERE run = (SELECT key FROM run WHERE id = ?) ORDER BY position",  # noqa: S608
        (run,),
    )
    return tuple(UnitRow(*row)._replace(fresh=bool(row[4])) for row in rows)


def notes(connection: Connection, run: str) -> tuple[str, ...]:
    """Return the notes of a run, in order."""
    rows = connection.execute(
        "SELECT text FROM note WHERE run = (SELECT key FROM run WHERE id = ?) ORDER BY position", (run,)
    )
    return tuple(text for (text,) in rows)


def slowest(connection: Connection, limit: int, last: int) -> tuple[CrateCost, ...]:
    """Return the packages that cost most when rebuilt: per run the sum of their units, over runs the median.

    Looks at the `last` runs that rebuilt anything. A check generates no code, whatever Cargo calls its last part.
    """
    rows = connection.execute(
        "SELECT package, group_concat(DISTINCT version), sum(duration_seconds), sum(frontend_seconds),"
        " sum(codegen_seconds) FILTER (WHERE mode <> 'check') FROM unit WHERE fresh = 0 AND duration_seconds > 0 AND run IN ("
        "   SELECT key FROM run WHERE EXISTS (SELECT 1 FROM unit WHERE unit.run = run.key AND fresh = 0)"
        "   ORDER BY id DESC LIMIT ?)"
        " GROUP BY run, package",
        (last,),
    )
    by_package: dict[str, list[Any]] = {}
    for row in rows:
        by_package.setdefault(row[0], []).append(row)
    costs = [_cost(package, found) for package, found in by_package.items()]
    return tuple(sorted(costs, key=lambda cost: (-cost.seconds, cost.package))[:limit])


def usual_seconds(connection: Connection, stage: str, like: RunRow | None, last: int) -> tuple[float, ...]:
    """Return the wall seconds of the `last` successes of `stage`, newest first, that nothing held up.

    With `like`, only runs with the same profile, Cargo, class of machine and CI state.
    """
    same = (like.profile_fingerprint, like.cargo, like.host_class, like.ci) if like else (None,) * 4
    rows = connection.execute(
        "SELECT stage.wall_seconds FROM stage JOIN run ON run.key = stage.run WHERE stage.name = ?"
        " AND stage.result = 'success' AND stage.wall_seconds IS NOT NULL AND stage.lock_wait = 0"
        " AND run.polluted IS NULL AND (? OR (profile_fingerprint IS ? AND cargo IS ? AND host_class IS ? AND ci = ?))"
        " ORDER BY run.id DESC LIMIT ?",
        (stage, like is None, *same, last),
    )
    return tuple(seconds for (seconds,) in rows)


def insert_cycle(connection: Connection, cycle: CycleRow) -> int:
    """Write one cycle of a watch, and return its key."""
    values = _values(cycle)
    return connection.execute(f"INSERT INTO cycle ({_CYCLE}) VALUES ({_marks(values)})", values).lastrowid or 0  # noqa: S608 - names of our own columns


def cycles(connection: Connection, since: float) -> tuple[CycleRow, ...]:
    """Return the cycles that began at `since` (seconds since the epoch) or later, newest first."""
    rows = connection.execute(
        f"SELECT {_CYCLE} FROM cycle WHERE started_at >= ? ORDER BY started_at DESC, key DESC",  # noqa: S608
        (since,),
    )
    return tuple(CycleRow(*row) for row in rows)


def last_cycle(connection: Connection) -> tuple[CycleRow, ...]:
    """Return the cycle that began last; nothing when there is none."""
    rows = connection.execute(f"SELECT {_CYCLE} FROM cycle ORDER BY started_at DESC, key DESC LIMIT 1")  # noqa: S608
    return tuple(CycleRow(*row) for row in rows)


def prune(connection: Connection, keep: int) -> int:
    """Remove all but the last `keep` runs, and the fresh units of all but the last 20; return how many runs went.

    Ten times as many cycles stay: there is one for each edit, and it is small. A fresh unit says nothing that the
    counts of its stage do not; rebuilt ones stay as long as their run.
    """
    gone = max(0, count(connection)[0] - max(1, keep))
    if gone:
        connection.execute("DELETE FROM run WHERE key IN (SELECT key FROM run ORDER BY id LIMIT ?)", (gone,))
    # Looking at a few runs is enough: each run is looked at here once more before it leaves the window.
    connection.execute(
        "DELETE FROM unit WHERE fresh = 1 AND run IN (SELECT key FROM run ORDER BY id DESC LIMIT ? OFFSET ?)",
        (_RUNS_WITH_FRESH_UNITS, _RUNS_WITH_FRESH_UNITS),
    )
    # Keys of cycles have no gaps: only the oldest ones ever go.
    connection.execute(
        "DELETE FROM cycle WHERE key <= (SELECT max(key) FROM cycle) - ?", (_CYCLES_FOR_A_RUN * max(1, keep),)
    )
    return gone


def median(values: Iterable[float]) -> float | None:
    """Return the median, or None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _cost(package: str, rows: Sequence[Any]) -> CrateCost:
    versions = sorted({version for row in rows for version in str(row[1]).split(",")})
    return CrateCost(
        package=package,
        versions=tuple(versions),
        seconds=median(row[2] for row in rows) or 0.0,
        frontend_seconds=median(row[3] for row in rows if row[3] is not None),
        codegen_seconds=median(row[4] for row in rows if row[4] is not None),
        runs=len(rows),
    )


def _insert_many(connection: Connection, into: str, rows: Iterable[Sequence[Any]], key: int | None) -> None:
    numbered = [(key, position, *row) for position, row in enumerate(rows)]
    if numbered:
        connection.executemany(f"INSERT INTO {into} VALUES ({_marks(numbered[0])})", numbered)  # noqa: S608 - names of our own columns


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _values(row: Iterable[object]) -> list[object]:
    return [_plain(value) for value in row]


def _stage_values(stage: StageRow) -> list[object]:
    return _values(stage[:-1])


def _cache_values(stage: str, cache: CacheRow) -> tuple[object, ...]:
    not_cached = {bounded(reason, 200): count for reason, count in list(cache.not_cached.items())[:50]}
    return (bounded(stage), cache.hits, cache.misses, cache.errors, json.dumps(not_cached), bounded(cache.location))


def _plain(value: object) -> object:
    if type(value) is str:
        return bounded(value) if len(value) > 40 or not value.isascii() else value
    return json.dumps(bounded_list(value)) if isinstance(value, tuple) else value


def read_run(row: Any) -> RunRow:
    """Return the run of a row that has its columns in order."""
    run = RunRow(*row)
    return run._replace(ci=bool(run.ci), dirty=None if run.dirty is None else bool(run.dirty))


def read_stage(row: Any, caches: dict[str, CacheRow]) -> StageRow:
    """Return the stage of a row that has its columns in order, with what its cache did."""
    stage = StageRow(*row)
    return stage._replace(
        packages=tuple(json.loads(str(stage.packages))),
        lock_wait=bool(stage.lock_wait),
        cache=caches.get(stage.name),
    )
