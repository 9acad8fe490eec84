"""Watchers that run: what they print, which cargo processes they start, what they cost. Reads /proc, so it needs Linux."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

__all__ = [
    "HUB", "LEAF", "Process", "Tool", "Watch", "alive", "appeared", "children", "command_line", "edit", "installed", "kept",
    "numbers", "prepared", "source", "status", "tree", "watching",
]  # fmt: skip

LEAF, HUB = "gix-diff", "gix-trace"  # nothing depends on the one, 29 of 37 packages on the other
PROFILE = 'version = 1\n[stages.quick-check]\nrun = ["check"]\nscope = "affected"\n[watch]\nstages = ["quick-check"]\n'
MARK = "WATCHED_BY_THE_BENCHMARK"
TICKS = os.sysconf("SC_CLK_TCK")
ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()].|[=>78])")
numbers = itertools.count(1)
"""So that no two edits are the same."""


class Tool(NamedTuple):
    """A watcher, and how it is started in a workspace."""

    name: str
    argv: tuple[str, ...]
    lines: bool = False
    """Whether it writes JSON lines to its standard output."""
    terminal: bool = False


class Process(NamedTuple):
    """One process; the start tells it from a later one of the same id."""

    pid: int
    start: int


class Status(NamedTuple):
    """What /proc says of a process. Seconds of CPU include those of children that it waited for."""

    name: str
    state: str
    start: int
    cpu_seconds: float
    rss_bytes: int


def status(pid: int) -> Status | None:
    """Return what /proc says of a process; None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    fields = rest.split()
    cpu = sum(map(int, fields[11:15])) / TICKS
    return Status(name, fields[0], int(fields[19]), cpu, int(fields[21]) * os.sysconf("SC_PAGE_SIZE"))


def children(pid: int) -> list[int]:
    """Return the ids of the children of all threads of a process."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def tree(pid: int) -> Iterator[tuple[int, Status]]:
    """Yield a process and everything below it."""
    found = status(pid)
    if found:
        yield pid, found
        for child in children(pid):
            yield from tree(child)


def command_line(pid: int) -> bytes:
    """Return the arguments of a process, each ended by a zero byte; nothing when it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def alive(process: Process) -> bool:
    """Whether a process still does anything: a zombie does not."""
    found = status(process.pid)
    return found is not None and found.start == process.start and found.state not in "ZX"


class Watch:
    """A watcher that runs: what it prints, which cargo it runs, what it costs."""

    def __init__(self, tool: Tool, root: Path) -> None:
        self.tool, self.root = tool, root
        self.mark = f"{MARK}={next(numbers)}.{os.getpid()}"
        name, _, value = self.mark.partition("=")
        ours, theirs = pty.openpty() if tool.terminal else os.pipe()
        if tool.terminal:
            termios.tcsetwinsize(theirs, (50, 160))
        self.began = time.time()
        self._process = subprocess.Popen(
            ("setsid", "--ctty", *tool.argv) if tool.terminal else tool.argv,
            cwd=root,
            env={**os.environ, name: value, "TERM": "xterm-256color"},
            stdin=theirs if tool.terminal else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs if tool.terminal or not tool.lines else subprocess.DEVNULL,
            start_new_session=not tool.terminal,
        )
        os.close(theirs)
        self.pid = self._process.pid
        self.output = bytearray()
        self.seen: list[tuple[float, int]] = []
        """When the output had which length."""
        self._reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reader.start()

    def _read(self, file: int) -> None:
        with contextlib.suppress(OSError):  # a terminal ends so
            while chunk := os.read(file, 1 << 16):
                self.output += chunk
                self.seen.append((time.time(), len(self.output)))
        os.close(file)

    def events(self) -> list[dict[str, Any]]:
        """Return the JSON lines that are complete."""
        return [json.loads(line) for line in bytes(self.output).splitlines(keepends=True) if line.endswith(b"\n")]

    def runs(self) -> set[Process]:
        """Return the outermost cargo processes that run now."""
        found: set[Process] = set()
        waiting = children(self.pid)
        while waiting:
            pid = waiting.pop()
            known = status(pid)
            if known and known.name.startswith("cargo") and known.state not in "ZX":
                found.add(Process(pid, known.start))
            elif known:
                waiting += children(pid)
        return found

    def next_run(self, known: set[Process], seconds: float = 10) -> tuple[float, Process] | None:
        """Wait for a run that is not `known`; return when it was seen, or None after so many seconds."""
        until = time.time() + seconds
        while (now := time.time()) < until:
            if new := self.runs() - known:
                return now, new.pop()
            time.sleep(0.0005)
        return None

    def settle(self, quiet: float = 0.5, seconds: float = 300) -> None:
        """Wait until no cargo has run for `quiet` seconds."""
        until, last = time.time() + seconds, time.time()
        while time.time() - last < quiet:
            if self.runs():
                last = time.time()
            if time.time() > until or self._process.poll() is not None:
                raise RuntimeError(
                    f"{self.tool.name} does not come to rest:\n{self.output[-2000:].decode(errors='replace')}"
                )
            time.sleep(0.01)

    def cpu_seconds(self) -> float:
        """Return what the watcher and everything below it have cost so far."""
        return sum(found.cpu_seconds for _, found in tree(self.pid))

    def rss_bytes(self) -> int:
        """Return the memory of the watcher and of everything below it."""
        return sum(found.rss_bytes for _, found in tree(self.pid))

    def end(self) -> tuple[int | None, int]:
        """Send SIGTERM; return the exit code (None: it had to be killed) and how many processes it left behind."""
        self._process.terminate()
        try:
            code: int | None = self._process.wait(10)
        except subprocess.TimeoutExpired:
            code = None
            self._process.kill()
            self._process.wait()
        left = list(self._left())
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._reader.join(5)
        return code, len(left)

    def _left(self) -> Iterator[int]:
        for name in os.listdir("/proc"):
            if name.isdecimal():
                with contextlib.suppress(OSError):
                    if self.mark.encode() in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                        yield int(name)


