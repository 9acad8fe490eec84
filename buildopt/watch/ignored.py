"""What git ignores of the places that are watched."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from buildopt.cargo.changes import GIT_ENVIRONMENT
from buildopt.errors import BuildoptError, ToolMissing
from buildopt.host import Command, Host
from buildopt.watch.places import Wanted, within

__all__ = ["Ignored"]

_ASK_AT_MOST = 200
_TIMEOUT_SECONDS = 5.0
_GIT = ("git", "--no-optional-locks", "--literal-pathspecs")
_LIST_IGNORED = ("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z", "--")


class Ignored:
    """What git ignores, as far as it was asked. Without git, or outside of a repository, that is nothing."""

    def __init__(self, host: Host, root: str, wanted: Wanted) -> None:
        self._host = host
        outside = {os.path.dirname(path) for path in wanted.trees if not within(path, root)}
        self._tops = (root, *sorted(top for top in outside if not within(root, top)))
        self._mute: set[str] = set()
        self._asked: set[str] = set()
        self.paths: set[str] = set()

    def learn(self) -> None:
        """Ask for all that is ignored."""
        found: set[str] = set()
        for top in self._tops:
            found.update(self._list(top, ()))
        self._asked.clear()
        self.paths = found

    def ask(self, paths: Iterable[str]) -> bool:
        """Ask for paths that were never asked for; return whether git ignores any of them."""
        new = [path for path in paths if path not in self._asked]
        if not new:
            return False
        before = len(self.paths)
        if len(new) > _ASK_AT_MOST:
            self.learn()
        else:
            for top in self._tops:
                here = [path for path in new if within(path, top)]
                self.paths.update(self._list(top, here) if here else ())
        self._asked.update(new)
        return len(self.paths) != before

    def _list(self, top: str, paths: Iterable[str]) -> Iterator[str]:
        if top in self._mute:
            return
        try:
            command = Command((*_GIT, *_LIST_IGNORED, *paths), Path(top), GIT_ENVIRONMENT, _TIMEOUT_SECONDS)
            result = self._host.run(command)
        except ToolMissing:
            self._mute.update(self._tops)
            return
        except BuildoptError:
            return
        if result.returncode != 0:
            self._mute.add(top)
            return
        for name in os.fsdecode(result.stdout).split("\0"):
            if name and name != "./":  # `./`: the whole directory, which somebody works in all the same
                yield os.path.normpath(os.path.join(top, name))
