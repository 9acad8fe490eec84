"""What Cargo is called with for an arm in a scenario. Pure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from buildopt.bench.arms import Arm
from buildopt.bench.scenarios import EDITS, Scenario, Task
from buildopt.cargo.affected import affected
from buildopt.cargo.changes import Changes
from buildopt.cargo.model import Components, Workspace
from buildopt.errors import ArgumentError
from buildopt.pipeline.graph import stages_in_order
from buildopt.pipeline.plan import Invocation, Selection, Work, plan_stage
from buildopt.profile.model import Profile, Step

__all__ = ["Call", "calls"]

_STEPS: dict[Task, tuple[Step, ...]] = {
    "check": ("check",), "clippy": ("clippy",), "build": ("build",), "test-no-run": ("test",), "test": ("test",),
    "cycle": ("clippy", "test"),
}  # fmt: skip
_PLAIN = ("check", "clippy", "test")
_TELLS = "--message-format=json-render-diagnostics"
_UNASKED = ("-v", "--timings")  # nobody reads them here, but for the second where an arm wants it


class Call(NamedTuple):
    """One call of Cargo."""

    argv: tuple[str, ...]
    told: bool
    """Whether Cargo tells of every unit in JSON."""
    tests: bool
    """Whether it runs tests."""


def calls(
    arm: Arm,
    scenario: Scenario,
    workspace: Workspace,
    components: Components,
    profile: Profile,
    *,
    cargo: str,
    target: Path,
    edited: Path | None = None,
) -> tuple[Call, ...]:
    """Return the calls of Cargo, in order, with `target` as their target directory; `edited` is the file that an edit is in.

    Raises ArgumentError for an arm that this scenario does not know, ToolMissing when clippy is needed and not there.
    """
    if arm.kind != "settings" and scenario.task != "cycle":
        raise ArgumentError(
            f"--compare: {arm.name} says how a cycle is done, and {scenario.name} is none",
            hint=f"measure {scenario.action}/cycle, or compare with default and current",
        )
    more = ("--target-dir", str(target), *arm.arguments(scenario.action))
    if arm.kind == "plain":
        check, *others = (_with((cargo, verb, "--workspace"), more) for verb in _PLAIN)
        told = Call((*check, _TELLS), True, False)  # or nobody would know whether Cargo saw an edit
        return (told, *(Call(argv, False, argv[1] == "test") for argv in others))
    runner = profile.cargo.test_runner if profile.cargo else "auto"
    components = components._replace(nextest=None) if runner == "cargo" else components
    if arm.kind == "declared":
        found = _declared(scenario, workspace, components, profile, cargo, edited)
    else:
        everything = Selection(workspace.members, whole=True, why="")
        release = "release" if scenario.action == "release" else None
        work = Work(scenario.name, _STEPS[scenario.task], profile.bench.features, release, False, None, None)
        found = _invocations(work, everything, workspace, components, cargo, None)
        found = found[:1] if scenario.task == "test-no-run" else found
    return tuple(_call(invocation, more, by_crate=arm.by_crate) for invocation in found)


def _declared(
    scenario: Scenario,
    workspace: Workspace,
    components: Components,
    profile: Profile,
    cargo: str,
    edited: Path | None,
) -> Sequence[Invocation]:
    """Return what the stages of the profile run, up to the first that has tests, on what the edit affects."""
    order = stages_in_order(profile.stages, tuple(profile.stages))
    if not order:
        raise ArgumentError(
            "--compare: declared is the stages of the profile, and it has none", hint='extends = ["stages"]'
        )
    tested = next((number for number, name in enumerate(order) if "test" in profile.stages[name].run), len(order))
    found: list[Invocation] = []
    for name in order[: tested + 1]:
        stage = profile.stages[name]
        work = Work.of(name, stage, None)
        chosen = Selection(workspace.members, whole=True, why="")
        if stage.scope == "affected" and scenario.action in EDITS and edited is not None:
            path = Path(os.path.relpath(edited, workspace.root)).as_posix()
            changed = Changes((path,), "", None, complete=True)
            reached = affected(workspace, changed, profile.affected.paths)
            members = tuple(package for package in reached.packages if package.member)
            chosen = Selection(members, reached.everything, reached.why)
        found += _invocations(work, chosen, workspace, components, cargo, profile)
    return found


def _invocations(
    work: Work,
    chosen: Selection,
    workspace: Workspace,
    components: Components,
    cargo: str,
    profile: Profile | None,
) -> tuple[Invocation, ...]:
    planned = plan_stage(work, chosen, workspace, components, cargo=cargo, profile=profile)
    return tuple(invocation for step in planned.steps for invocation in step.invocations)


def _call(invocation: Invocation, more: tuple[str, ...], *, by_crate: bool) -> Call:
    unasked = _UNASKED[:1] if by_crate else _UNASKED
    argv = tuple(word for word in invocation.argv if word not in unasked or not invocation.measured)
    runs_tests = not invocation.measured and argv[1] in ("test", "nextest")
    return Call(argv if argv[1] == "fmt" else _with(argv, more), invocation.measured, runs_tests)


def _with(argv: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command line with arguments after its verb; `nextest run` is one verb."""
    at = 3 if argv[1] == "nextest" else 2
    return (*argv[:at], *more, *argv[at:])
