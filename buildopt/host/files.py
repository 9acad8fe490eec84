"""Files: every read and write of buildopt goes through one `Files`, so that a test can refuse or interrupt any of them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from buildopt.errors import MachineRefused, UnsafePath

__all__ = ["Files", "digest", "inside"]

_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def digest(content: bytes) -> str:
    """Return the BLAKE2b-128 of `content` as 32 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def inside(root: Path, relative: str | Path) -> Path:
    """Return `root / relative` after checking that it cannot leave `root`, not even through a symlink.

    Raises UnsafePath for an absolute path, a `..`, a NUL or newline, a name that no file can have, and for a symlink
    on the way or at the end; MachineRefused when that cannot be found out.
    """
    text = os.fspath(relative)
    parts = Path(text).parts
    if not parts or os.path.isabs(text) or ".." in parts or any(c in text for c in "\0\n\r"):
        raise UnsafePath(f"path {text!r} is not inside the workspace root")
    path = root
    for part in parts:
        path = path / part
        try:
            if stat.S_ISLNK(os.lstat(path).st_mode):
                raise UnsafePath(f"{path} is a symlink, which buildopt never writes through")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except UnicodeEncodeError as error:
            raise UnsafePath(f"path {text!r} is not a name that a file can have") from error
        except OSError as error:
            raise _refused("reach", path, error) from error
    return path


class Files:
    """The file system."""

    def read(self, path: Path | str) -> bytes | None:
        """Return the content of a regular file, or None when there is none.

        Raises MachineRefused when it exists and cannot be read.
        """
        try:
            with open(path, "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _refused("read", path, error) from error

    def mode(self, path: Path) -> int | None:
        """Return the permission bits of `path`, or None when it does not exist.

        Raises MachineRefused when a directory on the way may not be entered.
        """
        try:
            return stat.S_IMODE(path.lstat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _refused("reach", path, error) from error

    def stamp(self, path: Path | str) -> tuple[int, int, int] | None:
        """Return what changes when a file is replaced (size, mtime in ns, inode), or None when there is none."""
        try:
            status = os.stat(path)
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns, status.st_ino

    def write_new(self, path: Path, content: bytes, mode: int = 0o644, *, flush: bool = True) -> None:
        """Create `path` (which must not exist) with `content`, flushed to the disk unless `flush` is off.

        Raises MachineRefused, and leaves no file, when the disk is full or the place is not writable.
        """
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), mode)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fchmod(file.fileno(), mode)
                    if flush:
                        os.fsync(file.fileno())
            except BaseException:
                with contextlib.suppress(OSError):
                    path.unlink()
                raise
        except OSError as error:
            raise _refused("write", path, error) from error

    def write(self, path: Path, content: bytes, mode: int = 0o644, *, flush: bool = True) -> None:
        """Replace `path` with `content` in one step: a reader sees the old bytes or the new ones, never a part.

        Without `flush` that does not hold after a power failure; it is for what is only kept to save time.
        """
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self.remove(temporary)
        self.write_new(temporary, content, mode, flush=flush)
        try:
            self.replace(temporary, path, flush=flush)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise

    def append(self, path: Path, content: bytes) -> None:
        """Add `content` at the end of `path`, which is created where it is not there.

        Raises MachineRefused when the disk is full or the place is not writable; what was there before stays.
        """
        try:
            with open(path, "ab", buffering=0) as file:
                file.write(content)
        except OSError as error:
            raise _refused("write", path, error) from error

    @contextlib.contextmanager
    def scratch(self, content: bytes) -> Iterator[Path]:
        """Yield a file with `content` in a directory of its own, for the length of a with block.

        Raises MachineRefused when the system's directory for temporary files is full or not writable.
        """
        import tempfile  # noqa: PLC0415 - 3 ms, and few verbs need it

        try:
            directory = tempfile.TemporaryDirectory(prefix="buildopt-")
        except OSError as error:
            raise _refused("write", Path(tempfile.gettempdir()), error) from error
        with directory as name:
            self.write_new(Path(name) / "content", content, flush=False)
            yield Path(name) / "content"

    def replace(self, source: Path, target: Path, *, flush: bool = True) -> None:
        """Rename `source` over `target` and flush the directory; on an error both stay as they were."""
        try:
            os.replace(source, target)
            if flush:
                self._flush_directory(target.parent)
        except OSError as error:
            raise _refused("write", target, error) from error

    def duplicate(self, source: Path, target: Path) -> None:
        """Give the file `source` the second name `target` (which must not exist).

        A hard link takes no space; where the file system has none, `target` is a copy.
        """
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise _refused("write", target, error) from error
            self.write_new(target, self.read(source) or b"", self.mode(source) or 0o644)

    def remove(self, path: Path) -> None:
        """Remove the file `path`; nothing happens when there is none."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _refused("remove", path, error) from error

    def touch(self, path: Path | str) -> None:
        """Stamp `path` (a symlink itself, not what it leads to) with the time that its file system has now.

        Nothing happens when it is gone. Raises MachineRefused where the stamp may not be changed.
        """
        self._stamp(path, None)

    def set_mtime(self, path: Path | str, mtime_ns: int) -> None:
        """Stamp `path` (a symlink itself) with a time in nanoseconds, which the file system may round; else as `touch`."""
        self._stamp(path, (mtime_ns, mtime_ns))

    def _stamp(self, path: Path | str, times: tuple[int, int] | None) -> None:
        try:
            if times is None:
                os.utime(path, follow_symlinks=False)
            else:
                os.utime(path, ns=times, follow_symlinks=False)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _refused("stamp", path, error) from error

    def make_directory(self, path: Path) -> None:
        """Create `path` and its parents; nothing happens when it exists."""
        if path.is_dir():
            return
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._flush_directory(path.parent)
        except OSError as error:
            raise _refused("create", path, error) from error

    def remove_empty_directory(self, path: Path) -> None:
        """Remove `path` if it is an empty directory; anything else stays."""
        with contextlib.suppress(OSError):
            path.rmdir()

    def names(self, path: Path | str) -> list[str]:
        """Return the sorted names in the directory `path`; empty when there is no such directory."""
        try:
            return sorted(os.listdir(path))
        except OSError:
            return []

    def folders(self, path: Path | str) -> list[str]:
        """Return the sorted names of the directories in the directory `path`, symlinks left out."""
        try:
            with os.scandir(path) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            return []

    @contextlib.contextmanager
    def lock(self, path: Path, *, wait: bool = True) -> Iterator[bool]:
        """Hold an exclusive lock on the file `path` for the length of a with block; waits for its turn.

        With `wait=False` it does not, and yields whether it got the lock. A process that dies loses its lock.
        """
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        except OSError as error:
            raise _refused("lock", path, error) from error
        try:
            yield _lock(handle, wait=wait)
        finally:
            os.close(handle)

    def _flush_directory(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _lock(handle: int, *, wait: bool) -> bool:
    try:
        import fcntl  # noqa: PLC0415 - absent on Windows, where syncs are not locked against each other
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refused(verb: str, path: Path | str, error: OSError) -> MachineRefused:
    reason = error.strerror or str(error)
    hint = None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some disk space and run the same command again; no half-written file was left"
    return MachineRefused(f"cannot {verb} {path}: {reason}", hint=hint)
