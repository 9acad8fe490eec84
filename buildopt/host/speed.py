"""How slow this machine is while something runs on it: a known piece of work beside it, again and again.

A neighbour on the machine takes no CPU time of a build and yet makes it longer: caches, memory and the halves of a core are shared.
The known work becomes longer with it. A walk through memory follows a compiler more closely than arithmetic, copying or parsing do.
"""

from __future__ import annotations

import threading
import time
from functools import cache
from random import Random
from types import TracebackType

__all__ = ["Speed"]

_EVERY_SECONDS = 0.04
_STEPS = 3000  # of a walk: a millisecond, so that it takes 3 % of one processor
_PLACES = 1 << 19  # 20 MB with their numbers: more than the cache of a core
_FEWEST = 60  # in less time, a walk on one processor and a build on another meet different neighbours
_STRIDE = 12_347


class Speed:
    """A with block during which a thread times the known work."""

    def __init__(self) -> None:
        self.cpu_seconds = 0.0
        """What the known work took, all together."""
        self._walks = 0
        self._places = _places()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._walk, name="speed", daemon=True)

    @property
    def unit_seconds(self) -> float | None:
        """The CPU seconds of one piece of the known work, on average; None where the block was too short to say."""
        return self.cpu_seconds / self._walks if self._walks >= _FEWEST else None

    def __enter__(self) -> Speed:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, after the piece that has begun."""
        self._end.set()
        self._thread.join()

    def _walk(self) -> None:
        places, place = self._places, 0
        while not self._end.wait(_EVERY_SECONDS):
            began = time.thread_time()
            for _ in range(_STEPS):
                place = places[place]
            self.cpu_seconds += time.thread_time() - began
            self._walks += 1
            place = (place + _STRIDE) % _PLACES


@cache
def _places() -> list[int]:
    return Random(0).sample(range(_PLACES), _PLACES)  # noqa: S311 - nothing secret
