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
