from __future__ import annotations

import pytest

from buildopt.watch.restless import Restless


def test_the_same_file_ten_times_in_a_row_is_said_once_and_slows_the_start():
    restless = Restless()
    said = [restless.edited({"src/made.rs"}, number * 0.2, at_work=True) for number in range(12)]
    assert said == [False] * 9 + [True] + [False] * 2
    assert restless.quiet_seconds == 0.5
    assert not restless.edited({"src/made.rs"}, 2.2 + 0.7, at_work=True)
    assert restless.quiet_seconds == 0.5


@pytest.mark.parametrize(("paths", "seconds", "at_work"), [({"a"}, 2.0, False), ({"b"}, 2.0, True), ({"a"}, 2.8, True)])
def test_an_edit_at_rest_of_another_file_or_after_a_pause_begins_anew(paths: set[str], seconds: float, at_work: bool):
    restless = Restless()
    for number in range(9):
        restless.edited({"a"}, number * 0.2, at_work=True)
    assert not restless.edited(paths, seconds, at_work=at_work)
    assert restless.quiet_seconds == 0.0


def test_a_slow_moment_of_the_machine_does_not_begin_anew():
    """On a busy machine one build in ten took longer than a person's edit would, and nothing was ever slowed."""
    restless, now, said = Restless(), 0.0, []
    for number in range(30):
        said.append(restless.edited({"src/made.rs"}, now, at_work=True))
        now += restless.quiet_seconds + (1.2 if number % 4 == 3 else 0.2)
    assert said.count(True) == 1
    assert restless.quiet_seconds == 0.5
    assert not restless.edited({"src/made.rs"}, now + 2.5, at_work=True)
    assert restless.quiet_seconds == 0.0


def test_a_person_who_saves_again_and_again_is_not_slowed():
    restless = Restless()
    assert not any(restless.edited({"src/lib.rs"}, number * 0.5, at_work=True) for number in range(100))
    assert restless.quiet_seconds == 0.0
