"""A fresh checkout with a restored target directory: plain, with dependencies only, and after `buildopt cache restore`.

Nothing changed, a leaf crate edited, the crate edited that most depend on: units built, wall and CPU seconds of `cargo build
--workspace` with the time of `cache restore` counted in. Unpacking the archive costs all the same, and is not counted; it
keeps times as tar does. "In place" is the work tree that was never left: what
Cargo has to build. "Dependencies only" is the same archive without the files of workspace packages, as rust-cache prunes it.
Call: python benchmarks/freshness.py FOLDER [--workspace ripgrep gitoxide] [--rounds N] [--flags=--all-targets]
FOLDER is where the workspaces are put together.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pairs import Cost, measure
from presets import leaf_and_hub
from published import PUBLISHED, assemble
from tables import head, row

from buildopt.cargo import load_workspace
from buildopt.cargo.model import Package, Workspace
from buildopt.host import Host

_ARMS = ("plain", "dependencies only", "cache restore", "in place")
_BUILDOPT = (sys.executable, "-m", "buildopt", "cache")
_edits = itertools.count(1)


class Sample(NamedTuple):
    """One build in a fresh checkout."""

    cost: Cost
    units: int
    restore: float
    """Wall seconds of `cache restore` alone."""


class Bench:
    """One workspace: its sources as they are checked out, and what was saved after a build of them."""

    def __init__(self, folder: Path, name: str, flags: Sequence[str]) -> None:
        self.sources = assemble(name, folder)
        self.work = folder / "freshness" / name
        self.root = self.work / "ws"
        self.cargo = ("cargo", "build", "--workspace", "--quiet", *flags)
        self.workspace: Workspace | None = None
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)

    def prepare(self) -> tuple[Cost, Cost, int]:
        """Build from nothing, save, and pack; return what the build and the saving cost, and the size of target in bytes."""
        self._check_out()
        clean = measure(self.cargo, self.root)
        saving = measure((*_BUILDOPT, "save"), self.root)
        self.workspace = load_workspace(Host(), self.root, self.root / ".buildopt")
        self._pack("whole")
        self._pack("sources", "--exclude=./target", "--exclude=./.buildopt", ".")
        self._prune()
        self._pack("dependencies")
        size = (self.work / "whole.tar").stat().st_size
        return clean, saving, size

    def sample(self, arm: str, edited: Package | None) -> Sample:
        """Check out, unpack what `arm` keeps, edit, and build."""
        self._check_out()
        if arm == "in place":
            subprocess.run(["tar", "-xf", self.work / "sources.tar"], cwd=self.root, check=True)
        archive = "dependencies" if arm == "dependencies only" else "whole"
        subprocess.run(["tar", "-xf", self.work / f"{archive}.tar"], cwd=self.root, check=True)
        if edited is not None:
            source = next(target.src_path for target in edited.targets if {"lib", "proc-macro"} & {*target.kinds})
            with Path(source).open("a") as file:
                file.write(f"\n#[doc(hidden)]\n#[allow(missing_docs)]\nconst _EDIT: u64 = {next(_edits)};\n")
        restoring = Cost(0.0, 0.0)
        if arm == "cache restore":
            restoring = measure((*_BUILDOPT, "restore"), self.root)
        said = self.work / "said.json"
        command = f"{' '.join(self.cargo)} --message-format json > {said}"
        building = measure(("sh", "-c", command), self.root)
        lines = map(json.loads, said.read_text().splitlines())
        units = sum(line["reason"] == "compiler-artifact" and not line["fresh"] for line in lines)
        return Sample(Cost(building.wall + restoring.wall, building.cpu + restoring.cpu), units, restoring.wall)

    def _check_out(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(
            self.sources, self.root, ignore=shutil.ignore_patterns("target", ".buildopt"), copy_function=shutil.copyfile
        )

    def _pack(self, name: str, *what: str) -> None:
        command = ["tar", "--format=posix", "-cf", self.work / f"{name}.tar", *(what or ("target",))]
        subprocess.run(command, cwd=self.root, check=True)

    def _prune(self) -> None:
        assert self.workspace is not None
        names = {package.name for package in self.workspace.members}
        crates = {target.name.replace("-", "_") for package in self.workspace.members for target in package.targets}
        for path in [*(self.root / "target").glob("*/.fingerprint/*"), *(self.root / "target").glob("*/build/*")]:
            if path.name.rpartition("-")[0] in names:
                shutil.rmtree(path)
        for path in (self.root / "target").glob("*/deps/*"):
            stem = path.name.split(".")[0].rpartition("-")[0]
            if stem in crates or stem.removeprefix("lib") in crates:
                path.unlink()


def compare(bench: Bench, rounds: int) -> None:
    """Print one table a scenario."""
    assert bench.workspace is not None
    leaf, hub = leaf_and_hub(bench.workspace)
    for scenario, edited in (
        ("nothing changed", None),
        (f"leaf edited ({leaf.name})", leaf),
        (f"hub edited ({hub.name})", hub),
    ):
        samples: dict[str, list[Sample]] = {arm: [] for arm in _ARMS}
        for number in range(rounds):
            for arm in _ARMS if number % 2 == 0 else reversed(_ARMS):
                samples[arm].append(bench.sample(arm, edited))
        head(scenario, _ARMS)
        row(
            "units built",
            (f"{min(s.units for s in found)}-{max(s.units for s in found)}" for found in samples.values()),
        )
        row("wall s (median)", (f"{statistics.median(s.cost.wall for s in found):.2f}" for found in samples.values()))
        row("CPU s (median)", (f"{statistics.median(s.cost.cpu for s in found):.2f}" for found in samples.values()))
        row(
            "of that, cache restore, wall s",
            (f"{statistics.median(s.restore for s in found):.2f}" for found in samples.values()),
        )
        base = statistics.median(s.cost.cpu for s in samples["plain"])
        row(
            "CPU, of plain",
            (f"{statistics.median(s.cost.cpu for s in found) / base:.3f}" for found in samples.values()),
        )


def main() -> None:
    """Print the tables of each workspace."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workspace", nargs="+", choices=PUBLISHED, default=["ripgrep", "gitoxide"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--flags", nargs="*", default=[])
    arguments = parser.parse_args()
    for name in arguments.workspace:
        bench = Bench(arguments.folder.resolve(), name, arguments.flags)
        clean, saving, size = bench.prepare()
        print(
            f"\n{name}: clean build {clean.wall:.1f} s wall, {clean.cpu:.1f} s CPU; archive {size / 2**20:.0f} MiB; "
            f"cache save {saving.wall:.2f} s wall, {saving.cpu:.2f} s CPU"
        )
        compare(bench, arguments.rounds)


if __name__ == "__main__":
    main()
