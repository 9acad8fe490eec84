"""`buildopt watch` beside bacon and watchexec: the same edits in the same run, on one workspace of published crates.

start       save → cargo process started, with nothing else going on and while a process writes thousands of files into target/
cancel      save during a running compile → the stale processes are dead; what is left at the end
diagnostic  save → its diagnostic on the screen, in a leaf crate and in a hub, with the CPU seconds that the cycle costs
missed      files written into directories made a moment before, atomic saves; runs for saves and touches that change nothing
idle        CPU and memory with nothing to do
many        start in a generated workspace of 100,000 files, against `cargo metadata`

All three run `cargo check` with Cargo's dev profile in one target directory, one after the other, in rounds. Times end when the
process or the text is seen from outside: /proc and the terminal are read about once a millisecond, so this needs Linux.
bacon restarts instead of waiting (`on_change_strategy`), watchexec too (`--restart`). A rival that is not installed is left out.
Call: python benchmarks/watch.py FOLDER [--only start cancel …] [--tools buildopt bacon …] [--edits N] [--cancels N] [--rounds N]
FOLDER is where the workspaces are put together.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from published import assemble
from tables import head, row, spread_rows
from watch_seen import large, part_idle, part_many, part_missed
from watchers import (
    HUB,
    LEAF,
    Process,
    Tool,
    Watch,
    alive,
    appeared,
    edit,
    installed,
    kept,
    numbers,
    prepared,
    source,
    tree,
    watching,
)

CHURN = """
import itertools, os, sys, time
folder, rate = sys.argv[1], 3000
for number in range(64):
    os.makedirs(f"{folder}/{number}", exist_ok=True)
began = time.monotonic()
for number in itertools.count():
    with open(f"{folder}/{number % 64}/{number % 6400}", "w") as file:
        file.write("x" * 200)
    if number % 10 == 0:
        time.sleep(max(0, began + number / rate - time.monotonic()))
        if number % 1000 == 0:
            print(number, flush=True)
