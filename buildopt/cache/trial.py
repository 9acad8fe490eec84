"""One compile through the wrapper, so that a run does not begin with one that cannot work."""

from __future__ import annotations

from pathlib import Path

from buildopt.cache.counters import Counters, reads_only
from buildopt.cache.server import Server, Unusable, last_words
from buildopt.host.files import digest

__all__ = ["trial"]

_COMPILE_SECONDS = 20.0  # a storage that does not answer makes sccache wait 30
_READINGS = 100  # of 6 ms each: sccache writes to its storage after it has answered


def trial(server: Server, root: Path, state: Path) -> Counters:
    """Compile a library of one line with the rustc of `root`; return what the server has counted then.

    Raises Unusable when that fails, or when the storage does not take the result.
    """
    host, files = server.host, server.host.files
    once = digest(f"{host.now()!r} {host.monotonic()!r}".encode())[:12]  # two runs may try at the same time
    folder = state / "cache" / f"trial-{once}"
    source = folder / "trial.rs"
    arguments = ("--crate-name", "trial", "--crate-type", "rlib", "--emit=link,dep-info", "--out-dir", str(folder))
    files.make_directory(folder)
    try:
        # Never seen before, so that the storage has to take it.
        files.write(source, f'pub const WHEN: &str = "{once}";\n'.encode())
        before = server.counters()
        rustc = host.environ.get("RUSTC") or "rustc"
        finished = server.compile((rustc, *arguments, str(source)), root, _COMPILE_SECONDS)
        if finished.timed_out:
            raise Unusable(f"a trial compile took more than {_COMPILE_SECONDS:.0f} seconds")
        if finished.returncode != 0:
            raise Unusable(f"a trial compile failed: {last_words(finished)}")
        return _taken(server, before)
    finally:
        for name in files.names(folder):
            files.remove(folder / name)
        files.remove_empty_directory(folder)


def _taken(server: Server, before: Counters) -> Counters:
    """Wait until the storage has taken the unit or refused it; one that is only read from does neither."""
    after = before
    for _ in range(_READINGS):
        after = server.counters()
        if after.errors > before.errors:
            raise Unusable(
                f"it cannot write to its storage ({after.location}); make that writable, or set cache.directory"
            )
        if after.writes > before.writes or (reads_only(server.host.environ) and after.misses > before.misses):
            break
    return after
