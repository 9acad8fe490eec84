"""How long tests and stages took: the last few samples of each, by class of machine. Functions of an open connection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from buildopt.record.rows import TimeRow

if TYPE_CHECKING:
    from sqlite3 import Connection

__all__ = ["forget", "insert", "select", "stage_times"]

_TEST_SAMPLES = 5
_STAGE_SAMPLES = 50
_MOST_TIMED = 200_000
_OLD_MILLISECONDS = 14 * 24 * 3600 * 1000  # a test that no run had for two weeks is taken for removed


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


def stage_times(
    connection: Connection, stages: Sequence[str], host_class: str, last: int
) -> tuple[tuple[int, float], ...]:
    """Return when the `last` successes of any of `stages` on machines of `host_class` began, and their seconds."""
    rows = connection.execute(
        "SELECT at, seconds FROM timed JOIN sample ON timed = key WHERE host_class = ? AND binary = ''"  # noqa: S608 - question marks
        f" AND name IN ({', '.join('?' * len(stages))}) ORDER BY at DESC, seconds DESC LIMIT ?",
        (host_class, *stages, last),
    )
    return tuple((at, seconds) for at, seconds in rows)


def forget(connection: Connection) -> None:
    """Remove samples of tests that are old beside the newest of their class of machine, and what is beyond all bounds."""
    for host_class, newest in connection.execute(
        "SELECT host_class, max(at) FROM timed JOIN sample ON timed = key WHERE binary <> '' GROUP BY host_class"
    ).fetchall():
        connection.execute(
            "DELETE FROM sample WHERE at < ? AND timed IN (SELECT key FROM timed WHERE host_class = ? AND binary <> '')",
            (newest - _OLD_MILLISECONDS, host_class),
        )
    connection.execute("DELETE FROM timed WHERE NOT EXISTS (SELECT 1 FROM sample WHERE timed = key)")
    (count,) = connection.execute("SELECT count(*) FROM timed").fetchone()
    if count > _MOST_TIMED:
        connection.execute(
            "DELETE FROM timed WHERE key IN (SELECT key FROM timed JOIN sample ON timed = key GROUP BY key"
            " ORDER BY max(at), host_class, binary, name LIMIT ?)",
            (count - _MOST_TIMED,),
        )
