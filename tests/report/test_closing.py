"""The closing line says how a stage ended, what it covered, what it cost, and what comes next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.pipeline.events import CacheUse, StageFinished
from buildopt.report.closing import closing_line, run_line

PASSED = StageFinished(
    stage="quick-check",
    result="success",
    wall_seconds=4.2,
    cpu_seconds=6.1,
    peak_bytes=2**29,
    packages=("core", "api", "app"),
    fresh=40,
    rebuilt=14,
    budget_seconds=5.0,
    timeout_seconds=120.0,
    lock_wait=False,
)
FAILED = PASSED._replace(result="failure", detail="clippy: exit code 101")
CACHE = CacheUse(12, 2, 0, {"crate-type": 3}, "Local disk")


def test_a_success_says_everything_in_one_line() -> None:
    assert closing_line(PASSED, total_packages=12, next_stage="core", via_nox=True) == (
        "quick-check passed in 4.2s (6.1s CPU): 3 of 12 packages, 14 rebuilt, 40 fresh; budget 5s kept. Next: nox -s core"
    )


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        (PASSED, "quick-check passed in 4.2s (6.1s CPU): 3 of 12 packages, 14 rebuilt, 40 fresh; budget 5s kept"),
        (PASSED._replace(rebuilt=0), "quick-check passed in 4.2s (6.1s CPU): 3 of 12 packages, nothing rebuilt, 40 fresh; budget 5s kept"),
        (PASSED._replace(rebuilt=0, fresh=0), "quick-check passed in 4.2s (6.1s CPU): 3 of 12 packages; budget 5s kept"),
        (PASSED._replace(budget_seconds=None), "quick-check passed in 4.2s (6.1s CPU): 3 of 12 packages, 14 rebuilt, 40 fresh"),
        (PASSED._replace(wall_seconds=65.0), "quick-check passed in 1m05s (6.1s CPU): 3 of 12 packages, 14 rebuilt, 40 fresh; over budget 5s by 1m00s"),
        (
            PASSED._replace(wall_seconds=65.0, lock_wait=True),
            "quick-check passed in 1m05s (6.1s CPU): 3 of 12 packages, 14 rebuilt, 40 fresh; over budget 5s, but it waited for a lock that another cargo held",
        ),
        (
            PASSED._replace(budget_seconds=None, lock_wait=True),
            "quick-check passed in 4.2s (6.1s CPU): 3 of 12 packages, 14 rebuilt, 40 fresh; waited for a lock that another cargo held",
        ),
        (PASSED._replace(cache=CACHE), "quick-check passed in 4.2s (6.1s CPU): 3 of 12 packages, 14 rebuilt, 40 fresh; cache 12 of 14 hits; budget 5s kept"),
        (
            PASSED._replace(cache=CACHE._replace(errors=1)),
            "quick-check passed in 4.2s (6.1s CPU): 3 of 12 packages, 14 rebuilt, 40 fresh; cache 12 of 14 hits and 1 error; budget 5s kept",
        ),
        (PASSED._replace(cache=CACHE._replace(hits=0, misses=0)), "quick-check passed in 4.2s (6.1s CPU): 3 of 12 packages, 14 rebuilt, 40 fresh; budget 5s kept"),
        (FAILED, "quick-check failed after 4.2s (6.1s CPU): clippy: exit code 101; 3 of 12 packages, 14 rebuilt, 40 fresh"),
        (FAILED._replace(detail=None, fresh=0, rebuilt=0), "quick-check failed after 4.2s (6.1s CPU); 3 of 12 packages"),
        (
            PASSED._replace(result="timeout", wall_seconds=120.1),
            "quick-check ran past its timeout of 2m and was stopped, with every process it had started; if it needs more, raise the timeout of quick-check",
        ),
        (
            PASSED._replace(result="timeout", wall_seconds=120.1, lock_wait=True),
            "quick-check ran past its timeout of 2m and was stopped, with every process it had started; waited for a lock that another cargo held: run it again",
        ),
        (PASSED._replace(result="cancelled", wall_seconds=0.3, detail="SIGINT"), "quick-check cancelled after 0.30s: SIGINT"),
        (PASSED._replace(result="skipped", detail="core did not pass"), "quick-check skipped: core did not pass"),
        (PASSED._replace(result="skipped"), "quick-check skipped"),
    ],
)  # fmt: skip
def test_each_ending_has_its_words(stage: StageFinished, line: str) -> None:
    assert closing_line(stage, total_packages=12) == line


@pytest.mark.parametrize(
    ("packages", "total", "words"),
    [(1, 1, "the 1 package"), (3, 3, "all 3 packages"), (1, 12, "1 of 12 packages"), (1, None, "1 package"), (3, None, "3 packages")],
)  # fmt: skip
def test_coverage_is_counted_against_the_workspace(packages: int, total: int | None, words: str) -> None:
    stage = PASSED._replace(packages=("p",) * packages)
    assert f": {words}, 14 rebuilt" in closing_line(stage, total_packages=total)


def test_the_next_command_is_that_of_the_front_end() -> None:
    assert closing_line(PASSED, next_stage="core").endswith(". Next: buildopt run core")
    assert closing_line(PASSED, next_stage="core", via_nox=True).endswith(". Next: nox -s core")
    assert "Next" not in closing_line(FAILED, next_stage="core"), "after a failure nothing comes next"


def test_a_run_of_several_stages_says_first_what_did_not_pass() -> None:
    core, full = FAILED._replace(stage="core"), PASSED._replace(stage="full", result="skipped")
    other = PASSED._replace(stage="docs")
    assert (
        run_line([PASSED, other, core, full], 41.0)
        == "core failed, quick-check and docs passed, full skipped; 41.0s in all"
    )
    assert (
        run_line([PASSED, other, PASSED._replace(stage="core")], 9.0)
        == "quick-check, docs and core passed; 9.0s in all"
    )
    assert run_line([PASSED._replace(result="timeout")], 9.0) == "quick-check timed out; 9.0s in all"
    assert run_line([], 0.0) == "nothing was run"


results = st.sampled_from(["success", "failure", "timeout", "cancelled", "skipped"])


@given(
    result=results,
    wall=st.floats(0, 1e6),
    cpu=st.floats(0, 1e6),
    fresh=st.integers(0, 10**6),
    rebuilt=st.integers(0, 10**6),
    budget=st.none() | st.floats(0.001, 1e6),
    lock_wait=st.booleans(),
)
def test_every_ending_is_one_line_that_starts_with_the_stage(
    result: str, wall: float, cpu: float, fresh: int, rebuilt: int, budget: float | None, lock_wait: bool
) -> None:
    stage = StageFinished("core", result, wall, cpu, 0, ("a",), fresh, rebuilt, budget, None, lock_wait)  # type: ignore[arg-type]
    line = closing_line(stage, total_packages=1)
    assert line.startswith("core ")
    assert "\n" not in line
    if result == "success" and budget is not None:
        assert (" kept" in line) == (wall <= budget)
        assert ("over budget" in line) == (wall > budget)
