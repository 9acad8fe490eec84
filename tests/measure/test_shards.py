"""Tests split over jobs: complete, disjoint, the same for everybody who sees the same times, and balanced."""

from __future__ import annotations

import random
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from buildopt.measure.shards import DOC_TESTS, Split, TestName, split, weights
from buildopt.measure.timeouts import follow

NAMES = st.tuples(st.sampled_from(["a", "b", "b::it", "c"]), st.text(min_size=1, max_size=3))
SECONDS = st.floats(0, 1e4, allow_nan=False)
TIMES = st.dictionaries(NAMES, SECONDS, max_size=40)
LISTED = st.sets(NAMES, max_size=40)
JOBS = st.integers(1, 9)


def listing(tests: set[TestName]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for binary, name in sorted(tests):
        found[binary] = (*found.get(binary, ()), name)
    return found


def flat(tests: Mapping[str, tuple[str, ...]]) -> list[TestName]:
    return [(binary, name) for binary, names in tests.items() for name in names]


def jobs_of(splits: tuple[Split, ...]) -> dict[TestName, int]:
    return {test: number for number, job in enumerate(splits) for test in flat(job.tests)}


@given(LISTED, TIMES, JOBS)
def test_every_test_is_in_one_job_or_unknown(tests: set[TestName], times: dict[TestName, float], jobs: int):
    splits, unknown = split(listing(tests), times, jobs)
    assert len(splits) == jobs
    everything = [test for job in splits for test in flat(job.tests)] + flat(unknown)
    assert sorted(everything) == sorted(tests), "complete, and nothing twice"
    assert set(flat(unknown)) == tests - times.keys()


@given(LISTED, TIMES, JOBS, st.randoms())
def test_the_order_of_what_is_known_changes_nothing(
    tests: set[TestName], times: dict[TestName, float], jobs: int, chance: random.Random
):
    shuffled = list(times.items())
    chance.shuffle(shuffled)
    assert split(listing(tests), dict(shuffled), jobs) == split(listing(tests), times, jobs)


@given(LISTED, LISTED, TIMES, JOBS)
def test_jobs_whose_lists_differ_never_disagree_about_a_test(
    one: set[TestName], other: set[TestName], times: dict[TestName, float], jobs: int
):
    binaries = {(binary, "there anyhow") for binary in ("a", "b", "b::it", "c")}
    mine = jobs_of(split(listing(one | binaries), times, jobs)[0])
    yours = jobs_of(split(listing(other | binaries), times, jobs)[0])
    assert all(yours[test] == mine[test] for test in mine.keys() & yours.keys())


@given(TIMES, JOBS)
def test_no_job_has_more_than_its_part_and_one_test(times: dict[TestName, float], jobs: int):
    splits, _ = split(listing(set(times)), times, jobs)
    loads = [job.seconds for job in splits]
    longest = max(times.values(), default=0.0)
    assert max(loads) <= (sum(loads) / jobs + longest) * 1.0001 + 0.001
    assert abs(sum(loads) - sum(times.values())) <= 0.001 * len(times) + 1e-6 * sum(loads)


def test_the_longest_go_first_and_equal_ones_by_name():
    times = {("a", "slow"): 10.0, ("a", "x"): 4.0, ("a", "y"): 4.0, ("a", "z"): 3.0}
    splits, _ = split(listing(set(times)), times, 2)
    assert [job.tests for job in splits] == [{"a": ("slow",)}, {"a": ("x", "y", "z")}]
    tied = {("b", "p"): 1.0, ("b", "q"): 1.0, ("a", "r"): 1.0}
    splits, _ = split(listing(set(tied)), tied, 2)
    assert [job.tests for job in splits] == [{"a": ("r",), "b": ("q",)}, {"b": ("p",)}]


def test_what_the_first_job_does_besides_counts():
    times = {("a", name): 1.0 for name in "wxyz"} | {(DOC_TESTS, "dev-test"): 3.0}
    splits, unknown = split(listing({("a", name) for name in "wxyz"}), times, 2, 3.0)
    assert [len(flat(job.tests)) for job in splits] == [0, 4] or [len(flat(job.tests)) for job in splits] == [1, 3]
    assert splits[0].seconds >= 3.0
    assert unknown == {}


def test_a_test_that_is_gone_keeps_its_place_and_a_binary_that_is_gone_does_not():
    times = {("a", "gone"): 5.0, ("a", "x"): 4.0, ("lost", "y"): 50.0}
    splits, _ = split({"a": ("x",)}, times, 2)
    assert [job.tests for job in splits] == [{}, {"a": ("x",)}]
    assert [round(job.seconds) for job in splits] == [5, 4]


def test_the_weight_of_a_test_is_the_median_of_its_samples():
    x, y = ("a", "x"), ("a", "y")
    assert weights([(y, 2.0), (x, 9.0), (x, 1.0), (x, 3.0), (y, 4.0)]) == {x: 3.0, y: 3.0}
    assert weights([]) == {}


def test_a_timeout_follows_the_95th_percentile_within_bounds():
    assert follow(()) == 3600
    assert follow([1.0]) == 60
    assert follow([30.0, 100.0, 40.0]) == 300
    assert follow([100.0] * 96 + [900.0] * 4) == 300, "four of a hundred do not count"
    assert follow([100.0] * 94 + [900.0] * 6) == 2700
    assert follow([5000.0]) == 3600


@given(st.lists(SECONDS, max_size=60))
def test_a_timeout_is_always_within_bounds_and_above_what_was_usual(seconds: list[float]):
    timeout = follow(seconds)
    assert 60 <= timeout <= 3600
    if seconds and sorted(seconds)[len(seconds) // 2] < 3600:
        assert timeout > sorted(seconds)[len(seconds) // 2]
