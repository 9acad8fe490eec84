"""How true `buildopt report --slow` is: its critical path against Cargo's own page, its forecasts against real builds.

    python benchmarks/why_slow.py FOLDER [ripgrep serde regex gitoxide]

1. The chain that led to the end of a build, and every "this unit made that one able to run" of Cargo's page, against what is
   worked out from the times and the graph of packages alone.
2. What the model of a machine makes of a build with one job for all processors, against a build with all of them.
3. What it says that a dependency costs, against a build in which that dependency is behind its gate (in templates/example).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from published import PUBLISHED, assemble
from tables import head, row

from buildopt.cargo.crate_graph import query_crates
from buildopt.cargo.timings import parse_timings
from buildopt.cargo.toolchain import probe_toolchain
from buildopt.host import Host
from buildopt.measure.critical_path import Job, Need, critical_path, schedule
from buildopt.record import UnitRow
from buildopt.report.slow_units import jobs_of

EXAMPLE = Path(__file__).parents[1] / "templates" / "example"


def timed_build(root: Path, scratch: Path, jobs: int) -> tuple[list[dict[str, Any]], str]:
    """Build `root` from nothing and return the rows of Cargo's page that ran, and the page."""
    target = scratch / "target"
    shutil.rmtree(target, ignore_errors=True)
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target), "CARGO_TERM_QUIET": "true"}
    command = ["cargo", "build", "--workspace", "--offline", "--timings", f"-j{jobs}"]
    subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)
    (page,) = (path for path in (target / "cargo-timings").iterdir() if path.name != "cargo-timing.html")
    html = page.read_text()
    rows, _ = json.JSONDecoder().raw_decode(html, html.index("UNIT_DATA = ") + len("UNIT_DATA = "))
    return [each for each in rows if each["start"] or each["duration"]], html


def as_jobs(root: Path, scratch: Path, html: str) -> tuple[Job, ...]:
    host = Host()
    crates = query_crates(host, root, probe_toolchain(host, root, scratch).host)
    units = [UnitRow(*unit[:4], False, None, *unit[5:]) for unit in parse_timings(html)]
    return jobs_of(units, crates)


def told_needs(rows: list[dict[str, Any]]) -> dict[int, Need]:
    """Return, by unit, the one that Cargo's page says made it able to run."""
    position = {each["i"]: at for at, each in enumerate(rows)}
    return {
        position[other]: Need(at, metadata)
        for at, each in enumerate(rows)
        for key, metadata in (("unblocked_units", False), ("unblocked_rmeta_units", True))
        for other in each[key]
        if other in position
    }


def workspace(name: str, folder: Path, scratch: Path, cores: int) -> list[str]:
    """Return the cells of one workspace."""
    root = assemble(name, folder)
    rows, html = timed_build(root, scratch, cores)
    jobs, told = as_jobs(root, scratch, html), told_needs(rows)
    chain = [max(range(len(jobs)), key=lambda at: (jobs[at].end, -at))]
    while chain[-1] in told:
        chain.append(told[chain[-1]].job)
    found = sum(need in jobs[at].needs for at, need in told.items())
    same = [link.job for link in critical_path(jobs)] == chain[::-1]
    one_by_one, html = timed_build(root, scratch, 1)
    alone = as_jobs(root, scratch, html)
    real = max(job.end for job in jobs)
    forecast = schedule(alone, cores).seconds
    return [
        f"{len(jobs)} units",
        f"{len(chain)} of {len(chain)}" if same else "another path",
        f"{found} of {len(told)}",
        f"{real:.1f} s",
        f"{schedule(jobs, cores).seconds:.1f} s",
        f"{max(job.end for job in alone):.1f} s, {len(one_by_one)} units",
        f"{forecast:.1f} s ({forecast / real - 1:+.0%})",
    ]


def gate(scratch: Path) -> None:
    """Print what the report says that `image` costs in the example, and what the same build takes with it behind its gate."""
    root = scratch / "tally"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("target", ".buildopt"))
    environment = {**os.environ, "CARGO_TERM_QUIET": "true"}

    def buildopt(*words: str) -> str:
        command = [sys.executable, "-m", "buildopt", *words]
        return subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True, text=True).stdout

    def build() -> dict[str, Any]:
        shutil.rmtree(root / "target", ignore_errors=True)
        buildopt("run", "core", "--only", "--scope", "workspace", "--set", 'cache.wrapper="none"')
        return json.loads(buildopt("report", "--slow", "--json"))  # type: ignore[no-any-return]

    before = build()
    image = next(each for each in before["dependencies"] if each["name"] == "image")
    buildopt("sync")
    after = build()
    head("without image", ["work", "build"])
    whole = before["build"]
    row("with it", [f"{whole['work_seconds']:.1f} s", f"{whole['seconds']:.1f} s"])
    row("said to be saved", [f"{image['work_seconds']:.1f} s", f"{image['wall_seconds']:.1f} s"])
    saved = (whole["work_seconds"] - after["build"]["work_seconds"], whole["seconds"] - after["build"]["seconds"])
    row("saved", [f"{seconds:.1f} s" for seconds in saved])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the real workspaces are, or are put")
    parser.add_argument("names", nargs="*", choices=[*PUBLISHED, []], help="all when absent")
    arguments = parser.parse_args()
    cores = Host().cores
    titles = [
        "clean build",
        "path as Cargo's page has it",
        "needs as Cargo's page has them",
        f"took, {cores} at once",
        "the model of that",
        "took, 1 at once",
        f"forecast from that for {cores}",
    ]
    with tempfile.TemporaryDirectory() as text:
        scratch = Path(text)
        names = arguments.names or list(PUBLISHED)
        cells = [workspace(name, arguments.folder, scratch, cores) for name in names]
        head("critical path and model", names)
        for title, line in zip(titles, zip(*cells, strict=True), strict=True):
            row(title, line)
        gate(scratch)


if __name__ == "__main__":
    main()
