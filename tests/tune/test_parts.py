"""The pure parts: plans, levels, judgements, lines, guards."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.bench.measured import Sizes
from buildopt.bench.results import Comparison
from buildopt.generate.adoption import adopt
from buildopt.generate.toml import decode
from buildopt.profile.model import Budgets, Cargo, CargoProfile, Linker, Profile
from buildopt.tune.candidates import Candidate
from buildopt.tune.confirmation import MOST_PAIRS, confirmation_of
from buildopt.tune.guards import over_budget
from buildopt.tune.judge import Judged, Row, best_of, judge_row, weigh
from buildopt.tune.levels import Found, candidates_of, combined, suspects
from buildopt.tune.lines import Evidence, lines_of, path_of
from buildopt.tune.plan import Costs, Plan, make_plan, seconds_of
from buildopt.tune.study import Result

WEIGHTS = {"clean/build": 1.0, "leaf/build": 3.0}


def candidate(key: str, value: object = 0, *, apart: bool = False) -> Candidate:
    return Candidate(((key, value),), apart)


def costs(clean: float = 20.0, noise: float = 0.03) -> Costs:
    return Costs(clean, {"clean/build": clean, "leaf/build": clean / 10}, ("leaf/build",), noise)


CANDIDATES = st.lists(st.tuples(st.integers(0, 11), st.booleans()), min_size=1, max_size=20, unique=True).map(
    lambda found: [candidate(f"k{number}", int(apart), apart=apart) for number, apart in found]
)


@given(CANDIDATES, st.floats(0.5, 300), st.floats(0.015, 0.1), st.floats(60, 20_000))
def test_a_plan_fits_its_budget_and_loses_no_candidate(candidates, clean, noise, budget):
    plan, least = make_plan(candidates, costs(clean, noise), budget)
    if plan is None:
        assert least > budget
        return
    assert plan.seconds <= budget
    assert sorted([*plan.screened, *plan.apart, *plan.dropped]) == sorted(candidates)
    assert plan.seconds == seconds_of(plan, costs(clean, noise))
    assert plan.resolves(noise) <= 0.25
    assert plan.pairs >= 5


@given(CANDIDATES, st.floats(0.5, 300), st.floats(0.015, 0.1))
def test_the_number_that_would_do_does(candidates, clean, noise):
    _, least = make_plan(candidates, costs(clean, noise), 1.0)
    assert make_plan(candidates, costs(clean, noise), least)[0] is not None


def test_the_mirror_images_go_before_a_candidate_does():
    ten = [candidate(f"k{number}") for number in range(10)]
    whole, _ = make_plan(ten, costs(), 1e6)
    assert whole is not None
    assert whole.folded
    tight, _ = make_plan(ten, costs(), 0.25 * whole.seconds)
    assert tight is not None
    assert not tight.folded
    assert len(tight.screened) == 10


def test_of_the_levels_of_one_setting_the_last_is_screened_and_the_others_stand_apart():
    levels = [candidate("debug", "line-tables-only"), candidate("debug", 0), *(candidate(f"k{n}") for n in range(4))]
    plan, _ = make_plan(levels, costs(), 1e6)
    assert plan is not None
    assert plan.apart == (levels[0],)
    assert plan.screened == tuple(levels[1:])


def test_where_there_is_little_time_the_strongest_level_of_each_setting_comes_first():
    weak, strong, other = candidate("debug", "line-tables-only"), candidate("debug", 0), candidate("jobs", 3)
    slow, slower = candidate("opt-level", 1, apart=True), candidate("opt-level", 2, apart=True)
    candidates = [slow, slower, weak, strong, other]
    tried = {}
    for budget in range(100, 4000, 20):
        plan, _ = make_plan(candidates, costs(), float(budget))
        if plan is not None:
            chosen = {*plan.screened, *plan.apart}
            tried[len(chosen)] = chosen
    assert tried[1] == {strong}
    assert tried[2] == {strong, other}
    assert tried[4] == {strong, other, weak, slow}


def test_a_row_has_on_what_its_signs_say_and_its_placebos_set_nothing():
    two = [candidate("debug", 1), candidate("jobs", 3)]
    assert candidates_of((1, -1, 1, 1), two) == (two[0],)
    assert combined({"debug": 2, "strip": True}, candidates_of((1, 1, -1, -1), two)) == {
        "debug": 1,
        "strip": True,
        "jobs": 3,
    }


def test_suspects_are_in_every_row_that_failed_and_in_none_that_built():
    a, b, c = (candidate(name) for name in "abc")
    assert suspects([((a, b), True), ((c,), True)]) == ()
    assert suspects([((a, b), False), ((b, c), True)]) == (a,)
    assert suspects([((a, b), False), ((c,), True)]) == (a, b)


def row(clean: float, leaf: float) -> Row:
    seconds = {"clean/build": clean, "leaf/build": leaf}
    return Row(seconds, seconds)


def test_one_row_is_enough_to_give_up_and_never_to_adopt():
    today = [row(20, 2), row(20.4, 2.02), row(19.8, 1.99)]
    one = candidate("incremental", False, apart=True)
    assert judge_row(one, row(18, 6), today, WEIGHTS, 0.03).outcome == "hurts"
    assert judge_row(one, row(10, 1), today, WEIGHTS, 0.03).outcome == "doubtful"
    assert judge_row(one, row(20, 2), today, WEIGHTS, 0.03).outcome == "nothing"
    assert judge_row(one, Row({}, {}, failed="no linker"), today, WEIGHTS, 0.03).outcome == "fails"


def judged(each: Candidate, ratio: float, outcome: str = "helps", builds: int = 24) -> Judged:
    return Judged(each, outcome, Found(ratio, ratio - 0.01, ratio + 0.01), "cpu", {}, {}, 0.01, builds, "")


def test_a_level_that_helps_stays_until_pairs_show_one_that_gains_more():
    mild, strong = candidate("debug", "line-tables-only"), candidate("debug", 0)
    for one, other, taken, doubtful in [
        (judged(mild, 0.85, "doubtful"), judged(strong, 0.852), [strong], []),
        (judged(mild, 0.80, "doubtful"), judged(strong, 0.85), [strong], [mild]),
        (judged(mild, 0.85, "doubtful"), judged(strong, 0.75), [strong], []),
        (judged(mild, 0.85, "doubtful"), judged(strong, 0.9, "hurts"), [], [mild]),
        (judged(mild, 0.95, "doubtful", builds=1), judged(strong, 0.97, "doubtful"), [], [strong, mild]),
    ]:
        found = best_of([one, other])
        assert [[each.candidate for each in part] for part in found] == [taken, doubtful]


def comparison(
    scenario: str,
    ratio: float,
    *,
    candidate: str = "x",
    metric: str = "cpu",
    decides: bool = True,
    seconds: float = 10.0,
) -> Comparison:
    return Comparison(
        scenario, metric, "today's settings", candidate, ratio, (ratio - 0.02, ratio + 0.02), 8, "faster", 1.0, (0.99, 1.01), 0, decides,
        0, 0, 10.0, seconds, "",
    )  # fmt: skip


def test_scenarios_are_weighed_by_what_decides_in_each():
    found = weigh(
        [
            comparison("clean/build", 0.8),
            comparison("clean/build", 2.0, metric="wall", decides=False),
            comparison("leaf/build", 0.9),
        ],
        WEIGHTS,
    )
    assert found is not None
    assert found.ratio == pytest.approx(0.8**0.25 * 0.9**0.75)
    assert found.low < found.ratio < found.high
    assert weigh([comparison("clean/build", 0.8)], WEIGHTS) is None


def confirming(ratio: float, width: float, pairs: int, verdict: str = "unresolved") -> list[Comparison]:
    return [
        comparison(name, ratio)._replace(interval=(ratio / width, ratio * width), pairs=pairs, verdict=verdict)
        for name in WEIGHTS
    ]


@pytest.mark.parametrize(
    ("found", "words", "unfinished"),
    [
        (confirming(0.90, 1.05, 12), "", False),
        (
            confirming(0.95, 1.20, 12),
            "not decided by 12 pairs, 0.95 [0.82, 1.10]: the same call goes on, about 28 more",
            True,
        ),
        (confirming(0.95, 1.20, MOST_PAIRS), "no gain beyond 3 %: 0.95 [0.82, 1.10]", False),
        (confirming(0.99, 1.20, 12), "no gain beyond 3 %", False),
        (confirming(0.99, 1.20, 5), "not decided by 5 pairs", True),
        (confirming(0.95, 1.20, 12, "equal"), "no gain beyond 3 %", False),
        (confirming(1.10, 1.05, 12, "slower"), "slower in clean/build, leaf/build", False),
        (confirming(0.95, 1.20, 2), "time was up", True),
        ([comparison("clean/build", 0.9)._replace(failure="no linker")], "do not build: no linker", False),
    ],
)
def test_a_confirmation_is_given_up_only_when_more_pairs_would_not_show_a_gain(found, words, unfinished):
    come_to = confirmation_of(found, WEIGHTS, 0.03, planned=8)
    assert words in (come_to.why_not or "")
    assert (come_to.why_not is None) == (not words)
    assert come_to.unfinished == unfinished


PROFILE = Profile(
    version=1, cargo=Cargo(profile={"dev-fast": CargoProfile(inherits="dev")}, linker=Linker(prefer=("lld",)))
)
EVIDENCE = Evidence("2026-11-21", "linux-2c", "1.95.0", "20261121-abc")
PLAN = Plan((), (), (), False, 3, 0, 0, 8, 0, 100.0)


def result(*chosen: Candidate, **fields: object) -> Result:
    found = Result(PLAN, costs(), 100.0, 90.0, tuple(judged(each, 0.9) for each in chosen), chosen=chosen)
    whole = (comparison("clean/build", 0.8), comparison("leaf/build", 0.8))
    return found._replace(whole=whole, weighted=Found(0.8, 0.78, 0.82), **fields)


def test_each_line_carries_effect_interval_number_date_host_and_evidence():
    debug, linker = candidate("debug"), candidate("linker", "mold")
    alone = {debug: (comparison("clean/build", 0.85), comparison("leaf/build", 0.85))}
    lines = lines_of(result(debug, linker, alone=alone), WEIGHTS, PROFILE, "dev-fast", EVIDENCE)
    text = adopt(decode(b"version = 1\n", "f"), "f", lines)
    assert tomllib.loads(text)["cargo"] == {
        "profile": {"dev-fast": {"debug": 0}},
        "linker": {"prefer": ["mold", "lld"]},
    }
    assert (
        "by itself 0.85 [0.83, 0.87] of today's cost (8 pairs); all 2 lines together 0.80 [0.78, 0.82] (8 pairs)"
        in text
    )
    assert "by itself 0.90 [0.89, 0.91] of the cost (24 builds, a placebo 1 %)" in text
    assert text.count("2026-11-21, linux-2c, rustc 1.95.0, evidence 20261121-abc") == 2
    assert all(len(line) <= 140 for line in text.splitlines())


def test_a_cargo_profile_that_is_not_declared_is():
    lines = lines_of(result(candidate("debug")), WEIGHTS, Profile(version=1), "dev-fast", EVIDENCE)
    table = tomllib.loads(adopt(decode(b"version = 1\n", "f"), "f", lines))["cargo"]["profile"]["dev-fast"]
    assert table == {"inherits": "dev", "debug": 0}


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("jobs", "cargo.jobs"), ("wrapper", "cache.wrapper"), ("build-override.opt-level", "cargo.profile.f.build-override.opt-level"),
        ("package.*.debug", "cargo.profile.f.package.*.debug"),
    ],
)  # fmt: skip
def test_every_setting_has_its_place(key, path):
    assert ".".join(path_of(key, "f")) == path
    assert path_of("package.a@1.2.3.debug", "f") == ("cargo", "profile", "f", "package", "a@1.2.3", "debug")


def test_a_budget_that_is_kept_today_guards_and_one_that_is_not_does_not():
    budgets = Budgets(clean_build=12.0, target_size=1000, artifacts={"debug/*": 50})
    today, chosen = Sizes(900, 40, {"debug/app": 40}), Sizes(1100, 60, {"debug/app": 60})
    slower = [comparison("clean/build", 1.5, metric="wall", seconds=15.0)]
    broken = over_budget(slower, today, chosen, budgets)
    assert [text.split()[0] for text in broken] == ["clean/build", "the", "debug/app"]
    assert over_budget(slower, chosen, chosen, Budgets(target_size=1000, artifacts={"debug/*": 50})) == ()
