"""The thread that watches: it listens to the kernel, compares what it hears of, and tells what was edited.

Whatever the kernel does not tell is found by comparing everything: after directories came or went, after more than the
kernel may have kept in mind, a moment after the last edit, after the machine slept. Where nothing can be listened to, that
is all there is: polling.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.watch.notices import Notices
from buildopt.watch.places import Places
from buildopt.watch.tree import Edit, Tree

__all__ = ["Watcher"]

_FALL_BACK_SECONDS = 2.0  # between two comparisons where the system cannot notify
_READ_AHEAD_SECONDS = 0.01
_BIG_BATCH = 256
_SMALL_TREE = 20_000  # files that can be compared again in passing, in well under 0.1 s
_SOON_SECONDS = 0.3
_LATER_SECONDS = 3.0
_AFTERWARDS_SECONDS = 1.0
_DRIFT_SECONDS = 2.0  # between the two clocks: the machine slept, or somebody set the time
_MISSING_SECONDS = 0.015  # for which an editor may leave nothing where the file was
_EMPTY_SECONDS = 0.25  # for which a save may have emptied the file and not written it yet
_ROUNDS = 5  # of listening again in one turn because other directories were there by then
_LOST_AT_MOST = 20  # times in a minute
_STOP_SECONDS = 10.0


class Watcher:
    """Watches `places` from `start` to `stop`, and calls `on_edits` with what has changed and `on_note` with troubles.

    Both are called in the thread of the watcher, and must not wait for the thread that calls its methods.
    `poll_seconds` compares all files that often instead of listening to the kernel, for file systems of other machines.
    """

    def __init__(
        self,
        host: Host,
        root: Path,
        places: Places,
        *,
        poll_seconds: float | None,
        on_edits: Callable[[tuple[Edit, ...]], None],
        on_note: Callable[[str], None],
    ) -> None:
        self._host = host
        self._tree = Tree(host, root, places, missing_seconds=_MISSING_SECONDS, empty_seconds=_EMPTY_SECONDS)
        self._poll_seconds = poll_seconds
        self._on_edits = on_edits
        self._on_note = on_note
        self._notices: Notices | None = None
        self._watched: list[str] = []
        self._watched_set: frozenset[str] = frozenset()
        self._fell_back = False
        self._lost: list[float] = []
        self._soon: float | None = None
        self._calm: float | None = None
        self._drift = host.now() - host.monotonic()
        self._noted: set[str] = set()
        self._orders: list[Callable[[], None]] = []
        self._asked = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self.files = 0
        """How many files count."""

    @property
    def directories(self) -> int:
        """Return how many directories are watched."""
        return len(self._watched)

    @property
    def polling(self) -> bool:
        """Whether all files are compared from time to time, because nobody tells what has changed."""
        return self._poll_seconds is not None

    def start(self) -> None:
        """Start to watch, and return when everything is watched: an edit after that is seen."""
        ready = threading.Event()
        self._orders.append(lambda: self._begin(ready))
        self._thread.start()
        ready.wait()

    def move_to(self, places: Places) -> None:
        """Watch other places from now on, and return when they are watched.

        What has changed in places that stay is told; what comes in is not an edit.
        """
        self._order(lambda: self._move(places), wait=True)

    def rescan(self) -> None:
        """Ask for a comparison of all files, and do not wait for it."""
        self._order(self._rescan, wait=False)

    def stop(self) -> None:
        """Stop to watch; no callback is called after that."""
        self._stopping = True
        self._asked.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(_STOP_SECONDS)

    def _order(self, work: Callable[[], None], *, wait: bool) -> None:
        if threading.current_thread() is self._thread:
            work()
            return
        done = threading.Event()

        def order() -> None:
            try:
                work()
            finally:
                done.set()

        self._orders.append(order)
        self._asked.set()
        while wait and self._thread.is_alive() and not done.wait(0.1):
            pass

    def _run(self) -> None:
        try:
            while not self._stopping:
                try:
                    self._turn()
                except Exception as error:  # noqa: BLE001 - a watcher that dies in silence would be the worst of all
                    self._fall_back(f"watching failed ({type(error).__name__}: {error})")
        finally:
            self._close()

    def _turn(self) -> None:
        """Do what was asked, then wait for notices or for the next comparison, and tell what has changed."""
        self._asked.clear()
        while self._orders:
            self._orders.pop(0)()
        if self._stopping:
            return
        self._keep_listening()
        paths = self._wait() | self._tree.doubtful()
        if paths:
            self._look(paths)
        elif self._tree.unread:
            self._tell(self._tree.read_ahead(_READ_AHEAD_SECONDS))
        if self._is_due():
            self._rescan()

    def _wait(self) -> set[str]:
        """Return the paths at which something happened; none after a short time, or when polling."""
        if self._notices is None:
            busy = self._tree.unread or self._tree.doubtful() or not self.polling
            pause = _READ_AHEAD_SECONDS if busy or self._soon is None else self._soon - self._host.monotonic()
            self._asked.wait(max(0.0, pause))
            return set()
        try:
            return self._notices.wait()
        except MachineRefused:
            now = self._host.monotonic()
            self._lost = [*(at for at in self._lost if now - at < 60), now]
            if len(self._lost) > _LOST_AT_MOST:
                raise
            self._listen()
            return set()

    def _look(self, paths: set[str]) -> None:
        edits = self._tree.look(paths)
        self._tell(edits)
        made_again = self._watched_set & paths
        if made_again or self._tree.directories() != self._watched:
            self._listen(made_again)
            self._keep_listening()
            self._plan(_SOON_SECONDS if self.files < _SMALL_TREE else _LATER_SECONDS)
        elif len(paths) > _BIG_BATCH:
            self._plan(_SOON_SECONDS)

    def _tell(self, edits: tuple[Edit, ...]) -> None:
        self.files = self._tree.files
        for directory, why in self._tree.unreadable.items():
            self._note(f"{directory} cannot be read ({why}): edits in it are not seen")
        if edits:
            self._calm = self._host.monotonic() + _AFTERWARDS_SECONDS
            self._on_edits(edits)

    def _begin(self, ready: threading.Event) -> None:
        try:
            self._tree.scan()
            self._keep_listening()
            self._tell(())
            self._plan(_SOON_SECONDS)
        finally:
            ready.set()

    def _move(self, places: Places) -> None:
        if self._fell_back:
            self._poll_seconds, self._fell_back = None, False
        self._tell(self._tree.move_to(places))
        self._keep_listening()

    def _keep_listening(self) -> None:
        """Listen at the directories that there are now. Where they come and go all the time, the next turn goes on."""
        for _ in range(_ROUNDS):
            directories = self._tree.directories()
            if directories == self._watched and (self._notices is not None or self.polling):
                return
            self._listen()

    def _listen(self, made_again: frozenset[str] = frozenset()) -> None:
        """Listen anew; what happened until then is found by comparing."""
        directories = self._tree.directories()
        if self.polling:
            self._watch(directories, None)
            return
        try:
            heard = self._exchange(directories)
        except FileNotFoundError:
            heard = None
        except MachineRefused as refused:
            self._fall_back(f"{refused.message}: {refused.hint}" if refused.hint else refused.message)
            return
        self._tell(self._tree.rescan() if heard is None else self._tree.look(heard | made_again))

    def _exchange(self, directories: list[str]) -> set[str] | None:
        """Listen at `directories` instead; return what to look at because of that, None for everything."""
        added = set(directories) - self._watched_set
        old, self._notices = self._notices, None
        if old is None:
            never_before = not self._watched
            self._watch(directories, Notices(directories))
            return set() if never_before else None
        try:
            notices = Notices(directories)
        except MachineRefused:  # there may be room for one of them
            old.close()
            self._watch(directories, Notices(directories))
            return None
        except FileNotFoundError:
            old.close()
            raise
        self._watch(directories, notices)
        try:
            return old.rest() | added
        except MachineRefused:
            return None
        finally:
            old.close()

    def _watch(self, directories: list[str], notices: Notices | None) -> None:
        self._notices = notices
        self._watched, self._watched_set = directories, frozenset(directories)

    def _close(self) -> None:
        if self._notices is not None:
            self._notices.close()
            self._notices = None

    def _plan(self, seconds: float) -> None:
        """Plan a comparison of all files in `seconds`, where none is planned for earlier."""
        at = self._host.monotonic() + seconds
        self._soon = at if self._soon is None else min(at, self._soon)

    def _is_due(self) -> bool:
        drift = self._host.now() - self._host.monotonic()
        if abs(drift - self._drift) > _DRIFT_SECONDS:
            self._drift = drift
            return True
        now = self._host.monotonic()
        if self._calm is not None and now >= self._calm:
            self._calm = None
            return self.files < _SMALL_TREE
        return self._soon is not None and now >= self._soon

    def _rescan(self) -> None:
        began = self._host.monotonic()
        self._soon = None
        self._tell(self._tree.rescan())
        self._keep_listening()
        if self._poll_seconds is not None:
            self._plan(max(self._poll_seconds, 10 * (self._host.monotonic() - began)))

    def _fall_back(self, why: str) -> None:
        self._close()
        if self._poll_seconds is None:
            self._poll_seconds, self._fell_back = _FALL_BACK_SECONDS, True
            why = f"{why}; all files are compared every {_FALL_BACK_SECONDS:.0f} s instead"
        self._soon = None
        self._plan(self._poll_seconds)
        self._note(why)

    def _note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._on_note(text)
