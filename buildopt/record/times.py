"""How long tests and stages took: the last few samples of each, by class of machine. Functions of an open connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from buildopt.record.rows import TimeRow

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["forget", "insert", "select", "stage_seconds"]

_TEST_SAMPLES = 5
_STAGE_SAMPLES = 50
_MOST_TIMED = 200_000
_UNSEEN_MILLISECONDS = 14 * 24 * 3600 * 1000  # a test that no run had for two weeks is taken for removed


def insert(connection: Connection, rows: Iterable[TimeRow]) -> int:
    """Add samples, leave out what is there already, keep the newest of each; return how many rows were given.

    Adding the same rows twice, or in another order, leads to the same record.
    """
    sound = [row for row in rows if row.is_sound]
    names = sorted({row[:3] for row in sound})
    connection.executemany("INSERT OR IGNORE INTO timed (host_class, binary, name) VALUES (?, ?, ?)", names)
    connection.executemany(
        "INSERT OR IGNORE INTO sample SELECT key, ?, ? FROM timed WHERE host_class = ? AND binary = ? AND name = ?",
        ((row.at, row.seconds, *row[:3]) for row in sound),
    )
    connection.executemany(
        "DELETE FROM sample WHERE timed = (SELECT key FROM timed WHERE host_class = ?1 AND binary = ?2 AND name = ?3)"
        " AND (at, seconds) <= (SELECT at, seconds FROM sample WHERE timed ="
        "   (SELECT key FROM timed WHERE host_class = ?1 AND binary = ?2 AND name = ?3)"
        "   ORDER BY at DESC, seconds DESC LIMIT 1 OFFSET ?4)",
        ((*name, _TEST_SAMPLES if name[1] else _STAGE_SAMPLES) for name in names),
    )
    return len(sound)


def select(connection: Connection) -> tuple[TimeRow, ...]:
    """Return all samples, sorted."""
    rows = connection.execute(
        "SELECT host_class, binary, name, at, seconds FROM timed JOIN sample ON timed.key = sample.timed ORDER BY 1, 2, 3, 4, 5"
    )
    return tuple(TimeRow(*row) for row in rows)


def stage_seconds(connection: Connection, stages: Sequence[str], host_class: str, last: int) -> tuple[float, ...]:
    """Return what the `last` successes of any of `stages` took on machines of `host_class`, newest first."""
    rows = connection.execute(
        "SELECT seconds FROM timed JOIN sample ON timed.key = sample.timed WHERE host_class = ? AND binary = ''"  # noqa: S608 - question marks
        f" AND name IN ({', '.join('?' * len(stages))}) ORDER BY at DESC, seconds DESC LIMIT ?",
        (host_class, *stages, last),
    )
    return tuple(seconds for (seconds,) in rows)


def forget(connection: Connection) -> None:
    """Remove tests that have long not been seen, and the oldest beyond what is kept at all."""
    connection.execute(
        "WITH seen AS (SELECT timed, max(at) AS newest FROM sample GROUP BY timed),"
        " classes AS (SELECT host_class, max(newest) AS newest FROM seen JOIN timed ON key = timed WHERE binary <> '' GROUP BY 1)"
        " DELETE FROM timed WHERE binary <> '' AND coalesce((SELECT newest FROM seen WHERE timed = key), 0)"
        " < (SELECT newest FROM classes WHERE classes.host_class = timed.host_class) - ?",
        (_UNSEEN_MILLISECONDS,),
    )
    connection.execute(
        "DELETE FROM timed WHERE key IN (SELECT timed FROM sample GROUP BY timed"
        " ORDER BY max(at) DESC, timed DESC LIMIT -1 OFFSET ?)",
        (_MOST_TIMED,),
    )
