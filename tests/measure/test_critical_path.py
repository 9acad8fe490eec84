"""The chain that bounds a build, and the model of a machine: what must hold for every graph of jobs."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.measure.critical_path import Job, Need, critical_path, most_at_once, schedule, serial_stretches


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Job, ...]:
    """Return jobs that need earlier ones, as a graph of units does."""
    jobs: list[Job] = []
    for at in range(draw(st.integers(0, 10))):
        duration = draw(st.integers(3, 500)) / 100  # above what Cargo rounds away
        share = draw(st.sampled_from((None, 0.0, 0.3, 1.0)))
        bits = draw(st.integers(0, 4**at - 1))  # two for each job before: not needed, needed whole, its metadata
        kinds = [bits >> 2 * other & 3 for other in range(at)]
        needs = tuple(Need(other, kind == 2) for other, kind in enumerate(kinds) if kind in (1, 2))
        metadata = None if share is None else share * duration
        jobs.append(Job(0.0, duration, metadata, needs))
    return tuple(jobs)


CORES = st.integers(1, 6)


@given(graphs(), CORES)
def test_a_schedule_keeps_to_the_processors_and_to_what_is_needed(jobs: tuple[Job, ...], cores: int) -> None:
    plan = schedule(jobs, cores)
    moved = plan.moved(jobs)
    assert most_at_once(moved) <= cores
    assert plan.seconds == pytest.approx(max((job.end for job in moved), default=0.0))
    for job in moved:
        for need in job.needs:
            other = moved[need.job]
            given_after = other.duration if other.metadata_after is None or not need.metadata else other.metadata_after
            assert job.start >= other.start + given_after - 1e-9


@given(graphs(), CORES)
def test_it_takes_neither_less_than_the_bounds_nor_more_than_both_together(jobs: tuple[Job, ...], cores: int) -> None:
    work, chain = sum(job.duration for job in jobs), schedule(jobs, None).seconds
    seconds = schedule(jobs, cores).seconds
    assert max(work / cores, chain) - 1e-9 <= seconds <= work / cores + chain + 1e-9
    assert schedule(jobs, 1).seconds == pytest.approx(work)


@given(graphs(), CORES)
def test_the_links_of_the_path_add_up_to_the_build(jobs: tuple[Job, ...], cores: int) -> None:
    moved = schedule(jobs, cores).moved(jobs)
    path = critical_path(moved)
    assert sum(link.seconds + link.waited_seconds for link in path) == pytest.approx(
        max((job.end for job in moved), default=0.0)
    )
    assert len({link.job for link in path}) == len(path)
    for before, after in pairwise(path):
        assert before.job in {need.job for need in moved[after.job].needs}


@given(graphs())
def test_with_processors_without_end_nothing_waits(jobs: tuple[Job, ...]) -> None:
    path = critical_path(schedule(jobs, None).moved(jobs))
    assert sum(link.waited_seconds for link in path) == pytest.approx(0.0)


@given(graphs(), CORES, st.data())
def test_jobs_that_are_left_out_cost_nothing(jobs: tuple[Job, ...], cores: int, data: st.DataObject) -> None:
    everything = range(len(jobs))
    without = data.draw(st.sets(st.sampled_from(everything))) if jobs else set()
    plan = schedule(jobs, cores, without=without)
    assert set(plan.starts) == set(everything) - without
    assert schedule(jobs, 1, without=without).seconds == pytest.approx(
        sum(job.duration for at, job in enumerate(jobs) if at not in without)
    )
    assert schedule(jobs, None, without=without).seconds <= schedule(jobs, None).seconds + 1e-9


@given(graphs())
def test_on_one_processor_everything_is_serial(jobs: tuple[Job, ...]) -> None:
    moved = schedule(jobs, 1).moved(jobs)
    assert sum(stretch.seconds for stretch in serial_stretches(moved)) == pytest.approx(
        sum(job.duration for job in jobs)
    )


def test_a_chain_beside_a_lone_job() -> None:
    # a (its metadata after 1 s) lets b start; c runs beside both; b is alone at the end
    jobs = (
        Job(0.0, 2.0, 1.0, ()),
        Job(1.5, 4.0, None, (Need(0, metadata=True),)),
        Job(0.2, 1.3, None, ()),
    )
    path = critical_path(jobs)
    assert [(link.job, link.seconds, link.waited_seconds) for link in path] == [(0, 1.0, 0.0), (1, 4.0, 0.5)]
    assert [(stretch.job, stretch.start, stretch.end) for stretch in serial_stretches(jobs)] == [(0, 0.0, 0.2), (1, 2.0, 5.5)]  # fmt: skip
    assert most_at_once(jobs) == 2
    assert schedule(jobs, 2).seconds == pytest.approx(5.3), "b waits for a processor until c has ended"
    assert critical_path(()) == ()
    assert serial_stretches(()) == ()
    assert most_at_once(()) == 0
