"""Tests split over CI jobs by how long each took before. Pure.

What the durations know decides alone which job runs a test: not which tests there are today. So two jobs that see the
same durations never disagree about a test, even if their lists of tests differ.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

__all__ = ["DOC_TESTS", "Split", "TestName", "split", "weights"]

TestName = tuple[str, str]
"""Binary id and name of a test."""

DOC_TESTS = "(doc)"
"""What stands for the binary id of documentation tests. They are one test, named by who asks for them."""

_START_SECONDS = 0.0002  # what nextest needs for each test beside the test's own process; clap's tests: 0.06 to 0.21 ms


class Split(NamedTuple):
    """What one of several jobs runs. Tests are grouped by binary."""

    tests: Mapping[str, tuple[str, ...]]
    """Those of this job, by recorded times."""
    seconds: float
    """What they should take one after another."""


def split(
    tests: Mapping[str, Sequence[str]], known: Mapping[TestName, float], shards: int, first_seconds: float = 0.0
) -> tuple[tuple[Split, ...], dict[str, tuple[str, ...]]]:
    """Return what each of `shards` jobs runs of `tests`, given the seconds that each took before, and what is not known.

    The longest goes first, each into the job that has least so far; what is equally long goes by name. `first_seconds` is
    what the first job does besides. Tests that are no longer there keep their place, so that the others keep theirs;
    binaries that are not in `tests` are left out. What is not known is to be dealt out evenly by somebody else: taken for
    the median, it is then the same for every job, and does not move what is known.
    """
    present = [(name, seconds) for name, seconds in known.items() if name[0] in tests]
    present.sort(key=lambda item: (-item[1], item[0]))
    loads = [(0.0 if number else first_seconds, number) for number in range(shards)]
    heapq.heapify(loads)
    job: dict[TestName, int] = {}
    for test, seconds in present:
        load, job[test] = loads[0]
        heapq.heapreplace(loads, (load + seconds + _START_SECONDS, job[test]))
    jobs: list[dict[str, list[str]]] = [{} for _ in range(shards)]
    unknown: dict[str, list[str]] = {}
    for binary, names in tests.items():
        for name in names:
            number = job.get((binary, name))
            (unknown if number is None else jobs[number]).setdefault(binary, []).append(name)
    totals = {number: load for load, number in loads}
    splits = tuple(Split(_frozen(part), totals[number]) for number, part in enumerate(jobs))
    return splits, _frozen(unknown)


def weights(samples: Iterable[tuple[TestName, float]]) -> dict[TestName, float]:
    """Return the median seconds of each test, in the order of the names."""
    found: dict[TestName, list[float]] = {}
    for name, seconds in samples:
        found.setdefault(name, []).append(seconds)
    return {name: _median(sorted(found[name])) for name in sorted(found)}


def _frozen(tests: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {binary: tuple(names) for binary, names in tests.items()}


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
