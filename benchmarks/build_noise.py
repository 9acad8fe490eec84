"""The noise of real builds on this machine: one and the same rebuild after an edit, again and again, as a CSV file.

Every edit is another one and is taken back; nothing else changes, so all that differs is noise. With `--neighbour`, a clean
build of the same workspace runs beside it for every second stretch of 20 builds, and until it has ended, as on a machine that
others use. How fast the machine was is known of builds of more than two and a half seconds.
Call: python benchmarks/build_noise.py FOLDER NOISE.csv [--builds N] [--workspace ripgrep] [--neighbour]
FOLDER is where the workspace is put together.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import threading
from pathlib import Path

from pairs import measure
from presets import leaf_and_hub, source_of
from published import PUBLISHED, assemble

from buildopt.cargo import load_workspace
from buildopt.host import Host

COLUMNS = ("wall_seconds", "cpu_seconds", "external_share", "neighbour", "unit_milliseconds")
_STRETCH = 20


def busy_seconds() -> float:
    """Return how long the processors of this machine have worked, all together, since it was started."""
    user, nice, system, _, _, irq, softirq, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(map(int, (user, nice, system, irq, softirq))) / os.sysconf("SC_CLK_TCK")


class Neighbour:
    """Builds the workspace from nothing, again and again, while it is wanted."""

    def __init__(self, root: Path, target: Path) -> None:
        self._argv = ["cargo", "build", "--workspace", "--quiet", "--offline", "--target-dir", str(target)]
        self._root, self._target = root, target
        self._wanted = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def want(self, wanted: bool) -> None:
        """Work from now on, or pause after the build that runs."""
        self._wanted.set() if wanted else self._wanted.clear()

    def end(self) -> None:
        """Stop for good."""
        self._end.set()
        self._wanted.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._end.is_set():
            self._wanted.wait()
            if not self._end.is_set():
                shutil.rmtree(self._target, ignore_errors=True)
                subprocess.run(self._argv, cwd=self._root, check=False, capture_output=True)
        shutil.rmtree(self._target, ignore_errors=True)


def record(root: Path, out: Path, builds: int, *, neighbour: bool) -> None:
    """Measure `builds` rebuilds after an edit of a leaf crate, and write one line for each."""
    host = Host()
    leaf, _ = leaf_and_hub(load_workspace(host, root, root / ".buildopt"))
    source, target = source_of(leaf), root.parent / "noise-target"
    argv = ["cargo", "build", "--workspace", "--quiet", "--offline", "--target-dir", str(target)]
    before = source.read_bytes()
    beside = Neighbour(root, root.parent / "neighbour-target") if neighbour else None
    try:
        measure(argv, root)
        with out.open("w", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(COLUMNS)
            for number in range(builds):
                wanted = bool(number // _STRETCH % 2)
                if beside:
                    beside.want(wanted)
                source.write_bytes(
                    before + f"\n#[doc(hidden)]\npub fn edit_{number}() -> u64 {{ {number} }}\n".encode()
                )
                busy = busy_seconds()
                with host.speed() as speed:
                    cost = measure(argv, root)
                others = max(0.0, busy_seconds() - busy - cost.cpu - speed.cpu_seconds) / (host.cores * cost.wall)
                unit = "" if speed.unit_seconds is None else f"{1000 * speed.unit_seconds:.5f}"
                lines.writerow(
                    (f"{cost.wall:.4f}", f"{cost.cpu:.4f}", f"{others:.3f}", int(bool(beside and wanted)), unit)
                )
                file.flush()
    finally:
        source.write_bytes(before)
        if beside:
            beside.end()
        shutil.rmtree(target, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--builds", type=int, default=600)
    parser.add_argument("--workspace", choices=PUBLISHED, default="ripgrep")
    parser.add_argument("--neighbour", action="store_true")
    arguments = parser.parse_args()
    record(
        assemble(arguments.workspace, arguments.folder), arguments.out, arguments.builds, neighbour=arguments.neighbour
    )
