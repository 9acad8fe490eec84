"""The one door into the engine: other threads put things in, the main thread takes them out."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Inbox"]

T = TypeVar("T")


class Inbox(Generic[T]):
    """A queue with a descriptor that becomes readable when something is in it."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def put(self, item: T) -> None:
        """Put `item` in; any thread may."""
        self._items.append(item)
        with contextlib.suppress(
            OSError
        ):  # the pipe is full: whoever reads it is awake; or closed: nobody reads any more
            os.write(self._write, b"x")

    def take(self) -> list[T]:
        """Return what is in, oldest first, and leave it empty."""
        with contextlib.suppress(BlockingIOError):
            while len(os.read(self._read, 4096)) == 4096:
                pass
        items = []
        while self._items:
            items.append(self._items.popleft())
        return items

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._read

    def close(self) -> None:
        """Release the descriptors; what is put in afterwards is nobody's."""
        read, write, self._read, self._write = self._read, self._write, -1, -1
        os.close(read)
        os.close(write)
