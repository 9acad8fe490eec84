"""The journal of an apply: everything needed to undo it, on the disk before the first file of the workspace changes.

    sync/lock                one apply, rollback or recovery at a time
    sync/journal             an apply is under way, or was cut short: undo it
    sync/closed              all its edits stand and were accepted: only tidy up
    sync/history/000007      a sync that can be rolled back

The three files have one format: a line of JSON, then the digest of that line. Each comes into being by a rename, so
that a crash leaves either a whole one or none.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

from buildopt.errors import MachineRefused, UnsafePath
from buildopt.host import Host
from buildopt.host.files import digest

__all__ = ["Change", "Journal", "Place", "decode", "encode", "prepare"]

_VERSION = 1


class Change(NamedTuple):
    """One file with its permission bits, before and after. None stands for a file that is not there."""

    path: str
    before: bytes | None
    after: bytes | None
    before_mode: int | None
    after_mode: int | None


class Journal(NamedTuple):
    """All changes of one apply, and the directories it has to do with (relative to the root, outermost first)."""

    kind: Literal["sync", "rollback"]
    number: int
    """Of the history entry that it becomes, or that it rolls back."""
    changes: tuple[Change, ...]
    created: tuple[str, ...]
    """Directories that it creates."""
    vacated: tuple[str, ...] = ()
    """Directories that it removes in the end if they are empty then."""

    def temporary(self, index: int, kind: Literal["new", "old"]) -> str:
        """Return the path, relative to the root and beside its target, of the new or old content of change `index`."""
        name = f".buildopt-{self.number}-{index}.{kind}"
        return Path(self.changes[index].path).with_name(name).as_posix()


class Place(NamedTuple):
    """Where journals and history are kept."""

    directory: Path

    @property
    def lock(self) -> Path:
        """Return the file that is locked while the workspace is being written."""
        return self.directory / "lock"

    @property
    def open(self) -> Path:
        """Return the journal of an apply that is under way."""
        return self.directory / "journal"

    @property
    def closed(self) -> Path:
        """Return the journal of an apply whose edits stand."""
        return self.directory / "closed"

    @property
    def history(self) -> Path:
        """Return the directory of the syncs that can be rolled back."""
        return self.directory / "history"

    def entry(self, number: int) -> Path:
        """Return the file of a history entry."""
        return self.history / f"{number:06d}"

    def numbers(self, host: Host) -> list[int]:
        """Return the numbers of the history entries, oldest first."""
        return [int(name) for name in host.files.names(self.history) if name.isascii() and name.isdigit()]


def prepare(host: Host, state: Path) -> Place:
    """Create what a journal needs below `state`, ignored by git, and return where it is.

    Raises UnsafePath when a part of it is a symlink, MachineRefused when it cannot be created.
    """
    place = Place(state / "sync")
    for directory in (state, place.directory, place.history):
        if directory.is_symlink():
            raise UnsafePath(f"{directory} is a symlink, which buildopt never writes through")
        host.files.make_directory(directory)
    ignore = state / ".gitignore"
    if host.files.mode(ignore) is None:
        host.files.write(ignore, b"*\n")
    return place


def encode(journal: Journal) -> bytes:
    """Return the bytes of a journal file."""
    fields = {
        "version": _VERSION,
        "kind": journal.kind,
        "number": journal.number,
        "changes": [
            [change.path, _text(change.before), _text(change.after), change.before_mode, change.after_mode]
            for change in journal.changes
        ],
        "created": journal.created,
        "vacated": journal.vacated,
    }
    line = json.dumps(fields).encode()
    return line + b"\n" + digest(line).encode() + b"\n"


def decode(content: bytes) -> Journal | None:
    """Return the journal that `content` holds, None when it is damaged.

    Raises MachineRefused for one that a newer buildopt wrote.
    """
    line, _, check = content.partition(b"\n")
    if check != digest(line).encode() + b"\n":
        return None
    try:
        return _journal(json.loads(line))
    except (ValueError, KeyError, TypeError):
        return None


def _journal(fields: dict[str, Any]) -> Journal:
    if fields["version"] != _VERSION:
        raise MachineRefused(
            "the journal of the last sync was written by a newer buildopt", hint="use that version, or remove .buildopt"
        )
    return Journal(
        "rollback" if fields["kind"] == "rollback" else "sync",
        int(fields["number"]),
        tuple(
            Change(str(path), _bytes(before), _bytes(after), _mode(before_mode), _mode(after_mode))
            for path, before, after, before_mode, after_mode in fields["changes"]
        ),
        tuple(map(str, fields["created"])),
        tuple(map(str, fields["vacated"])),
    )


def _mode(value: Any) -> int | None:
    return None if value is None else int(value)


def _text(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode("ascii")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
