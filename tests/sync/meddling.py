"""A file system that a test interferes with, and trees to compare."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from buildopt.errors import MachineRefused
from buildopt.host import Files, Host

SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
Snapshot = dict[str, tuple[bytes, int] | None]


class Wanted(NamedTuple):
    """What `buildopt.generate.Generated` holds."""

    files: Mapping[str, bytes | None]
    notes: tuple[str, ...] = ()
    gated: tuple[str, ...] = ()


class MeddledFiles(Files):
    """Calls `meddle(number, takes_space)` before, in the middle of and after each operation that changes the disk."""

    def __init__(self, meddle: Callable[[int, bool], None]) -> None:
        self.meddle = meddle
        self.count = 0
        self.after = False

    def _tick(self, takes_space: bool = False, after: bool = False) -> None:
        self.count += 1
        self.after = after
        self.meddle(self.count, takes_space)

    def write_new(self, path: Path, content: bytes, mode: int = 0o644, *, flush: bool = True) -> None:
        self._tick(takes_space=True)
        half = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        os.write(half, content[: len(content) // 2])
        os.close(half)
        try:
            self._tick(takes_space=True)
        finally:
            path.unlink()
        super().write_new(path, content, mode)
        self._tick(after=True)

    def replace(self, source: Path, target: Path, *, flush: bool = True) -> None:
        self._tick()
        super().replace(source, target)
        self._tick(after=True)

    def duplicate(self, source: Path, target: Path) -> None:
        self._tick(takes_space=True)
        super().duplicate(source, target)
        self._tick(after=True)

    def remove(self, path: Path) -> None:
        self._tick()
        super().remove(path)
        self._tick(after=True)

    def make_directory(self, path: Path) -> None:
        if path.is_dir():
            return
        self._tick(takes_space=True)
        super().make_directory(path)
        self._tick(after=True)

    def remove_empty_directory(self, path: Path) -> None:
        self._tick()
        super().remove_empty_directory(path)
        self._tick(after=True)


def full_disk(path: str = "somewhere") -> MachineRefused:
    """Return the error that `Files` raises when the disk is full."""
    error = MachineRefused(f"cannot write {path}: {os.strerror(errno.ENOSPC)}")
    error.__cause__ = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return error


def meddled_host(meddle: Callable[[int, bool], None]) -> Host:
    return Host(files=MeddledFiles(meddle))


def snapshot(root: Path) -> Snapshot:
    """Return every file below `root` with its permission bits, and every directory, but for buildopt's own."""
    found: Snapshot = {}
    for directory, names, files in os.walk(root):
        if Path(directory) == root and ".buildopt" in names:
            names.remove(".buildopt")
        for name in names:
            found[str((Path(directory) / name).relative_to(root))] = None
        for name in files:
            path = Path(directory) / name
            found[str(path.relative_to(root))] = (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    return found


def plant(root: Path, files: Mapping[str, bytes], modes: Mapping[str, int] | None = None) -> Path:
    """Write `files` below `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod((modes or {}).get(name, 0o644))
    return root


BEFORE = {"Cargo.toml": b"[workspace]\r\n", "bin/tool": b"\x00\xff\n", "old/gone": b"bye\n", "untouched": b"as it is\n"}
MODES = {"bin/tool": 0o755, "old/gone": 0o640}
AFTER: dict[str, bytes | None] = {
    "Cargo.toml": b"[workspace]\r\n# more\r\n",
    "bin/tool": b"\x00\xfe",
    "old/gone": None,
    ".cargo/config.toml": b'include = ["buildopt.toml"]\n',
    "new/deep/er/empty": b"",
}
