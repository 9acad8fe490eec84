"""The server of sccache: asked through sccache itself, started when none runs, in its own words when it does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from buildopt.cache.counters import Counters, parse_counters
from buildopt.host import Command, Finished, Host

__all__ = ["Server", "Unusable", "last_words"]

_ANSWER_SECONDS = 5.0  # of a server that runs: it takes 4 ms
_START_SECONDS = 15.0  # sccache itself gives a server 10 s to start
_LENGTH = 300  # of a reason, in characters
_OTHER_VERSION = (
    "Mismatch of client/server versions",
    "Unexpected server response",
    "Failed to send data to or receive",
)


class Unusable(Exception):
    """The cache cannot be used; the text says why and how to mend it."""


class Server(NamedTuple):
    """A server of sccache, as the program `program` reaches it in the environment `env`."""

    host: Host
    program: Path
    env: Mapping[str, str | None]
    """Changes to the environment of the host."""

    def counters(self) -> Counters:
        """Return what the server has counted; zeros when none runs, for since 0.8 the question starts none.

        Raises Unusable when there is no answer.
        """
        finished = self._statistics()
        counters = self._read(finished)
        if counters is None:
            raise Unusable(f"its server at {self._where} cannot be asked: {last_words(finished)}")
        return counters

    def running(self) -> Counters:
        """Return the counters of a server that runs; one is started when there is none. Raises Unusable."""
        counters = self._read(self._statistics())
        if counters is not None and counters.requests:
            return counters
        # Zeros may be made up, and a server that is just ending breaks off. Of all questions, this one starts a server.
        finished = self._ask("--dist-status", seconds=_START_SECONDS)
        if finished.timed_out:
            raise Unusable(f"its server did not answer at {self._where} within {_START_SECONDS:.0f} seconds")
        if finished.returncode != 0:
            raise Unusable(f"no server answers at {self._where}, and none starts: {last_words(finished)}")
        return self.counters()

    def _statistics(self) -> Finished:
        finished = self._ask("--show-stats", "--stats-format", "json", seconds=_ANSWER_SECONDS)
        if finished.timed_out:
            raise Unusable(f"{self._where} is taken by something else; set SCCACHE_SERVER_PORT to a free port")
        return finished

    def _read(self, finished: Finished) -> Counters | None:
        return parse_counters(finished.stdout, self._environ) if finished.returncode == 0 else None

    def compile(self, arguments: tuple[str, ...], directory: Path, seconds: float) -> Finished:
        """Run a compiler through the server."""
        return self.host.run(Command((str(self.program), *arguments), directory, self.env, seconds))

    def _ask(self, *arguments: str, seconds: float) -> Finished:
        return self.host.run(Command((str(self.program), *arguments), self.program.parent, self.env, seconds))

    @property
    def _environ(self) -> dict[str, str | None]:
        return {**self.host.environ, **self.env}

    @property
    def _where(self) -> str:
        environ = self._environ
        return environ.get("SCCACHE_SERVER_UDS") or f"port {environ.get('SCCACHE_SERVER_PORT') or 4226}"


def last_words(finished: Finished) -> str:
    """Return why sccache failed, in its own words but without its stack traces, and how to mend what is known."""
    lines = (finished.stderr or finished.stdout).decode(errors="replace").splitlines()
    said = [line.removeprefix("sccache: ").removeprefix("error: ") for line in lines if line.startswith("sccache: ")]
    # Errors of a storage come as a block; the cause is its line about the request.
    cause = [line.strip() for line in lines if line.startswith("   error")]
    text = "; ".join([*said, *cause[:1]]) or (lines[0] if lines else f"exit code {finished.returncode}")
    text = text.partition("\\n")[0]
    text = text if len(text) < _LENGTH else f"{text[:_LENGTH]}…"
    if any(words in text for words in _OTHER_VERSION):
        return f"{text} (sccache --stop-server ends a server that another version started)"
    return text
