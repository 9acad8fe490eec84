"""Whole directory trees: what is in them, with stamps, and the digests of many files at once."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, NamedTuple

__all__ = ["Kind", "Status", "digests", "status_of", "walk"]

Kind = Literal["file", "program", "folder", "link", "other"]
"""A program is a file that its owner may execute; `other` is a device, a socket or a pipe."""
_CHUNK = 1 << 20
_BATCH = 32


class Status(NamedTuple):
    """What the file system says of one name, symlinks not followed. Times are in nanoseconds."""

    kind: Kind
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def walk(
    top: str, enter: Callable[[str, Mapping[str, Status]], Mapping[str, Status] | None]
) -> Iterator[tuple[str, Mapping[str, Status]]]:
    """Yield each directory below `top`, itself included, with what is in it; symlinks are not followed.

    `enter` takes the path of a directory and all that is in it, and returns what counts, or None for a directory that
    does not count at all. A directory that cannot be read is yielded as if it were empty.
    """
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        found = enter(directory, _listing(directory))
        if found is None:
            continue
        yield directory, found
        waiting += [f"{directory}{os.sep}{name}" for name, status in found.items() if status.kind == "folder"]


def status_of(path: str) -> Status | None:
    """Return the status of `path`, or None when there is nothing or it may not be reached."""
    try:
        return _status(os.lstat(path))
    except (OSError, ValueError):
        return None


def digests(expected: Mapping[str, Status], threads: int) -> dict[str, str]:
    """Return the BLAKE2b-128 of each file whose status is still what is expected, as 32 hexadecimal digits.

    What cannot be read, and what changes meanwhile, is left out.
    """
    found: dict[str, str] = {}
    files = list(expected.items())
    batches = iter([files[start : start + _BATCH] for start in range(0, len(files), _BATCH)])
    turn = threading.Lock()

    def work() -> None:
        while True:
            with turn:
                batch = next(batches, None)
            if batch is None:
                return
            for path, status in batch:
                digest = _digest(path, status)
                if digest is not None:
                    found[path] = digest

    extra = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, len(files) // _BATCH + 1) - 1)]
    for thread in extra:
        thread.start()
    work()
    for thread in extra:
        thread.join()
    return found


def _listing(directory: str) -> dict[str, Status]:
    found: dict[str, Status] = {}
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    found[entry.name] = _status(entry.stat(follow_symlinks=False))
                except OSError:
                    continue  # it went away meanwhile
    except OSError:
        pass
    return found


def _status(found: os.stat_result) -> Status:
    mode = found.st_mode
    kind: Kind = "other"
    if stat.S_ISREG(mode):
        kind = "program" if mode & stat.S_IXUSR else "file"
    elif stat.S_ISDIR(mode):
        kind = "folder"
    elif stat.S_ISLNK(mode):
        kind = "link"
    return Status(kind, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _digest(path: str, expected: Status) -> str | None:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    try:
        if _status(os.fstat(handle)) != expected:
            return None
        content = hashlib.blake2b(digest_size=16)
        while chunk := os.read(handle, _CHUNK):
            content.update(chunk)
        return content.hexdigest() if _status(os.fstat(handle)) == expected else None
    except OSError:
        return None
    finally:
        os.close(handle)
