from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.cargo.messages import ArtifactMessage, parse_messages
from buildopt.cargo.timings import TimedUnit, parse_timings
from buildopt.cargo.units import join_units

DATA = Path(__file__).parent / "data"


def artifact(
    package: str = "a", mode: str = "build", *, fresh: bool | None = False, features: tuple[str, ...] = ()
) -> ArtifactMessage:
    target = "build-script" if mode == "run-custom-build" else "lib"
    return ArtifactMessage(f"{package}#1", package, "1.0.0", "lib", package, target, mode, features, fresh, None)


def timed(
    package: str = "a",
    mode: str = "build",
    *,
    start: float = 1.0,
    duration: float = 2.0,
    features: tuple[str, ...] | None = (),
) -> TimedUnit:
    target = "build-script" if mode == "run-custom-build" else "lib"
    return TimedUnit(package, "1.0.0", target, mode, features, start, duration, 0.5, None)


@pytest.mark.parametrize("version", ["1.63", "1.74", "1.91", "1.95"])
@pytest.mark.parametrize(("kind", "fresh"), [("check", 3), ("test", 2)])
def test_recorded_runs_join_without_rest(version, kind, fresh):
    artifacts = parse_messages((DATA / f"{kind}-{version}.jsonl").read_bytes()).artifacts
    timings = parse_timings((DATA / f"{kind}-{version}.html").read_text())
    rows = join_units(artifacts, timings, {("base", "0.1.0"): "the file `base/src/lib.rs` has changed"})
    assert len(rows) == len(artifacts)
    if version != "1.63" or kind == "test":  # there the build before had built more of it
        assert sum(row.fresh for row in rows) == fresh
    assert all((row.duration_seconds is None) == row.fresh for row in rows)
    assert {row.reason for row in rows if row.package == "base" and not row.fresh} == {
        "the file `base/src/lib.rs` has changed"
    }


def test_equal_units_are_told_apart_by_features_and_then_by_order():
    rows = join_units(
        [artifact(features=("x",)), artifact(), artifact(fresh=True), artifact()],
        [timed(start=5), timed(start=1), timed(start=3, features=("x",))],
    )
    assert [(row.fresh, row.start_seconds) for row in rows] == [(False, 3), (False, 1), (True, None), (False, 5)]


def test_pages_that_do_not_tell_features_are_joined_by_order():
    rows = join_units(
        [artifact(features=("x",)), artifact()], [timed(start=2, features=None), timed(start=1, features=None)]
    )
    assert [row.start_seconds for row in rows] == [1, 2]


def test_without_times_a_unit_is_still_there():
    (row,) = join_units([artifact()], ())
    assert (row.fresh, row.start_seconds, row.duration_seconds) == (False, None, None)


def test_a_unit_that_failed_is_known_from_its_time_alone():
    rows = join_units([artifact("a")], [timed("a"), timed("b"), timed("b", "doctest")], {("b", "1.0.0"): "forced"})
    assert [(row.package, row.fresh, row.reason) for row in rows] == [("a", False, None), ("b", False, "forced")]


@pytest.mark.parametrize(
    ("timings", "others_fresh", "fresh"),
    [
        ((timed(mode="run-custom-build", features=("x",)),), True, False),
        ((timed("other"),), False, True),
        ((), True, True),
        ((), False, False),
    ],
)
def test_the_run_of_a_build_script_was_fresh_when_no_time_says_that_it_ran(timings, others_fresh, fresh):
    rows = join_units([artifact(mode="run-custom-build", fresh=None), artifact(fresh=others_fresh)], timings)
    assert rows[0].fresh is fresh


def test_fresh_units_have_no_reason():
    rows = join_units([artifact(fresh=True), artifact(mode="test")], (), {("a", "1.0.0"): "forced"})
    assert [row.reason for row in rows] == [None, "forced"]


UNITS = st.tuples(
    st.sampled_from("ab"), st.sampled_from(["build", "test", "run-custom-build"]), st.sampled_from([(), ("x",)])
)


@given(
    st.lists(st.tuples(UNITS, st.booleans())),
    st.lists(st.tuples(UNITS, st.floats(0, 9), st.booleans())),
)
def test_no_unit_is_lost_and_no_time_is_used_twice(seen, ran):
    artifacts = [
        artifact(p, m, features=f, fresh=None if m == "run-custom-build" else fresh) for (p, m, f), fresh in seen
    ]
    timings = [timed(p, m, start=s, features=f if told else None) for (p, m, f), s, told in ran]
    rows = join_units(artifacts, timings)
    assert [(r.package, r.mode) for r in rows[: len(artifacts)]] == [(a.package, a.mode) for a in artifacts]
    used = Counter((r.package, r.mode, r.start_seconds) for r in rows if r.start_seconds is not None)
    assert used == Counter((t.package, t.mode, t.start_seconds) for t in timings)
    for row, unit in zip(rows, artifacts, strict=False):
        assert unit.fresh is None or row.fresh == unit.fresh
        assert not (row.fresh and row.duration_seconds is not None)
