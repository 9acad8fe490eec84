"""What bounds a build: the chain that decided when it ended, where it was serial, and what another machine would make of it. Pure.

A job is one unit of Cargo. The model of a machine is a list schedule: a job holds one processor from its start to its end, and of
the jobs that can start, the one that most others wait for comes first, as in Cargo.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

__all__ = [
    "Job",
    "Link",
    "Need",
    "Schedule",
    "Stretch",
    "critical_path",
    "dependents",
    "most_at_once",
    "schedule",
    "serial_stretches",
]

_ROUNDING_SECONDS = 0.02  # Cargo rounds both ends to 0.01 s


class Need(NamedTuple):
    """What a job waits for."""

    job: int
    """Its index."""
    metadata: bool
    """Whether its metadata is enough, so that its code generation can still run."""


class Job(NamedTuple):
    """One unit as it ran. Seconds since Cargo was invoked."""

    start: float
    duration: float
    metadata_after: float | None
    """Seconds from its start until its metadata was there; None where it has none."""
    needs: tuple[Need, ...]

    @property
    def end(self) -> float:
        """Return when it ended."""
        return self.start + self.duration


class Link(NamedTuple):
    """One job of the critical path."""

    job: int
    waited_seconds: float
    """From when it could start until it did: all processors were at other jobs."""
    seconds: float
    """From its start until the next job of the path could start; for the last job, until its end."""


class Stretch(NamedTuple):
    """A time in which only one job ran."""

    job: int
    start: float
    end: float

    @property
    def seconds(self) -> float:
        """Return how long it was."""
        return self.end - self.start


class Schedule(NamedTuple):
    """Jobs as a machine would run them."""

    seconds: float
    starts: Mapping[int, float]
    """By job, those left out aside."""

    def moved(self, jobs: Sequence[Job]) -> tuple[Job, ...]:
        """Return all of `jobs` at the times of this schedule."""
        return tuple(job._replace(start=self.starts[at]) for at, job in enumerate(jobs))


def critical_path(jobs: Sequence[Job]) -> tuple[Link, ...]:
    """Return the chain of jobs that led to the end of the build, first one first.

    From the job that ended last, back to the need of each that was met last. The seconds of all links, waits included, add up to
    the end of the build.
    """
    if not jobs:
        return ()
    at = max(range(len(jobs)), key=lambda index: (jobs[index].end, -index))
    until = jobs[at].end
    seen: set[int] = set()
    links: list[Link] = []
    while True:
        job = jobs[at]
        seen.add(at)
        met = [(min(_given(jobs, need), job.start), need.job) for need in job.needs if need.job not in seen]
        ready, before = max(met, default=(0.0, -1))
        links.append(Link(at, job.start - ready, until - job.start))
        if before < 0:
            return tuple(reversed(links))
        at, until = before, ready


def serial_stretches(jobs: Sequence[Job]) -> tuple[Stretch, ...]:
    """Return every time in which exactly one job ran, in order; neighbouring times of one job are one."""
    found: list[Stretch] = []
    for start, end, active in _slices(jobs):
        if len(active) == 1:
            (job,) = active
            if found and found[-1].job == job and start - found[-1].end <= _ROUNDING_SECONDS:
                found[-1] = found[-1]._replace(end=end)
            else:
                found.append(Stretch(job, start, end))
    return tuple(stretch for stretch in found if stretch.seconds > _ROUNDING_SECONDS)


def most_at_once(jobs: Sequence[Job]) -> int:
    """Return how many jobs ran at the same time at most, overlaps by rounding aside."""
    return max((len(active) for start, end, active in _slices(jobs) if end - start > _ROUNDING_SECONDS), default=0)


def schedule(jobs: Sequence[Job], cores: int | None, *, without: Collection[int] = ()) -> Schedule:
    """Return how `jobs` run on `cores` processors (None: as many as they can use), `without` some of them.

    What needs a job that is left out does not wait for it.
    """
    left_out = set(without)
    starts: dict[int, float] = {}
    waiting = [sum(need.job not in left_out for need in job.needs) for job in jobs]
    metadata, whole = _followers(jobs)
    urgency = dependents(jobs)
    runnable = [(-urgency[at], at) for at, count in enumerate(waiting) if not count and at not in left_out]
    heapq.heapify(runnable)
    events: list[tuple[float, int, bool]] = []  # when, job, whether that is its end (else its metadata)
    now, free = 0.0, cores if cores is not None else len(jobs)
    while True:
        while free > 0 and runnable:
            at = heapq.heappop(runnable)[1]
            free -= 1
            job, starts[at] = jobs[at], now
            heapq.heappush(events, (now + job.duration, at, True))
            heapq.heappush(events, (now + _metadata_seconds(job), at, False))
        if not events:
            return Schedule(now, starts)
        now, at, ended = heapq.heappop(events)
        free += ended
        for dependent in whole[at] if ended else metadata[at]:
            waiting[dependent] -= 1
            if not waiting[dependent] and dependent not in left_out:
                heapq.heappush(runnable, (-urgency[dependent], dependent))


def dependents(jobs: Sequence[Job]) -> list[int]:
    """Return how many jobs need each, directly or not; needs never form a ring."""
    found = [0] * len(jobs)  # sets of jobs, as bits
    order = sorted(range(len(jobs)), key=lambda at: (jobs[at].start, jobs[at].end, at), reverse=True)
    for at in order:  # a job starts after all that it needs
        for need in jobs[at].needs:
            found[need.job] |= found[at] | 1 << at
    return [bits.bit_count() for bits in found]


def _given(jobs: Sequence[Job], need: Need) -> float:
    """Return when a need was met."""
    job = jobs[need.job]
    return job.start + _metadata_seconds(job) if need.metadata else job.end


def _metadata_seconds(job: Job) -> float:
    return job.duration if job.metadata_after is None else min(job.metadata_after, job.duration)


def _slices(jobs: Sequence[Job]) -> Iterator[tuple[float, float, frozenset[int]]]:
    """Yield the times between any two starts or ends, with the jobs that ran."""
    events = sorted((when, at) for at, job in enumerate(jobs) for when in (job.start, job.end) if job.duration > 0)
    active: set[int] = set()
    for (when, at), (until, _) in pairwise(events):
        active ^= {at}
        if until > when:
            yield when, until, frozenset(active)


def _followers(jobs: Sequence[Job]) -> tuple[list[list[int]], list[list[int]]]:
    metadata: list[list[int]] = [[] for _ in jobs]
    whole: list[list[int]] = [[] for _ in jobs]
    for at, job in enumerate(jobs):
        for need in job.needs:
            (metadata if need.metadata else whole)[need.job].append(at)
    return metadata, whole
