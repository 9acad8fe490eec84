"""The files that are watched, and the content of each: an edit is content that differs, nothing else."""

from __future__ import annotations

import os
import stat
import struct
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from buildopt.errors import BuildoptError
from buildopt.host import Host
from buildopt.host.files import digest
from buildopt.watch.ignored import Ignored
from buildopt.watch.places import Places, Wanted, is_temporary, parents, within

__all__ = ["Edit", "Tree"]

_LARGEST_BYTES = 64 << 20  # what is larger counts by its stamp
_AT_ONCE = 50  # of single directories; for more than these, everything is compared
_FRESH_NS = 2_500_000_000  # a later write in the same tick of a clock leaves the stamp as it is; FAT's ticks take 2 s

# What is known of a file, in one small value, for there are many: size, mtime and inode; ctime, which only says that it is
# worth another look; then the 16 bytes of the digest, once the file was read.
_pack = struct.Struct("<qqQq").pack
_SAME, _STAMP, _EMPTY = 24, 32, bytes(8)


class Edit(NamedTuple):
    """A file whose content has changed."""

    path: str
    """Relative to the workspace root, with `/`; a file outside of it begins with `../`."""
    before: str | None
    """Digest of the content; `stamp:…` where it was not read; None where there was no file."""
    after: str | None


class _Folder(NamedTuple):
    files: dict[str, bytes]
    """By name, what is known of the files that count."""
    deep: bool
    """Whether the directories in it are watched too."""


