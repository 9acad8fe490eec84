"""Slowest shard against the ideal, on recorded times of a real test suite: buildopt's split beside nextest's partitions.

    python benchmarks/shards.py FOLDER [--runs 6] [--target DIR]

FOLDER is a copy of a Cargo workspace whose crates are fetched. Its tests run under nextest, `--runs` times and once more to
warm up. The first half of the runs is what is known; each run of the second half is then split by it over 2, 4 and 8 jobs, as
CI does. Beside it: by its own times, which nobody can know before, and as nextest's slice and hash deal the tests out. What a
job takes is the sum of its tests; the ideal is all of them over the number of jobs, or the longest single test. A ratio of
1.000 is the ideal. The times are wall times: whatever else runs on the machine is in them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tables import head, row

from buildopt.cargo.junit import parse_report
from buildopt.cargo.nextest import parse_listing, report_config
from buildopt.measure.shards import TestName, split, weights

JOBS = (2, 4, 8)
Times = Mapping[TestName, float]


def nextest(folder: Path, target: Path, *words: str) -> bytes:
    """Run nextest in the workspace and return what it printed; tests may fail, nextest may not."""
    command = ["cargo", "nextest", words[0], "--workspace", "--offline", *words[1:]]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "CARGO_TARGET_DIR": str(target)}, capture_output=True, check=False
    )
    if done.returncode not in (0, 100):  # 100: a test has failed
        raise SystemExit(done.stderr.decode(errors="replace")[-2000:])
    return done.stdout


def measured(folder: Path, target: Path) -> Times:
    """Return what each test that passes takes in one run of all."""
    with tempfile.TemporaryDirectory() as scratch:
        config, report = Path(scratch, "nextest.toml"), Path(scratch, "junit.xml")
        config.write_text(report_config(report))
        nextest(folder, target, "run", "--no-fail-fast", "--tool-config-file", f"buildopt:{config}")
        return {(test.binary, test.test): test.seconds for test in parse_report(report.read_bytes())}


def dealt_by_nextest(folder: Path, target: Path, how: str, jobs: int) -> list[set[TestName]]:
    """Return the tests of each job when nextest deals them out."""
    listed = (
        parse_listing(
            nextest(folder, target, "list", "--message-format", "json", "--partition", f"{how}:{number}/{jobs}")
        )
        for number in range(1, jobs + 1)
    )
    return [{(binary, name) for binary, names in tests.items() for name in names} for tests in listed]


def dealt_by_buildopt(known: Times, times: Times, jobs: int) -> list[set[TestName]]:
    """Return the tests of each job when buildopt splits them by `known`; what is not known goes in turn, as nextest's slice."""
    tests: dict[str, list[str]] = {}
    for binary, name in sorted(times):
        tests.setdefault(binary, []).append(name)
    splits, unknown = split(tests, known, jobs)
    dealt = [{(binary, name) for binary, names in job.tests.items() for name in names} for job in splits]
    for position, test in enumerate((binary, name) for binary, names in unknown.items() for name in names):
        dealt[position % jobs].add(test)
    return dealt


def ratio(dealt: Sequence[set[TestName]], times: Times) -> float:
    """Return the slowest job over the ideal."""
    loads = [sum(times.get(test, 0.0) for test in tests) for tests in dealt]
    return max(loads) / max(sum(times.values()) / len(dealt), *times.values())


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--target", type=Path, help="target directory; one beside the folder when absent")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    target = arguments.target or folder.with_name(f"{folder.name}-target")
    measured(folder, target)
    runs = [measured(folder, target) for _ in range(arguments.runs)]
    for number, times in enumerate(runs, start=1):
        longest = max(times, key=lambda test: times[test])
        print(
            f"run {number}: {len(times)} tests, {sum(times.values()):.1f} s, the longest {times[longest]:.2f} s"
            f" ({' '.join(longest)})"
        )
    for jobs in JOBS:
        table(runs, jobs, {how: dealt_by_nextest(folder, target, how, jobs) for how in ("slice", "hash")})


def table(runs: Sequence[Times], jobs: int, nextests: Mapping[str, list[set[TestName]]]) -> None:
    """Print the ratios of each way to split: what the first half of the runs knows, held against each run of the second."""
    half = len(runs) // 2
    known, later = pooled(runs[:half]), runs[half:]
    single = [ratios(known, times, jobs, nextests) for times in later]
    names = ("earlier runs", "the same times", "nextest slice", "nextest hash")
    head(f"{jobs} jobs, slowest / ideal, balanced by", names)
    row(
        f"median of {len(later)} later runs",
        [f"{statistics.median(values):.3f}" for values in zip(*single, strict=True)],
    )
    row("worst of them", [f"{max(values):.3f}" for values in zip(*single, strict=True)])
    row("their median times", [f"{value:.3f}" for value in ratios(known, pooled(later), jobs, nextests)])


def ratios(known: Times, times: Times, jobs: int, nextests: Mapping[str, list[set[TestName]]]) -> list[float]:
    """Return the ratio of each way to split."""
    dealt = [dealt_by_buildopt(each, times, jobs) for each in (known, times)]
    return [ratio(each, times) for each in (*dealt, nextests["slice"], nextests["hash"])]


def pooled(runs: Sequence[Times]) -> Times:
    """Return what a record of these runs says: the median of the samples of each test."""
    return weights((test, seconds) for times in runs for test, seconds in times.items())


if __name__ == "__main__":
    main()
