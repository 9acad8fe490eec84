from __future__ import annotations

from buildopt.watch.restless import Restless


def test_a_stage_may_end_when_too_many_were_ended_before():
    restless = Restless()
    for _ in range(5):
        assert not restless.lets_finish()
        restless.cancelled()
    assert restless.lets_finish()
    restless.finished({"src/a.rs"})
    assert not restless.lets_finish()


def test_a_file_that_changes_in_three_stages_in_a_row_starts_nothing_any_more():
    restless = Restless()
    assert restless.finished({"src/made.rs"}) == ()
    assert restless.finished({"src/made.rs"}) == ()
    assert restless.finished({"src/made.rs"}) == ("src/made.rs",)
    assert restless.starts_nothing("src/made.rs")
    assert not restless.starts_nothing("src/a.rs")


def test_a_person_who_edits_it_later_is_heard():
    restless = Restless()
    for _ in range(3):
        restless.finished({"src/made.rs"})
    restless.touched_at_rest({"src/made.rs"})
    assert not restless.starts_nothing("src/made.rs")


def test_different_files_and_quiet_stages_are_no_row():
    restless = Restless()
    for paths in ({"a"}, {"b"}, {"a"}, set(), {"a"}, {"a"}):
        assert restless.finished(paths) == ()