"""


class Starts(NamedTuple):
    """What `starts` finds."""

    seconds: list[float]
    missed: int
    told: list[float]
    """From the process as it is seen to the time in its stage-started line, where that has the same pid."""
    untold: int
    """Runs without such a line."""


def starts(tool: Tool, root: Path, edits: int) -> Starts:
    """Save in the leaf crate, again and again, each time at rest."""
    path = source(root, LEAF)
    found = Starts([], 0, [], 0)
    missed = untold = 0
    with watching(tool, root) as watch, kept(path):
        before = path.read_bytes()
        for number in range(edits + 1):
            known = watch.runs()
            time.sleep(random.uniform(0, 0.1))
            began = time.time()
            edit(path, before)
            run = watch.next_run(known)
            watch.settle()
            if number == 0:
                continue  # the first may build what no later one has to
            if run is None:
                missed += 1
                continue
            found.seconds.append(run[0] - began)
            if tool.lines:
                told = [
                    e["time"] for e in watch.events() if e["event"] == "stage-started" and e.get("pid") == run[1].pid
                ]
                found.told.extend(time - run[0] for time in told)
                untold += not told
    return found._replace(missed=missed, untold=untold)


@contextlib.contextmanager
def churn(folder: Path, rates: list[float]) -> Iterator[None]:
    """Write thousands of files a second below `folder`; adds files a second to `rates`."""
    began = time.time()
    process = subprocess.Popen([sys.executable, "-c", CHURN, str(folder)], stdout=subprocess.PIPE)
    try:
        yield
    finally:
        process.terminate()
        written = process.communicate()[0].split()
        rates.append(int(written[-1]) / (time.time() - began) if written else 0)
        shutil.rmtree(folder, ignore_errors=True)


def part_start(tools: Sequence[Tool], root: Path, options: argparse.Namespace) -> None:
    """Save → cargo process started."""
    rates: list[float] = []
    for busy in (False, True):
        found: dict[str, list[Starts]] = {tool.name: [] for tool in tools}
        for _, tool in itertools.product(range(options.rounds), tools):
            with churn(root / "target" / "churn", rates) if busy else contextlib.nullcontext():
                found[tool.name].append(starts(tool, root, options.edits // options.rounds))
        load = f", {statistics.median(rates):.0f} files/s written into target/" if busy else ""
        head(f"save → cargo process started, edit of {LEAF}{load} (ms)", [tool.name for tool in tools])
        times = {name: [x * 1000 for some in all_ for x in some.seconds] for name, all_ in found.items()}
        spread_rows(times)
        row("saves without a run", [sum(some.missed for some in found[tool.name]) for tool in tools])
        for tool in (tool for tool in tools if tool.lines):
            told = [x * 1000 for some in found[tool.name] for x in some.told]
            untold = sum(some.untold for some in found[tool.name])
            apart = (
                f"median {statistics.median(told):.1f}, farthest {max(told, key=abs):.1f} ms after it was seen"
                if told
                else "none"
            )
            print(f"  stage-started lines with the pid that /proc shows: {apart}; runs without: {untold}")


class Cancels(NamedTuple):
    """What `cancels` finds."""

    seconds: list[float]
    restarts: list[float]
    stuck: int
    """Saves after which the stale processes lived on for ten seconds, or nothing new started."""
    left: int
    code: int | None


def cancels(tool: Tool, root: Path, edits: int) -> Cancels:
    """Save in the hub crate while the run for the save before it compiles."""
    path = source(root, HUB)
    seconds: list[float] = []
    restarts: list[float] = []
    stuck = 0
    watch = Watch(tool, root)
    with kept(path):
        watch.next_run(set(), 20)
        watch.settle(1.0)
        before, known = path.read_bytes(), watch.runs()
        edit(path, before)
        for _ in range(3 * edits):
            if len(seconds) + stuck >= edits:
                break
            run = watch.next_run(known)
            if run is None or not compiling(run[1]):
                stuck += run is None
                known = watch.runs()
                edit(path, before)
                continue
            time.sleep(random.uniform(0, 0.4))
            known = watch.runs()
            stale = {Process(pid, found.start) for old in known for pid, found in tree(old.pid)}
            began = time.time()
            edit(path, before)
            if not any(map(alive, stale)):
                continue  # it had ended by itself
            died, restarted = outlive(watch, known, stale, began)
            stuck += died is None or restarted is None
            if died is not None and restarted is not None:
                seconds.append(died)
                restarts.append(restarted)
    code, left = watch.end()
    return Cancels(seconds, restarts, stuck, left, code)


def compiling(run: Process, seconds: float = 5) -> bool:
    """Wait until a run has started a compiler; False when it ends before."""
    until = time.time() + seconds
    while time.time() < until and alive(run):
        if any(found.name == "rustc" for _, found in tree(run.pid)):
            return True
        time.sleep(0.002)
    return False


def outlive(watch: Watch, known: set[Process], stale: set[Process], began: float) -> tuple[float | None, float | None]:
    """Return the seconds until all of `stale` (and what it still starts) is dead, and until a new run was seen."""
    died = restarted = None
    while (now := time.time()) < began + 10 and (died is None or restarted is None):
        if died is None:
            stale |= {Process(pid, found.start) for old in stale for pid, found in tree(old.pid) if alive(old)}
            stale = set(filter(alive, stale))
            died = None if stale else now - began
        if restarted is None and watch.runs() - known:
            restarted = now - began
        time.sleep(0.001)
    return died, restarted


def part_cancel(tools: Sequence[Tool], root: Path, options: argparse.Namespace) -> None:
    """Save during a running compile → stale processes dead."""
    found: dict[str, list[Cancels]] = {tool.name: [] for tool in tools}
    for _, tool in itertools.product(range(options.rounds), tools):
        found[tool.name].append(cancels(tool, root, options.cancels // options.rounds))
    head(f"save while {HUB} and what depends on it compile → stale processes dead (ms)", [tool.name for tool in tools])
    spread_rows({name: [x * 1000 for some in all_ for x in some.seconds] for name, all_ in found.items()})
    print(" … → the next cargo process started (ms)")
    spread_rows({name: [x * 1000 for some in all_ for x in some.restarts] for name, all_ in found.items()})
    row("cancels measured", [sum(len(some.seconds) for some in found[tool.name]) for tool in tools])
    row("not dead or no new run in 10 s", [sum(some.stuck for some in found[tool.name]) for tool in tools])
    row("processes left after SIGTERM", [sum(some.left for some in found[tool.name]) for tool in tools])
    row("exit codes", [" ".join(str(some.code) for some in found[tool.name]) for tool in tools])


class Cycle(NamedTuple):
    """From a save to rest, in seconds; `undo_cpu` is what taking the edit back costs."""

    shown: float | None
    cpu: float
    undo_cpu: float


def cycles(tool: Tool, root: Path, crate: str, line: str, edits: int) -> list[Cycle]:
    """Add a faulty line, wait for its diagnostic, take the line back, each time at rest."""
    path = source(root, crate)
    found: list[Cycle] = []
    with watching(tool, root) as watch, kept(path):
        before = path.read_bytes()
        for number in range(edits + 1):
            name = f"fault_{next(numbers):04}"
            since, cpu, began = len(watch.output), watch.cpu_seconds(), time.time()
            path.write_bytes(before + line.format(name=name).encode())
            shown = appeared(watch, name.encode(), since, 60)
            watch.settle()
            faulty = watch.cpu_seconds()
            known = watch.runs()
            path.write_bytes(before)
            watch.next_run(known, 1)
            watch.settle()
            if number:
                found.append(Cycle(shown and shown - began, faulty - cpu, watch.cpu_seconds() - faulty))
    return found


def part_diagnostic(tools: Sequence[Tool], root: Path, options: argparse.Namespace) -> None:
    """Save → first diagnostic on the screen."""
    screens = [
        tool._replace(terminal=True, lines=False, argv=tuple(x for x in tool.argv if x != "--json")) for tool in tools
    ]
    for bacon in [tool for tool in screens if tool.name == "bacon"]:
        seen = bacon._replace(name="bacon (screen)", argv=tuple(x for x in bacon.argv if x != "--headless"))
        screens[screens.index(bacon)] = bacon._replace(name="bacon --headless")
        screens.insert(1, seen)
    lines = {
        "warning": "\n#[allow(dead_code)]\nfn {name}() {{\n    let {name} = 1;\n}}\n",
        "type error": "\n#[allow(dead_code)]\nfn {name}() {{\n    let _{name}: () = 1;\n}}\n",
    }
    for crate, (kind, line) in itertools.product((LEAF, HUB), lines.items()):
        found: dict[str, list[Cycle]] = {tool.name: [] for tool in screens}
        for _, tool in itertools.product(range(options.rounds), screens):
            found[tool.name] += cycles(tool, root, crate, line, max(1, options.cycles // options.rounds))
        head(
            f"save → {kind} on the screen, in {crate} ({'hub' if crate == HUB else 'leaf'})",
            [tool.name for tool in screens],
        )
        spread_rows({name: [x.shown * 1000 for x in some if x.shown] for name, some in found.items()}, " (ms)")
        row("never shown", [sum(x.shown is None for x in found[tool.name]) for tool in screens])
        for title, pick in (("CPU of the cycle, median (s)", 1), ("CPU of its undo, median (s)", 2)):
            row(title, [f"{statistics.median(x[pick] for x in found[tool.name]):.2f}" for tool in screens])


PARTS = {
    "start": part_start,
    "cancel": part_cancel,
    "diagnostic": part_diagnostic,
    "missed": part_missed,
    "idle": part_idle,
    "many": part_many,
}


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    names = ("buildopt", "bacon", "watchexec")
    parser.add_argument("--tools", nargs="+", choices=names, default=names)
    parser.add_argument("--edits", type=int, default=30, help="saves per tool in `start`, idle and busy each")
    parser.add_argument("--cancels", type=int, default=50, help="per tool")
    parser.add_argument("--cycles", type=int, default=6, help="diagnostics per tool, crate and kind")
    parser.add_argument("--files", type=int, default=200, help="files in new directories")
    parser.add_argument("--seconds", type=int, default=20, help="how long nothing is done in `idle`")
    parser.add_argument("--rounds", type=int, default=2, help="how often the tools take turns")
    options = parser.parse_args()
    folder = options.folder.resolve()
    root = prepared(assemble("gitoxide", folder))
    for part in options.only:
        place = large(folder / "many") if part == "many" else root
        PARTS[part](installed(place, options.tools), place, options)


if __name__ == "__main__":
    main()
