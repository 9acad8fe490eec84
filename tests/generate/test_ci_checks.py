"""Whatever leads nowhere in a CI file is a defect of ours, and found before anybody pushes it."""

from __future__ import annotations

import pytest
from ci_profiles import GROUPS, github, gitlab, profile

from buildopt.errors import Bug
from buildopt.generate.ci.checks import check_github, check_gitlab
from buildopt.generate.ci.yaml import Expression, equals_any, expression, scalar

WORKFLOW = github(profile(cache="workspace"))
JOBS = gitlab(profile())


def problems_of(text: str) -> str:
    with pytest.raises(Bug) as caught:
        check_github(text)
    return "\n".join(map(str, caught.value.problems))


@pytest.mark.parametrize(
    ("right", "wrong", "why"),
    [
        ("      - stage-core\n", "      - stage-cor\n", "needs stage-cor, which is not there"),
        ("    needs:\n      - plan\n    if", "    if", "needs.plan.outputs.lanes means nothing"),
        ("needs.plan.outputs.lanes", "needs.plan.outputs.lane", "needs.plan.outputs.lane means nothing"),
        ("needs.plan.outputs.tests", "needs.plans.outputs.tests", "needs.plans.outputs.tests means nothing"),
        ("needs.*.result", "needs.*.results", "needs.*.results means nothing"),
        ("github.event_name", "github.event_nam", "github.event_nam means nothing"),
        ("matrix.shard ", "matrix.shrad ", "matrix.shrad means nothing"),
        ("matrix.runner", "matrix.image", "matrix.image means nothing"),
        ("matrix: ${{ fromJSON(needs.plan.outputs.matrix) }}\n", "max-parallel: 2\n", "matrix.group means nothing"),
        ("steps.cache.outputs", "steps.caches.outputs", "steps.caches.outputs"),
        ("cache-primary-key }}", "cache-primary }}", "steps.cache.outputs.cache-primary means nothing"),
        ("steps.matrix.outputs.lanes", "steps.matrix.lanes", "steps.matrix.lanes means nothing"),
        ("        id: matrix\n", "", "steps.matrix.outputs.lanes means nothing"),
        ("contains(", "contain(", "contain means nothing"),
        ("runner.os", "runner.oss", "runner.oss means nothing"),
        ("    timeout-minutes: 25\n", "", "there is no timeout-minutes"),
        ("    permissions:\n      contents: read\n", "", "there is no permissions"),
        ("  drift:\n", "  plan:\n", "the job is there twice"),
        ("  drift:\n", '  "drift":\n', "cannot be read"),
        ("      - name: Check out\n        uses", "      - uses", "a step has no name"),
        ('dev-test "$GROUP"', "dev-test ${{ matrix.group }}", "an expression stands where a shell reads it"),
        ("secrets.", "secret.", None),
    ],
)
def test_what_leads_nowhere_is_found(right: str, wrong: str, why: str | None) -> None:
    assert (right in WORKFLOW) is (why is not None)
    if why is not None:
        assert why in problems_of(WORKFLOW.replace(right, wrong))


def test_a_step_is_only_known_after_it() -> None:
    early = WORKFLOW.replace("      - name: Check out\n", "      - name: ${{ steps.cache.outputs.cache-hit }}\n")
    assert "steps.cache.outputs.cache-hit means nothing" in problems_of(early)


def test_only_steps_know_where_they_run() -> None:
    early = WORKFLOW.replace("    name: drift\n", "    name: drift ${{ runner.temp }} ${{ secrets.TOKEN }}\n")
    assert "runner.temp means nothing" in problems_of(early)
    assert "secrets.TOKEN means nothing" in problems_of(early)


@pytest.mark.parametrize(
    ("right", "wrong", "why"),
    [
        ("    - job: buildopt stage core\n", "    - job: buildopt core\n", "needs buildopt core, which is not there"),
        ("  extends: .buildopt\n", "  extends: .build\n", "extends .build, which is not there"),
        ("buildopt msrv:\n", "buildopt drift:\n", "the job is there twice"),
    ],
)
def test_what_leads_nowhere_on_gitlab_is_found(right: str, wrong: str, why: str) -> None:
    check_gitlab(JOBS)
    assert right in JOBS
    with pytest.raises(Bug) as caught:
        check_gitlab(JOBS.replace(right, wrong))
    assert why in "\n".join(map(str, caught.value.problems))


def test_a_file_without_durations_hangs_together() -> None:
    plain = profile(tests={"fast": GROUPS["fast"]})
    assert "durations" not in github(plain)
    assert "durations" not in gitlab(plain)


@pytest.mark.parametrize("value", ["${{ secrets.X }}", "$HOME", "a\nb", "a\rb", "a\0b", None, 1.5, ["a"], {}])
def test_a_value_that_is_more_than_a_value_is_never_written(value: object) -> None:
    with pytest.raises(Bug):
        scalar(value)


@pytest.mark.parametrize("name", ["", "a b", "'", "a'b", "x }}", "${{", "a\nb", "-a", ".a", "%s", "a" * 201])
def test_a_name_that_is_more_than_a_name_is_in_no_expression(name: str) -> None:
    with pytest.raises(Bug):
        expression("${{ x == '%s' }}", name)
    with pytest.raises(Bug):
        equals_any("matrix.group", [name])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("main", "main"), ("buildopt run --only full", "buildopt run --only full"), ("yes", '"yes"'), ("1.95", '"1.95"'),
        ("a: b", '"a: b"'), ("a #b", '"a #b"'), ('say "x"', '"say \\"x\\""'), ("~", '"~"'), ("", '""'), (" a", '" a"'),
        ("é", '"é"'), ("\u2028\x85", '"\\u2028\\u0085"'), (3, "3"), (True, "true"), (False, "false"), ("NULL", '"NULL"'),
        (Expression("${{ x }}"), "${{ x }}"), ("-a", '"-a"'),
    ],
)  # fmt: skip
def test_a_value_is_quoted_where_it_has_to_be(value: object, text: str) -> None:
    assert scalar(value) == text
