"""What the kernel notices: paths at which something happened, of a list of directories, each watched for itself.

Nothing is promised about what happened, nor that nothing is missed: a full queue is dropped in silence (notify has no path
for it), directories made a moment ago are not watched yet. Who listens has to compare, and to compare again a little later.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Generator, Sequence
from typing import Any

from buildopt.errors import MachineRefused

__all__ = ["Notices"]

_STEP_MS = 10  # what happened is told after one to two of these; waiting costs half a percent of a core, with 8 ms 0.7
_DEBOUNCE_MS = 40  # of what goes on without a pause, so much is told at once
_TIMEOUT_MS = 30
_WATCHES = "raise it with `sudo sysctl fs.inotify.max_user_watches=1048576`"
_INSTANCES = "raise it with `sudo sysctl fs.inotify.max_user_instances=1024`"


class Notices:
    """Notices for `directories`, from the moment that this returns.

    Raises FileNotFoundError when one of them is gone, and MachineRefused, saying what to do, when the system will not watch them.
    """

    def __init__(self, directories: Sequence[str]) -> None:
        # watchfiles costs 60 ms, most of it for an event loop that nobody here needs.
        from watchfiles import watch  # noqa: PLC0415 - see above

        logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it logs each change, and nox shows what is logged
        self._told: Generator[set[Any], None, None] = watch(
            *directories,
            watch_filter=None,
            step=_STEP_MS,
            debounce=_DEBOUNCE_MS,
            rust_timeout=_TIMEOUT_MS,
            yield_on_timeout=True,
            recursive=False,
            force_polling=False,
            ignore_permission_denied=False,  # it would ignore that the limit of watches is reached, too
            debug=False,
        )
        try:
            self._first: set[str] = self._next()
        except FileNotFoundError:
            raise
        except (OSError, RuntimeError, UnicodeError) as error:
            raise _refused(error, len(directories)) from error

    def wait(self) -> set[str]:
        """Return the paths at which something happened, after 40 ms at the most; none after 30 ms without any.

        Raises MachineRefused when notices were lost, such as for a name that is not UTF-8: then this one is of no more use.
        """
        if self._first:
            first, self._first = self._first, set()
            return first
        try:
            return self._next()
        except (OSError, RuntimeError, UnicodeError) as error:
            raise MachineRefused(f"notices of the file system were lost: {error}") from error

    def rest(self) -> set[str]:
        """Return all that was noticed and not told yet. Raises MachineRefused, as `wait` does."""
        first, self._first = self._first, set()
        return first | self.wait()

    def close(self) -> None:
        """Stop watching."""
        self._told.close()

    def _next(self) -> set[str]:
        found = next(self._told, None)
        if found is None:
            raise RuntimeError("the watch has ended")
        return {path for _, path in found}


def _refused(error: Exception, directories: int) -> MachineRefused:
    text = str(error)
    number = getattr(error, "errno", None)
    if number == errno.ENOSPC or "watch limit" in text or "No space left" in text:
        return MachineRefused(
            f"the system's limit of watched directories is too low for these {directories}", hint=_WATCHES
        )
    if number in (errno.EMFILE, errno.ENFILE) or "Too many open files" in text:
        return MachineRefused("the system's limit of file watchers or of open files is reached", hint=_INSTANCES)
    return MachineRefused(f"the system cannot watch these {directories} directories: {text}")
