"""`run`, `dev-quick` and `dev-test` on the console or as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from buildopt.console import Console
from buildopt.host import Host
from buildopt.pipeline.events import Event, StageFinished
from buildopt.pipeline.runner import Outcome
from buildopt.profile.model import Profile
from buildopt.show.common import open_context, print_json
from buildopt.verbs.context import Context
from buildopt.verbs.run import first_stage, run
from buildopt.verbs.tests import run_tests

__all__ = ["run_document", "show_run"]

_EXIT_CODES = {"success": 0, "skipped": 0, "failure": 1, "timeout": 124, "cancelled": 130}


def show_run(host: Host, arguments: argparse.Namespace, via_nox: bool) -> int:
    """Run what `arguments` asks for, show it, and return the exit code."""
    context = open_context(host, arguments, strict=False)
    wanted = arguments.stages if arguments.verb == "run" else []
    console = Console(
        host.environ, json=arguments.json, via_nox=via_nox, next_stages=_next_stages(context.loaded.profile, wanted)
    )
    if console.colour:
        context.host = Host({**host.environ, "CARGO_TERM_COLOR": host.environ.get("CARGO_TERM_COLOR", "always")})
    emit = _with_ci_job(context, console)
    if arguments.verb == "dev-test":
        outcome = run_tests(context, arguments.names, emit=emit, shard=arguments.shard, durations=arguments.durations)
    else:
        stages = wanted or [first_stage(context)]
        only = arguments.verb == "run" and arguments.only
        outcome = run(context, stages, emit=emit, scope=arguments.scope, only=only)
    if arguments.json:
        print_json(run_document(outcome))
    return _EXIT_CODES[outcome.result]


def _with_ci_job(context: Context, console: Console) -> Callable[[Event], None]:
    """Return what consumes the events of a run: the console, and in a job of GitHub or GitLab what tells these of it."""
    if not any(context.host.environ.get(name) for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITLAB_CI")):
        return console.consume
    from buildopt.show.ci_job import CiJob  # noqa: PLC0415 - a developer's machine does not need it

    job = CiJob(context.host, context.root, console.line)

    def emit(event: Event) -> None:
        console.consume(event)
        job.consume(event)

    return emit


def _next_stages(profile: Profile, running: Sequence[str]) -> dict[str, str]:
    """Return, for each stage, the stage that requires it and is not run anyhow."""
    following: dict[str, str] = {}
    for name, stage in profile.stages.items():
        if name not in running:
            for required in stage.requires:
                following.setdefault(required, name)
    return following


def run_document(outcome: Outcome) -> dict[str, Any]:
    """Return the document of `run --json`; its keys are a contract."""
    stages = [_stage(stage) for stage in outcome.stages]
    run = {"id": outcome.id, "result": outcome.result, "wall_seconds": outcome.wall_seconds, "stages": stages}
    return {"version": 1, "run": run}


def _stage(stage: StageFinished) -> dict[str, Any]:
    return {
        "name": stage.stage,
        "result": stage.result,
        "wall_seconds": stage.wall_seconds,
        "cpu_seconds": stage.cpu_seconds,
        "peak_bytes": stage.peak_bytes,
        "packages": list(stage.packages),
        "units": {"fresh": stage.fresh, "rebuilt": stage.rebuilt},
        "budget_seconds": stage.budget_seconds,
        "timeout_seconds": stage.timeout_seconds,
        "lock_wait": stage.lock_wait,
        "cache": None if stage.cache is None else stage.cache._asdict(),
        "detail": stage.detail,
    }
