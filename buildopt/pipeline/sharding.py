"""One of several jobs that share a run of tests: which of nextest's tests it runs, found once they are listed. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from buildopt.cargo.nextest import filtersets, parse_listing
from buildopt.measure.shards import DOC_TESTS, Split, TestName, split
from buildopt.units import format_duration

__all__ = ["Chosen", "Shard", "choose_tests"]


class Shard(NamedTuple):
    """One job of several, and what it knows of the tests."""

    number: int
    """From 1."""
    of: int
    seconds: Mapping[TestName, float]
    """What each test took before. All jobs of a run must be given the same."""
    group: str = ""
    """Whose documentation tests the first job runs besides."""

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def slice(self) -> tuple[str, ...]:
        """Return the arguments by which nextest deals out tests itself, one to each job in turn."""
        return ("--partition", f"slice:{self}")


class Chosen(NamedTuple):
    """What is added to `cargo nextest run`, once for each time that it is run."""

    arguments: tuple[tuple[str, ...], ...]
    note: str


def choose_tests(listing: bytes, shard: Shard) -> Chosen:
    """Return what `shard` runs of the tests that `cargo nextest list` has printed.

    Those with a known time are named; the others are dealt out by nextest, the same number to every job, give or take
    one. Whatever leads to another way of splitting is the same for all jobs.
    """
    try:
        tests = parse_listing(listing)
    except ValueError as error:
        return Chosen((shard.slice,), f"shard {shard}: nextest deals out the tests, {error}")
    jobs, unknown = split(tests, shard.seconds, shard.of, shard.seconds.get((DOC_TESTS, shard.group), 0.0))
    named = [filtersets(job.tests, tests) for job in jobs]
    others = filtersets(unknown, tests)
    if others is None or any(part is None for part in named):
        return Chosen(
            (shard.slice,), f"shard {shard}: nextest deals out the tests, no command line has room for their names"
        )
    if not any(named):
        return Chosen((shard.slice,), f"shard {shard}: nextest deals out the tests, no recorded time is of any of them")
    mine = named[shard.number - 1] or ()
    runs = [(_expressions(mine), ()), (_expressions(others), shard.slice)]
    note = _note(shard, jobs[shard.number - 1], sum(job.seconds for job in jobs), _count(unknown))
    return Chosen(tuple((*chosen, *more) for chosen, more in runs if chosen), note)


def _expressions(expressions: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part for expression in expressions for part in ("-E", expression))


def _count(tests: Mapping[str, tuple[str, ...]]) -> int:
    return sum(map(len, tests.values()))


def _note(shard: Shard, job: Split, total: float, unknown: int) -> str:
    count = _count(job.tests)
    tests = "1 test" if count == 1 else f"{count} tests"
    text = f"{tests} of {format_duration(job.seconds)} out of {format_duration(total)}, by recorded times"
    more = f"; {unknown} without one are dealt out by nextest" if unknown else ""
    return f"shard {shard}: {text}{more}"
