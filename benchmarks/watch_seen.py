"""What watchers see, what they cost at rest, and how they start in a tree of 100,000 files."""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tables import head, row
from watchers import LEAF, Process, Tool, Watch, appeared, command_line, edit, kept, numbers, prepared, source, watching

__all__ = ["large", "part_idle", "part_many", "part_missed"]


def in_new_directories(watch: Watch, folder: Path, files: int) -> tuple[int, int]:
    """Write files into directories made a moment before, ten at a time; return how many had no run, how many are not named."""
    named = 0
    missed = 0
    try:
        for batch in range(files // 10):
            known = watch.runs()
            for number in range(10):
                path = folder / f"new_{batch}_{number}" / "deep" / "file.rs"
                path.parent.mkdir(parents=True)
                path.write_text(f"// {next(numbers)}\n")
            missed += 0 if watch.next_run(known, 3) else 10
            watch.settle(0.3)
        text = bytes(watch.output)
        for batch, number in itertools.product(range(files // 10), range(10)):
            named += f"new_{batch}_{number}/deep/file.rs".encode() in text
    finally:
        for path in folder.glob("new_*"):
            shutil.rmtree(path)
        watch.settle(1.0)
    return missed, files - named


def runs_after(watch: Watch, saves: int, save: Callable[[int], object], wait: float) -> int:
    """Save again and again, each time at rest, and return how many saves started a run within `wait` seconds."""
    seen = 0
    for number in range(saves):
        known = watch.runs()
        save(number)
        if watch.next_run(known, wait):
            seen += 1
            watch.settle(0.2)
    return seen


def part_missed(tools: Sequence[Tool], root: Path, options: argparse.Namespace) -> None:
    """What is seen, and what is seen though it is no edit."""
    path = source(root, LEAF)
    rows: dict[str, list[object]] = {}
    for tool in tools:
        with watching(tool, root) as watch, kept(path):
            before = path.read_bytes()
            missed, unnamed = in_new_directories(watch, path.parent, options.files)
            names = tool.lines or "--print-events" in tool.argv

            def atomic(number: int, before: bytes = before) -> None:
                beside = path.with_name("lib.rs.new")
                edit(beside, before + b"%d" % -number)
                beside.replace(path)

            rows.setdefault(f"missed, of {options.files} files in new directories", []).append(missed)
            rows.setdefault(f"not named, of {options.files} files", []).append(unnamed if names else "names none")
            rows.setdefault("seen, of 50 atomic saves", []).append(runs_after(watch, 50, atomic, 3))
            now = path.read_bytes()
            same = runs_after(watch, 50, lambda _, now=now: path.write_bytes(now), 0.3)
            rows.setdefault("runs for 50 saves of the same bytes", []).append(same)
            rows.setdefault("runs for 50 touches", []).append(runs_after(watch, 50, lambda _: os.utime(path), 0.3))
    head("what is seen", [tool.name for tool in tools])
    for title, cells in rows.items():
        row(title, cells)


def part_idle(tools: Sequence[Tool], root: Path, options: argparse.Namespace) -> None:
    """CPU and memory with nothing to do."""
    cells: list[tuple[str, str]] = []
    for tool in tools:
        with watching(tool, root) as watch:
            time.sleep(3)
            before, began = watch.cpu_seconds(), time.time()
            time.sleep(options.seconds)
            share = (watch.cpu_seconds() - before) / (time.time() - began)
            cells.append((f"{share * 100:.2f}", f"{watch.rss_bytes() / 2**20:.1f}"))
    head(f"nothing to do, {options.seconds} s", [tool.name for tool in tools])
    row("CPU (% of one core)", [cpu for cpu, _ in cells])
    row("memory (MiB)", [rss for _, rss in cells])


def large(root: Path) -> Path:
    """Write a workspace of 100 packages with 1,000 source files each, in 20 directories; nothing happens when it is there."""
    if (root / "Cargo.lock").is_file():
        return root
    for package in range(100):
        for folder in range(20):
            path = root / "crates" / f"p{package}" / "src" / f"d{folder}"
            path.mkdir(parents=True)
            for file in range(50):
                (path / f"f{file}.rs").write_text(f"pub fn f() -> u32 {{ {file} }}\n")
        manifest = f'[package]\nname = "p{package}"\nversion = "0.1.0"\nedition = "2021"\n'
        (root / "crates" / f"p{package}" / "Cargo.toml").write_text(manifest)
        (root / "crates" / f"p{package}" / "src" / "lib.rs").write_text("")
    (root / "Cargo.toml").write_text('[workspace]\nmembers = ["crates/*"]\nresolver = "2"\n')
    subprocess.run(["cargo", "generate-lockfile", "--quiet"], cwd=root, check=True)
    return prepared(root)


def first_check(watch: Watch) -> float | None:
    """Return when a tool that does not say when it is ready has started `cargo check`."""
    known: set[Process] = set()
    while found := watch.next_run(known, 60):
        if b"\0check\0" in command_line(found[1].pid):
            return found[0]
        known.add(found[1])
        if any(b"\0check\0" in command_line(process.pid) for process in known):
            return time.time()
    return None


def part_many(tools: Sequence[Tool], root: Path, options: argparse.Namespace) -> None:
    """Start in a tree of 100,000 files."""
    metadata: list[float] = []
    cells: dict[str, list[tuple[float, float]]] = {tool.name: [] for tool in tools}
    for _ in range(options.rounds + 1):
        began = time.time()
        subprocess.run(["cargo", "metadata", "--format-version", "1"], cwd=root, check=True, stdout=subprocess.DEVNULL)
        metadata.append(time.time() - began)
        for tool in tools:
            watch = Watch(tool, root)
            at = appeared(watch, b'"ready"', 0, 60) if tool.lines else first_check(watch)
            watch.next_run(set(), 5)
            watch.settle(3.0)
            cells[tool.name].append(((at or float("nan")) - watch.began, watch.rss_bytes() / 2**20))
            watch.end()
    plain = statistics.median(metadata)
    head(f"100,000 files in 100 packages; cargo metadata takes {plain:.2f} s", [tool.name for tool in tools])
    medians = {name: [statistics.median(values) for values in zip(*some, strict=True)] for name, some in cells.items()}
    row("start → ready, or first check (s)", [f"{medians[tool.name][0]:.2f}" for tool in tools])
    row("  less cargo metadata (s)", [f"{medians[tool.name][0] - plain:.2f}" for tool in tools])
    row("memory (MiB)", [f"{medians[tool.name][1]:.1f}" for tool in tools])
