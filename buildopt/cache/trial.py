"""One compile through the wrapper, so that a run does not begin with one that cannot work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from buildopt.cache.counters import Counters, parse_counters
from buildopt.host import Command, Host

__all__ = ["trial"]

_COMPILE_SECONDS = 20.0  # a storage that does not answer makes sccache wait 30
_ANSWER_SECONDS = 3.0
_KEEP_SECONDS = 1.0  # sccache writes to its storage after it has answered


def trial(host: Host, program: Path, env: Mapping[str, str | None], root: Path, state: Path) -> str | None:
    """Compile a library of one line through `program` with the rustc of `root`; return what went wrong, or None."""
    folder = state / "cache" / "sccache-trial"
    files = host.files
    files.make_directory(folder)
    source = folder / "trial.rs"
    # Never seen before, so that the storage has to take it.
    files.write(source, f"pub const WHEN: f64 = {host.now()!r};\n".encode())
    rustc = host.environ.get("RUSTC") or "rustc"
    arguments = ("--crate-name", "trial", "--crate-type", "rlib", "--emit=link,dep-info", "--out-dir")
    argv = (str(program), rustc, *arguments, str(folder), str(source))
    try:
        before = _counters(host, program, env)
        finished = host.run(Command(argv, root, env, _COMPILE_SECONDS))
        if finished.timed_out:
            return f"a trial compile took more than {_COMPILE_SECONDS:.0f} seconds"
        if finished.returncode != 0:
            said = (finished.stderr or finished.stdout).decode(errors="replace").strip()
            return f"a trial compile failed: {said[:300] or finished.returncode}"
        return _refused_by_storage(host, program, env, before)
    finally:
        for name in files.names(folder):
            files.remove(folder / name)
        files.remove_empty_directory(folder)


def _refused_by_storage(
    host: Host, program: Path, env: Mapping[str, str | None], before: Counters | None
) -> str | None:
    """Wait until the storage has taken the unit or refused it; one that is only read from does neither."""
    until = host.monotonic() + _KEEP_SECONDS
    for _ in range(50):
        after = _counters(host, program, env)
        if before is None or after is None or after.writes > before.writes or host.monotonic() > until:
            return None
        if after.errors > before.errors:
            return f"it cannot write to its storage ({after.location}); make that writable, or set cache.directory"
    return None


def _counters(host: Host, program: Path, env: Mapping[str, str | None]) -> Counters | None:
    argv = (str(program), "--show-stats", "--stats-format", "json")
    finished = host.run(Command(argv, program.parent, env, _ANSWER_SECONDS))
    return parse_counters(finished.stdout, {**host.environ, **env})
