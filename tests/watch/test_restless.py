from __future__ import annotations

from buildopt.watch.restless import Restless


def test_the_same_file_ten_times_at_work_is_said_once_and_slows_the_start():
    restless = Restless()
    said = [restless.edited({"src/made.rs"}, at_work=True) for _ in range(12)]
    assert said == [False] * 9 + [True] + [False] * 2
    assert restless.quiet_seconds == 0.5


def test_an_edit_at_rest_or_of_another_file_begins_anew():
    restless = Restless()
    for _ in range(9):
        restless.edited({"a"}, at_work=True)
    assert not restless.edited({"a"}, at_work=False)
    for _ in range(9):
        assert not restless.edited({"a"}, at_work=True)
    assert not restless.edited({"b"}, at_work=True)
    assert restless.quiet_seconds == 0.0
