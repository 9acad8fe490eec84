"""One job of several: what it runs once the tests are listed, and what the plan of a step looks like."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.cargo.model import Components, Package, Target, Workspace
from buildopt.measure.shards import DOC_TESTS
from buildopt.pipeline.plan import Invocation, Selection, Work, plan_stage
from buildopt.pipeline.sharding import Chosen, Shard, choose_tests

TIMES = {("a", "slow"): 9.0, ("a", "x"): 4.0, ("b::it", "y"): 4.0, ("gone", "z"): 99.0}


def listing(*tests: tuple[str, str]) -> bytes:
    suites: dict[str, dict[str, object]] = {}
    for binary, name in tests:
        cases = suites.setdefault(binary, {"testcases": {}})["testcases"]
        assert isinstance(cases, dict)
        cases[name] = {"filter-match": {"status": "matches"}}
    return json.dumps({"rust-suites": suites}).encode()


def words(chosen: Chosen) -> list[str]:
    return [shlex.join(arguments) for arguments in chosen.arguments]


def test_known_tests_are_named_and_new_ones_dealt_out():
    text = listing(("a", "slow"), ("a", "x"), ("b::it", "y"), ("b::it", "new"))
    one, two = (choose_tests(text, Shard(number, 2, TIMES)) for number in (1, 2))
    dealt = "-E 'binary_id(=b::it) & (test(=new))' --partition slice:{}/2"
    assert words(one) == ["-E 'binary_id(=a) & (test(=slow))'", dealt.format(1)]
    assert words(two) == ["-E 'binary_id(=a) & (test(=x))' -E 'binary_id(=b::it) & (test(=y))'", dealt.format(2)]
    assert (
        one.note == "shard 1/2: 1 test of 9.0s out of 17.0s, by recorded times; 1 without one are dealt out by nextest"
    )


def test_a_job_that_has_nothing_to_do_runs_nothing():
    chosen = choose_tests(listing(("a", "slow")), Shard(2, 2, {("a", "slow"): 9.0}))
    assert chosen.arguments == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"not json", "not of the form"),
        (listing(("b", "other")), "no recorded time"),
        (listing(*(("a", f"{'n' * 200}{number}") for number in range(20_000)), ("a", "x")), "no command line has room"),
    ],
)
def test_every_job_falls_back_to_nextests_own_partition_alike(text: bytes, why: str):
    for number in (1, 2, 3):
        chosen = choose_tests(text, Shard(number, 3, TIMES))
        assert chosen.arguments == (("--partition", f"slice:{number}/3"),)
        assert why in chosen.note


@given(st.lists(st.tuples(st.sampled_from(["a", "b::it"]), st.text(max_size=3)), max_size=20), st.integers(1, 5))
def test_all_jobs_deal_out_the_same_rest(tests: list[tuple[str, str]], jobs: int):
    rests = set()
    for number in range(1, jobs + 1):
        chosen = choose_tests(listing(*tests), Shard(number, jobs, TIMES))
        dealt = [arguments[:-1] for arguments in chosen.arguments if arguments[-2] == "--partition"]
        rests.add(tuple(dealt))
    assert len(rests) == 1


def planned(shard: Shard | None, *, doctest: bool = True) -> list[Invocation]:
    target = Target("a", ("lib",), "a/src/lib.rs", doctest, True)
    package = Package("a", "a", "0.1.0", Path("/ws/a/Cargo.toml"), True, {}, (), (target,))
    workspace = Workspace(Path("/ws"), Path("/ws/target"), (package,), {}, 0, True)
    work = Work("dev-test a 1/2", ("test",), "all", "release", False, None, None, shard=shard)
    stage = plan_stage(
        work,
        Selection((package,), whole=True, why="all"),
        workspace,
        Components(None, None, "0.9.143"),
        cargo="cargo",
        profile=None,
    )
    return [invocation for step in stage.steps for invocation in step.invocations][1:]


def test_without_known_times_nothing_is_listed():
    run, doc = planned(Shard(1, 2, {}, "dev-test a"))
    assert shlex.join(run.argv) == (
        "cargo nextest run --workspace --all-features --cargo-profile release --no-tests=pass --partition slice:1/2"
    )
    assert run.timed
    assert run.then is None
    assert doc.charged_to == (DOC_TESTS, "dev-test a")


def test_documentation_tests_run_in_the_first_job_only():
    assert len(planned(Shard(2, 2, {}))) == 1
    assert len(planned(Shard(1, 2, {}))) == 2
    assert len(planned(None)) == 2


def test_with_known_times_the_same_selection_is_listed_and_then_run():
    (first,) = planned(Shard(2, 2, TIMES), doctest=False)
    assert shlex.join(first.argv) == (
        "cargo nextest list --workspace --all-features --cargo-profile release --message-format json"
    )
    assert not first.timed
    assert first.then is not None
    further = first.then(listing(("a", "slow"), ("a", "x")))
    assert [shlex.join(invocation.argv) for invocation in further.invocations] == [
        "cargo nextest run --workspace --all-features --cargo-profile release --no-tests=pass -E 'binary_id(=a) & (test(=x))'"
    ]
    assert all(invocation.timed for invocation in further.invocations)


def test_what_documentation_tests_cost_weighs_on_the_first_job():
    times = {("a", name): 1.0 for name in "wxyz"} | {(DOC_TESTS, "dev-test a"): 50.0}
    chosen = choose_tests(listing(*((("a", name)) for name in "wxyz")), Shard(2, 2, times, "dev-test a"))
    assert words(chosen) == ["-E 'binary_id(=a)'"]
