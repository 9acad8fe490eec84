"""A sample that other work disturbed is told apart from a clean one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.measure.samples import pollution


@pytest.mark.parametrize(
    ("share", "lock_wait", "words"),
    [
        (0.0, False, None),
        (0.14, False, None),
        (0.34, False, "other processes used 34 % of the processors"),
        (None, False, None),
        (0.0, True, "waited for a lock"),
        (None, True, "waited for a lock"),
        (0.5, True, "waited for a lock"),
    ],
)
def test_what_disturbed_a_sample_is_named(share: float | None, lock_wait: bool, words: str | None) -> None:
    assert pollution(2.0, 2.0, share, lock_wait, cores=2) == words


def test_others_cannot_have_had_what_the_sample_itself_used() -> None:
    assert pollution(1.0, 1.9, 0.4, False, cores=2) is None
    assert pollution(1.0, 0.4, 0.4, False, cores=2) == "other processes used 40 % of the processors"


def test_a_tick_more_or_less_disturbs_no_short_sample() -> None:
    assert pollution(0.05, 0.05, 0.3, False, cores=2) is None
    assert pollution(5.0, 5.0, 0.3, False, cores=2) is not None


@given(st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0, 1), st.integers(1, 256))
def test_no_measurement_is_refused(wall: float, cpu: float, share: float, cores: int) -> None:
    words = pollution(wall, cpu, share, False, cores=cores)
    assert words is None or words.startswith("other processes used ")