@contextlib.contextmanager
def watching(tool: Tool, root: Path) -> Iterator[Watch]:
    """Run a tool until it is at rest, and end it afterwards."""
    watch = Watch(tool, root)
    try:
        watch.next_run(set(), 20)
        watch.settle(1.0)
        yield watch
    finally:
        watch.end()


def appeared(watch: Watch, text: bytes, since: int, seconds: float) -> float | None:
    """Return when `text` had come to the screen, in output after its first `since` bytes; None when it does not come."""
    until = time.time() + seconds
    while time.time() < until:
        if text in ESCAPES.sub(b"", bytes(watch.output[since:])):
            lengths = (entry for entry in list(watch.seen) if entry[1] > since)
            return next(at for at, length in lengths if text in ESCAPES.sub(b"", bytes(watch.output[since:length])))
        time.sleep(0.01)
    return None


@contextlib.contextmanager
def kept(*paths: Path) -> Iterator[None]:
    """Put files back as they are now."""
    before = {path: path.read_bytes() for path in paths}
    try:
        yield
    finally:
        for path, content in before.items():
            if path.read_bytes() != content:
                path.write_bytes(content)


def source(root: Path, crate: str) -> Path:
    """Return the root file of a library."""
    return root / "crates" / crate / "src" / "lib.rs"


def edit(path: Path, before: bytes) -> None:
    """Save what no build has seen before."""
    path.write_bytes(before + f"\n// edit {os.getpid()}.{next(numbers)}\n".encode())


def prepared(root: Path) -> Path:
    """Make a repository of a workspace, with a profile that runs the one step that the rivals run, and check it once."""
    (root / "buildopt.toml").write_text(PROFILE)
    (root / ".gitignore").write_text("target\n.buildopt\n")
    if not (root / ".git").is_dir():
        author = ("-c", "user.name=b", "-c", "user.email=b@b")
        for words in (("init", "-q"), ("add", "-A"), (*author, "commit", "-qm", "as published")):
            subprocess.run(["git", *words], cwd=root, check=True)
    subprocess.run(["cargo", "check", "--quiet"], cwd=root, check=True, stderr=subprocess.DEVNULL)
    return root


def installed(root: Path, wanted: Iterable[str]) -> list[Tool]:
    """Return the tools that are here, as they watch `root`; says which are not."""
    ours = Path(sys.executable).with_name("buildopt")
    bacon = ("--headless", "--job", "check", "--config-toml", 'on_change_strategy = "kill_then_restart"')
    every = ("--restart", "--shell=none", "--print-events", "-w", "crates", "-e", "rs,toml", "--", "cargo", "check")
    known = {
        "buildopt": Tool("buildopt", (str(ours), "watch", "--root", str(root), "--json"), lines=True),
        "bacon": Tool("bacon", ("bacon", *bacon)),
        "watchexec": Tool("watchexec", ("watchexec", *every)),
    }
    found = [known[name] for name in wanted if shutil.which(known[name].argv[0])]
    for name in wanted:
        if known[name] not in found:
            print(f"{name} is not installed: left out")
    return found
