from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.errors import ArgumentError, ProfileError
from buildopt.pipeline.graph import stages_in_order
from buildopt.profile.model import Stage


def stage(*requires: str) -> Stage:
    return Stage(run=("check",), requires=requires)


CHAIN = {"quick-check": stage(), "core": stage("quick-check"), "full": stage("core")}


def test_required_stages_come_first():
    assert stages_in_order(CHAIN, ["full"]) == ("quick-check", "core", "full")


def test_a_stage_asked_for_twice_runs_once():
    assert stages_in_order(CHAIN, ["core", "quick-check", "core"]) == ("quick-check", "core")


def test_a_misspelt_stage_is_named_with_a_suggestion():
    with pytest.raises(ArgumentError) as caught:
        stages_in_order(CHAIN, ["quick-chek"])
    assert caught.value.exit_code == 2
    assert "quick-chek" in caught.value.message
    assert caught.value.hint == "did you mean 'quick-check'?"


def test_a_profile_without_stages_says_how_to_get_some():
    with pytest.raises(ArgumentError) as caught:
        stages_in_order({}, ["core"])
    assert "extends" in str(caught.value.hint)


def test_a_circle_is_refused_and_shown():
    with pytest.raises(ProfileError, match="a → b → c → a"):
        stages_in_order({"a": stage("b"), "b": stage("c"), "c": stage("a")}, ["a"])


@given(st.data())
def test_any_acyclic_graph_is_put_in_order(data: st.DataObject):
    names = [f"s{number}" for number in range(data.draw(st.integers(1, 8)))]
    stages = {
        name: stage(*data.draw(st.lists(st.sampled_from(names[:position]), unique=True)) if position else ())
        for position, name in enumerate(names)
    }
    wanted = data.draw(st.lists(st.sampled_from(names), min_size=1))
    order = stages_in_order(stages, wanted)
    assert len(set(order)) == len(order)
    assert set(wanted) <= set(order)
    for position, name in enumerate(order):
        assert set(stages[name].requires) <= set(order[:position])
