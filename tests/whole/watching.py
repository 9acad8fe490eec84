"""A watch in a process of its own, and a workspace for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["PROFILE", "SLOW", "Watch", "at_work", "environment", "manifest", "workspace"]

PROFILE = """version = 1
[stages.quick-check]
run = ["check"]
scope = "affected"
[stages.core]
requires = ["quick-check"]
run = ["build", "test"]
scope = "affected"
[cargo]
test-runner = "cargo"
[watch]
quiet = { core = "10ms" }
"""
SLOW = "".join(
    f"pub fn f{n}(x: u64) -> u64 {{ let v = vec![x; {n}]; v.iter().map(|y| y + {n}).sum() }}\n" for n in range(30_000)
)


def manifest(name: str, dependencies: str = "") -> str:
    return f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\n{dependencies}'


def workspace() -> Mapping[str, str]:
    """Return the files of three packages, of which `api` depends on `core-lib`."""
    return {
        "Cargo.toml": '[workspace]\nmembers = ["core", "api", "tool"]\nresolver = "2"\n',
        "core/Cargo.toml": manifest("core-lib"),
        "core/src/lib.rs": "pub fn one() -> u32 { 1 }\n",
        "api/Cargo.toml": manifest("api", 'core-lib = { path = "../core" }\n'),
        "api/src/lib.rs": "#[test]\nfn adds() { assert_eq!(core_lib::one(), 1); }\n",
        "tool/Cargo.toml": manifest("tool"),
        "tool/src/main.rs": "fn main() {}\n",
        "buildopt.toml": PROFILE,
        "noxfile.py": "import buildopt\n\nbuildopt.sessions()\n",
        ".gitignore": "target\n/.buildopt/\n",
    }


def environment(**changes: str) -> dict[str, str]:
    """Return the environment of a process that runs this buildopt."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **changes}


class Watch:
    """A watch in a process of its own, and the JSON lines that it wrote."""

    def __init__(self, root: Path, *words: str) -> None:
        self.root = root
        self.out, self.err = root.parent / "watch.out", root.parent / "watch.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "buildopt", "watch", "--root", str(root), "--json", *words],
                cwd=root.parent,
                env=environment(),
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = self.out.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def told(self, event: str, **facts: Any) -> list[dict[str, Any]]:
        return [each for each in self.events if each["event"] == event and facts.items() <= each.items()]

    def until(self, event: str, count: int = 1, **facts: Any) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while len(found := self.told(event, **facts)) < count:
            assert self.process.poll() is None, self.err.read_text()
            assert time.monotonic() < deadline, f"no {event} {facts}: {self.events} {self.err.read_text()}"
            time.sleep(0.01)
        return found[count - 1]

    def until_said(self, text: str) -> None:
        """Wait for an `error` whose message holds `text`."""
        deadline = time.monotonic() + 60
        while not any(text in each["message"] for each in self.told("error")):
            assert time.monotonic() < deadline, f"{text!r} is not said: {self.events}"
            time.sleep(0.01)

    def settle(self) -> None:
        """Wait until an edit can no longer be taken for one that came before the end of the last stage."""
        time.sleep(0.2)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)


def at_work(root: Path) -> list[str]:
    """Return the commands of processes that work in `root`, zombies left out."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit() or not (entry / "cwd").resolve().is_relative_to(root):
                continue
            if (entry / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                found.append((entry / "comm").read_text().strip())
        except OSError:
            continue
    return found