class Tree:
    """The watched files of a workspace, with their content. Belongs to one thread.

    A file that is missing, or empty, may just be being saved: for `missing_seconds`, or `empty_seconds`, that is no edit.
    """

    def __init__(
        self, host: Host, root: Path, places: Places, *, missing_seconds: float = 0.0, empty_seconds: float = 0.0
    ) -> None:
        self._host = host
        self._root = os.path.abspath(root)
        self._wanted = Wanted(self._root, places)
        self._ignored = Ignored(host, self._root, self._wanted)
        self._folders: dict[str, _Folder] = {}
        self._fresh: set[str] = set()
        self._missing_seconds = missing_seconds
        self._empty_seconds = empty_seconds
        self._doubts: dict[str, float] = {}
        self._unread: deque[str] = deque()  # directories
        self._next: list[str] = []  # files of one of them
        self._directories: list[str] | None = None
        self.unreadable: dict[str, str] = {}
        """Directories that could not be listed, and why."""

    @property
    def files(self) -> int:
        """Return how many files count."""
        return sum(len(folder.files) for folder in self._folders.values())

    @property
    def unread(self) -> bool:
        """Whether there are files whose content was not read yet."""
        return bool(self._next or self._unread)

    def scan(self) -> None:
        """List all files, with their stamps; `read_ahead` reads what is in them."""
        asking = threading.Thread(target=self._ignored.learn, name="ignored files", daemon=True)
        asking.start()
        found = self._walk(None)
        asking.join()
        if any(path in found or _has(found, path) for path in self._ignored.paths):
            found = self._walk(None)
        self._folders = found
        self._directories = None
        self._unread = deque(found)

    def read_ahead(self, seconds: float) -> tuple[Edit, ...]:
        """Read files that were not read yet, for about so many seconds; return those that have changed since `scan`."""
        until = self._host.monotonic() + seconds
        edits: list[Edit] = []
        while self.unread:
            if not self._next:
                directory = self._unread.popleft()
                unread = (name for name, known in self._known(directory).items() if len(known) == _STAMP)
                self._next = [os.path.join(directory, name) for name in unread]
                continue
            path = self._next.pop()
            if not self._is_new(path):
                edits += self._compare(path)
            if self._host.monotonic() > until:
                break
        return tuple(edits)

    def directories(self) -> list[str]:
        """Return the directories to watch, each for itself: those of the files, and those that would show a missing one."""
        if self._directories is None:
            found = self._folders.keys() - self.unreadable.keys()
            seen: set[str] = set()
            rooted = os.path.isdir(self._root)
            for start in (*self._wanted.starts, self._root):
                inside = rooted and within(start, self._root)
                for path in (start, *parents(start)):
                    if path in seen or (inside and not within(path, self._root)):
                        break
                    seen.add(path)
                    there = path in self._folders or os.path.isdir(path)
                    if there and path not in self.unreadable:
                        found.add(path)
                    if there and not inside:
                        break
            self._directories = sorted(found)
        return self._directories

    def doubtful(self) -> set[str]:
        """Return the files that are to be looked at again, for they may just be being saved."""
        return set(self._doubts)

    def look(self, paths: Iterable[str]) -> tuple[Edit, ...]:
        """Return what has changed in `paths` (absolute; files or directories, which stand for all in them)."""
        folders: set[str] = set()
        files: list[str] = []
        for path in sorted(set(paths)):
            parent, name = os.path.split(path)
            if name == ".gitignore":
                self._ignored.learn()
                folders.add(self._root)
            elif path in self._folders or path in self._wanted.above:
                folders.add(path)
            elif parent in self._folders and self._may_count(parent, name, path):
                if os.path.isdir(path) and (name in self._wanted.single.get(parent, ()) or not os.path.islink(path)):
                    folders.add(path)
                elif not is_temporary(name) or self._wanted.is_single(path):
                    files.append(path)
        return self._look(folders, files)

    def rescan(self) -> tuple[Edit, ...]:
        """Compare all files with what is known of them, by their stamps, and return what has changed."""
        return self._differences(None)

    def move_to(self, places: Places) -> tuple[Edit, ...]:
        """Watch other places from now on; return what has changed in those that stay."""
        before, self._wanted = self._wanted, Wanted(self._root, places)
        self._ignored = Ignored(self._host, self._root, self._wanted)
        self._ignored.learn()
        return self._differences(None, before)

    def _look(self, folders: set[str], files: list[str]) -> tuple[Edit, ...]:
        edits: list[Edit] = []
        for folder in self._outermost(folders):
            edits += self._differences(folder)
        self._ignored.ask(path for path in files if self._is_new(path) and os.path.isfile(path))
        for path in files:
            if path not in self._ignored.paths or not self._is_new(path):
                edits += self._compare(path)
        return tuple(edits)

    def _outermost(self, folders: set[str]) -> list[str | None]:
        """Return the directories to compare for all of `folders`; None for everything."""
        found: list[str | None] = []
        last = None
        for folder in sorted(folders, key=lambda path: path.split(os.sep)):
            if last is None or not within(folder, last):
                found.append(folder)
                last = folder
        return [None] if len(found) > _AT_ONCE or any(within(self._root, folder) for folder in folders) else found

    def _differences(self, below: str | None, before: Wanted | None = None) -> tuple[Edit, ...]:
        """Walk again and compare; with `before`, what was not watched then is only taken in."""
        self._directories = None
        found = self._walk(below)
        if self._ignored.ask(self._new(found)):
            found = self._walk(below)
        edits: list[Edit] = []
        for directory in [path for path in self._folders if below is None or within(path, below)]:
            there = found.get(directory)
            prefix = os.path.join(directory, "")
            for name in self._folders[directory].files.keys() - (there.files if there is not None else ()):
                path = prefix + name
                if there is None or not self._is_being_saved(path, self._missing_seconds):
                    edits += self._drop(path)
            if there is None:
                del self._folders[directory]
        for directory, folder in found.items():
            prefix = os.path.join(directory, "")
            old = self._folders.setdefault(directory, folder._replace(files={}))
            self._folders[directory] = _Folder(old.files, folder.deep)
            for name, stamp in folder.files.items():
                known = old.files.get(name)
                path = prefix + name
                if known is None and before is not None and not before.covers(path):
                    old.files[name] = stamp
                    self._unread.append(directory)
                elif known is None or known[:_STAMP] != stamp or path in self._fresh:
                    edits += self._compare(path)
        return tuple(edits)

    def _walk(self, below: str | None) -> dict[str, _Folder]:
        """List the files that count, with their stamps; `below` limits that to one directory."""
        found: dict[str, _Folder] = {}
        wanted = self._wanted
        deep = [path for path in wanted.trees if below is None or within(path, below)]
        if below is not None and wanted.is_in_tree(below):
            deep.append(below)
        for directory in {*wanted.flat, *wanted.single}:
            if below is None or within(directory, below):
                self._list(directory, found, deep, enter=False)
        while deep:
            self._list(deep.pop(), found, deep, enter=True)
        return found

    def _list(self, directory: str, found: dict[str, _Folder], deep: list[str], *, enter: bool) -> None:
        """List one directory into `found`, and the directories in it that are watched too into `deep`."""
        if directory in found and (found[directory].deep or not enter):
            return
        single = self._wanted.single.get(directory, ())
        whole = enter or directory in self._wanted.flat
        files: dict[str, bytes] = {}
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    name = entry.name
                    named = name in single
                    if _is_folder(entry, named):
                        if named or (enter and not self._is_out(name, entry.path)):
                            deep.append(entry.path)
                    elif named or (whole and not is_temporary(name) and not self._is_out(name, entry.path)):
                        stamp = _entry_stamp(entry)
                        if stamp is not None:
                            files[name] = stamp
        except (FileNotFoundError, NotADirectoryError):
            self.unreadable.pop(directory, None)
            return
        except OSError as error:
            self.unreadable[directory] = error.strerror or str(error)
            files = {name: known[:_STAMP] for name, known in self._known(directory).items()}
        else:
            self.unreadable.pop(directory, None)
        found[directory] = _Folder(files, enter)

    def _is_out(self, name: str, path: str) -> bool:
        wanted = self._wanted
        if name in wanted.never_names or path in wanted.never_paths or path in self._ignored.paths:
            return True
        return not name.isascii() and not _is_text(name)

    def _may_count(self, parent: str, name: str, path: str) -> bool:
        if name in self._wanted.single.get(parent, ()) or name in self._known(parent):
            return True
        return (self._folders[parent].deep or parent in self._wanted.flat) and not self._is_out(name, path)

    def _known(self, directory: str) -> dict[str, bytes]:
        folder = self._folders.get(directory)
        return folder.files if folder is not None else {}

    def _is_new(self, path: str) -> bool:
        parent, name = os.path.split(path)
        return name not in self._known(parent) and name not in self._wanted.single.get(parent, ())

    def _new(self, found: dict[str, _Folder]) -> Iterator[str]:
        """Yield what was found and is not known: git has to be asked for it."""
        for directory, folder in found.items():
            if directory not in self._folders and directory not in self._wanted.starts:
                yield directory
            for name in folder.files.keys() - self._known(directory).keys():
                if name not in self._wanted.single.get(directory, ()):
                    yield os.path.join(directory, name)

    def _compare(self, path: str) -> tuple[Edit, ...]:
        """Read a file and compare it with what is known of it."""
        parent, name = os.path.split(path)
        files = self._known(parent)
        known = files.get(name)
        now = self._read(path, known)
        settled = now is not None and (now[:8] != _EMPTY or (known is not None and known[:8] == _EMPTY))
        patience = self._missing_seconds if now is None else self._empty_seconds
        if not settled and not (known is None and now is None) and self._is_being_saved(path, patience):
            return ()
        self._doubts.pop(path, None)
        if now is None or parent not in self._folders:
            return self._drop(path)
        files[name] = now
        if known is not None and _equal(known, now):
            return ()
        return (Edit(self._relative(path), None if known is None else _token(known), _token(now)),)

    def _is_being_saved(self, path: str, patience: float) -> bool:
        now = self._host.monotonic()
        return now - self._doubts.setdefault(path, now) < patience

    def _drop(self, path: str) -> tuple[Edit, ...]:
        parent, name = os.path.split(path)
        known = self._known(parent).pop(name, None)
        self._fresh.discard(path)
        self._doubts.pop(path, None)
        if known is None or not self._wanted.covers(path):
            return ()
        return (Edit(self._relative(path), _token(known), None),)

    def _read(self, path: str, known: bytes | None) -> bytes | None:
        now = None
        for _ in range(3):  # what changes while it is read is read again
            status = _status(path)
            if status is None:
                return None
            now = _stamp(status)
            try:
                content = self._host.files.read(path) if status.st_size <= _LARGEST_BYTES else None
            except BuildoptError:
                content = None
            if content is not None:
                now += bytes.fromhex(digest(content))
            elif known is not None and known[:_SAME] == now[:_SAME]:
                now += known[_STAMP:]
            is_fresh = status.st_mtime_ns > self._host.now() * 1e9 - _FRESH_NS
            (self._fresh.add if is_fresh else self._fresh.discard)(path)
            after = _status(path)
            if after is not None and now.startswith(_stamp(after)):
                break
        return now

    def _relative(self, path: str) -> str:
        if path.startswith(self._root + os.sep):
            return path[len(self._root) + 1 :].replace(os.sep, "/")
        return os.path.relpath(path, self._root).replace(os.sep, "/")


def _has(found: dict[str, _Folder], path: str) -> bool:
    parent, name = os.path.split(path)
    return parent in found and name in found[parent].files


def _status(path: str) -> os.stat_result | None:
    """Return the status of a regular file, also behind a symlink."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _is_folder(entry: os.DirEntry[str], follow: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        return False


def _entry_stamp(entry: os.DirEntry[str]) -> bytes | None:
    """Return the stamp of a regular file; None for anything else, and for what is gone by now."""
    try:
        return _stamp(entry.stat()) if entry.is_file() else None
    except OSError:
        return None


def _stamp(status: os.stat_result) -> bytes:
    return _pack(status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns)


def _equal(known: bytes, now: bytes) -> bool:
    """Return whether the content is the same: by digest where both were read, else by the stamp without its ctime."""
    if len(known) > _STAMP and len(now) > _STAMP:
        return known[_STAMP:] == now[_STAMP:]
    return known[:_SAME] == now[:_SAME]


def _token(known: bytes) -> str:
    return known[_STAMP:].hex() or f"stamp:{known[:_SAME].hex()}"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
