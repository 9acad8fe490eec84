"""What a test of a build profile needs: a host whose programs are scripted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from buildopt.host import Cancel, Command, Files, Finished, Host

__all__ = ["ScriptedHost", "finished"]

Answer = Finished | Callable[[Command], Finished]


def finished(stdout: str = "", *, stderr: str = "", returncode: int = 0) -> Finished:
    """Return the result of a command that printed `stdout` and `stderr` and cost nothing."""
    return Finished(returncode, 0.0, 0.0, 0, stdout.encode(), stderr.encode())


class ScriptedHost(Host):
    """A host on which only the programs in `programs` exist, each with a scripted answer; real processes are never started.

    `commands` lists what was run, in order. The clock stands still at `time` until the test moves it.
    """

    def __init__(
        self,
        programs: Mapping[str, Answer],
        *,
        environ: Mapping[str, str] | None = None,
        files: Files | None = None,
        time: float = 1_700_000_000.0,
    ) -> None:
        super().__init__(environ or {}, files)
        self.programs = dict(programs)
        self.commands: list[Command] = []
        self.time = time

    def now(self) -> float:
        """Return the scripted time, in seconds since the epoch."""
        return self.time

    def monotonic(self) -> float:
        """Return the scripted time."""
        return self.time

    def which(self, name: str) -> Path | None:
        """Return a made-up path for a scripted program, None for any other."""
        return Path("/scripted") / name if name in self.programs else None

    def run(
        self,
        command: Command,
        *,
        on_stdout: Callable[[bytes], None] | None = None,
        on_stderr: Callable[[bytes], None] | None = None,
        on_start: Callable[[int], None] | None = None,
        cancel: Cancel | None = None,
    ) -> Finished:
        """Answer as scripted; raises KeyError for a program without a script, so that a test cannot pass by accident."""
        del cancel
        self.commands.append(command)
        if on_start is not None:
            on_start(len(self.commands))
        answer = self.programs[Path(command.argv[0]).name]
        result = answer(command) if callable(answer) else answer
        if on_stdout is not None:
            on_stdout(result.stdout)
        if on_stderr is not None:
            on_stderr(result.stderr)
        return result
