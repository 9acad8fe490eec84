"""Whole trees on the disk: copied file by file, measured, removed."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from pathlib import Path

from buildopt.errors import MachineRefused

__all__ = ["copy_entry", "copy_folder", "remove_tree", "tree_bytes"]

_TRIES = 20
_PAUSE_SECONDS = 0.05


def copy_entry(source: Path, target: Path) -> None:
    """Copy a file with its permissions and times, or a symlink as it is; anything else, and what is gone, is passed over.

    Folders on the way are made. Raises MachineRefused when the disk is full or a file cannot be read.
    """
    try:
        mode = os.lstat(source).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISLNK(mode):  # shutil looks at what it leads to, and refuses a named pipe
            os.symlink(os.readlink(source), target)
        else:
            shutil.copy2(source, target, follow_symlinks=False)
    except (FileNotFoundError, FileExistsError):
        return
    except OSError as error:
        raise _refused(source, target, error) from error


def copy_folder(source: Path, target: Path) -> None:
    """Copy a directory and all in it, symlinks as they are, to `target`, which must not exist. Raises as `copy_entry`."""
    try:
        shutil.copytree(source, target, symlinks=True)
    except (OSError, shutil.Error) as error:
        raise _refused(source, target, error) from error


def remove_tree(path: Path) -> None:
    """Remove a directory and all in it, symlinks not followed; nothing happens when it is not there.

    A process that still writes into it is waited for, for a second. Raises MachineRefused when something stays.
    """
    problem: OSError | None = None
    for _ in range(_TRIES):
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            if not os.path.lexists(path):
                return
        except NotADirectoryError:
            path.unlink(missing_ok=True)
        except OSError as error:
            problem = error
            if error.errno in (errno.EACCES, errno.EPERM):
                _open_up(path)
            time.sleep(_PAUSE_SECONDS)
        else:
            return
    raise MachineRefused(f"cannot remove {path}: {problem.strerror if problem else 'it comes back'}")


def tree_bytes(path: Path) -> int:
    """Return how many bytes the files below `path` hold, each counted once however many names it has."""
    seen: set[tuple[int, int]] = set()
    total = 0
    waiting = [os.fspath(path)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                        continue
                    found = entry.stat(follow_symlinks=False)
                    if found.st_nlink == 1 or (found.st_dev, found.st_ino) not in seen:
                        seen.add((found.st_dev, found.st_ino))
                        total += found.st_size
        except OSError:
            continue  # it went away meanwhile
    return total


def _refused(source: Path, target: Path, error: OSError) -> MachineRefused:
    hint = "free some disk space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    return MachineRefused(f"cannot copy {source} to {target}: {error.strerror or error}", hint=hint)


def _open_up(path: Path) -> None:
    """Let the owner write in every folder: a test may have left one that nobody can."""
    for folder, _, _ in os.walk(path):
        try:
            os.chmod(folder, 0o700)
        except OSError:
            continue
