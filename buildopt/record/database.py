"""The record file: opened, brought to the format of today, set aside when it is damaged. The home of sqlite3."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.record.schema import FORMAT, STEPS, TABLES

__all__ = ["Database"]

T = TypeVar("T")

_BUSY_SECONDS = 5.0
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NOT_WRITABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}


class _Damaged(Exception):
    """The file is not a record that can be read."""


class _Newer(Exception):
    """The file has a format that this buildopt does not know."""


class Database:
    """The record file at `path`. Nothing here raises: what goes wrong ends up in `note`, and the run goes on.

    Threads may share it: they take turns.
    """

    def __init__(self, host: Host, path: Path) -> None:
        self.note: str | None = None
        self.writable = True
        self._host = host
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._given_up = False
        self._turn = threading.Lock()

    def read(self, query: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Return what `query` finds, or `otherwise` when there is no file or it cannot be read."""
        with self._turn:
            self._let_go_of_a_lost_file()
            if self._connection is None and not self._path.exists():
                return otherwise
            return self._use(query, otherwise)

    def write(self, change: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Make `change` in one transaction, creating the file where there is none; `otherwise` when that failed."""

        def transaction(connection: sqlite3.Connection) -> T:
            with _transaction(connection):
                return change(connection)

        with self._turn:
            self._let_go_of_a_lost_file()
            return self._use(transaction, otherwise) if self.writable else otherwise

    @property
    def usable(self) -> bool:
        """Whether the file can be read."""
        return not self._given_up

    def close(self) -> None:
        """Release the file."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _use(self, action: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        for last_attempt in (False, True):
            if self._given_up:
                return otherwise
            try:
                if self._connection is None:
                    self._connection = self._open()
                    self._file = _identity(self._path)
                return action(self._connection)
            except _Newer as error:
                self._give_up(str(error))
            except MachineRefused as error:
                self._give_up(f"nothing is recorded: {error.message}")
            except (sqlite3.Error, _Damaged, OSError, ValueError, OverflowError, TypeError) as error:
                if last_attempt or not _may_be_damage(error):
                    self._refused(error)
                else:
                    self._set_aside()
        return otherwise

    def _let_go_of_a_lost_file(self) -> None:
        """Close a file that is no longer at its path: removed (`git clean`), or set aside by another process.

        SQLite would go on writing into it, and say nothing.
        """
        if self._connection is not None and self._file != _identity(self._path):
            self.close()

    def _give_up(self, note: str) -> None:
        self.note = note
        self._given_up = True
        self.close()

    def _refused(self, error: Exception) -> None:
        """Say why one action failed; the next one may work again (a disk that was full, a lock that was held)."""
        self.note = f"the record {self._path.name} was left as it is: {error}"
        if _code(error) in _NOT_WRITABLE:
            self.writable = False

    def _open(self) -> sqlite3.Connection:
        if not self._path.parent.is_dir():
            self._host.files.make_directory(self._path.parent)
        ignore = self._path.with_name(".gitignore")
        if not ignore.exists():
            with contextlib.suppress(MachineRefused):
                self._host.files.write_new(ignore, b"*\n")
        connection = _connect(self._path)
        try:
            _prepare(connection)
        except sqlite3.Error as error:
            connection.close()
            if _code(error) not in _NOT_WRITABLE:
                raise
            return self._open_read_only(error)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_read_only(self, error: Exception) -> sqlite3.Connection:
        """Open a file that may be read and not written, as in a read-only checkout."""
        self.writable = False
        self.note = f"nothing is recorded: {self._path} cannot be written ({error})"
        connection = _connect(f"{self._path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            readable = _format(connection) == FORMAT
        except BaseException:
            connection.close()
            raise
        if not readable:
            connection.close()
            raise _Newer(f"{self.note}; its format is not the one of this buildopt, so it is not read either")
        return connection

    def _set_aside(self) -> None:
        """Move a damaged file out of the way, unless another process has done so meanwhile."""
        self.close()
        try:
            with self._host.files.lock(self._path.with_name("record.lock")):
                if _is_damaged(self._path):
                    name = _move_aside(self._path)
                    self.note = f"the record was damaged: it was set aside as {name}, and a new one is begun"
        except (MachineRefused, OSError) as error:
            self._give_up(f"nothing is recorded: {self._path} is damaged and cannot be set aside ({error})")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _connect(path: Path | str, *, uri: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=uri)
    connection.text_factory = lambda content: content.decode("utf-8", "replace")
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    found = _format(connection)
    if found > FORMAT:
        raise _Newer(
            f"nothing is recorded: the record has format {found} of a newer buildopt, this one knows {FORMAT}; "
            "upgrade buildopt, or move record.sqlite away"
        )
    if found < FORMAT:
        if found == 0:
            _use_wal(connection)
        _migrate(connection)
    # Waiting for the disk right after a build means waiting for all that the build wrote: 17 to 81 ms measured, against
    # 0.7 ms. What this risks, a file torn by a power cut, is what damaged files are set aside for.
    connection.execute("PRAGMA synchronous = OFF")
    if not _tables(connection) >= TABLES:
        raise _Damaged("tables are missing")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log, which the file remembers. SQLite does not wait for its turn here, so this does."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if _code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _migrate(connection: sqlite3.Connection) -> None:
    """Take the steps from the format of the file to that of today, all of them or none."""
    with _transaction(connection):
        found = _format(connection)
        if found == 0 and _tables(connection):
            raise _Damaged("it has tables that are not those of a record")
        for number, statements in enumerate(STEPS[found:], start=found + 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


def _format(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _may_be_damage(error: Exception) -> bool:
    """Whether it is worth looking through the whole file: a broken schema shows as a plain SQL error, or as no text."""
    return isinstance(error, _Damaged | UnicodeDecodeError) or _code(error) in _DAMAGE | {sqlite3.SQLITE_ERROR}


def _is_damaged(path: Path) -> bool:
    """Look all through the file. Another process may have put a sound one in its place meanwhile."""
    try:
        with contextlib.closing(_connect(path)) as connection:
            found = _format(connection)
            if found < FORMAT:
                _migrate(connection)
            return found <= FORMAT and not (_is_sound(connection) and _schema(connection) == _schema_of_today())
    except (_Damaged, UnicodeDecodeError):
        return True
    except sqlite3.Error as error:
        # An older file whose steps fail is not damaged: its runs wait for a buildopt that can take it further.
        return _code(error) in _DAMAGE or "file format" in str(error)


def _is_sound(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")


def _schema(connection: sqlite3.Connection) -> set[tuple[str, ...]]:
    return set(connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"))


def _schema_of_today() -> set[tuple[str, ...]]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        _migrate(connection)
        return _schema(connection)


def _move_aside(path: Path) -> str:
    number = 1
    while path.with_name(f"{path.name}.damaged-{number}").exists():
        number += 1
    name = f"{path.name}.damaged-{number}"
    for suffix in ("-wal", "-shm"):
        side = path.with_name(path.name + suffix)
        if side.exists():
            side.replace(path.with_name(name + suffix))
    path.replace(path.with_name(name))
    return name
