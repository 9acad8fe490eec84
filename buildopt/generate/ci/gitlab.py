"""`.gitlab/buildopt.yml`: the lanes as jobs for GitLab CI, for `.gitlab-ci.yml` to include.

Nothing in it reaches the jobs that stand beside it: no `default`, `workflow`, `stages` or global variable.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from buildopt.errors import Problem, ProfileError
from buildopt.generate.ci import GITLAB_FILE, GITLAB_ROOT
from buildopt.generate.ci.checks import check_gitlab
from buildopt.generate.ci.lanes import Lane, Pipeline
from buildopt.generate.ci.mark import marked
from buildopt.generate.ci.pins import Pins
from buildopt.generate.ci.yaml import Expression, expression, scalar
from buildopt.generate.templates import engine, template
from buildopt.profile.model import GitLab

if TYPE_CHECKING:
    import jinja2

__all__ = ["compiled", "notes", "render"]

_INCLUDED = re.compile(rf"^[^#\n]*{re.escape(GITLAB_FILE)}", re.MULTILINE)
_MOST_NEEDS = 50
_NEXTEST_MINUTES = 10  # to compile it, where the image lacks it and no cache has it


class _Job(NamedTuple):
    """A job that runs a lane, once for each shard."""

    name: str
    lane: Lane
    needs: tuple[str, ...]
    minutes: int
    key: str | None
    """Beginning of the key of the cache; None when nothing is kept."""
    writes: bool
    installs_nextest: bool
    recorded: bool
    """Whether its times are recorded for the next pipeline."""
    clean: str | None
    """What is run before a cache of dependencies alone is kept."""

    @property
    def run(self) -> str:
        """Return the command as one line of shell."""
        return shlex.join(self.lane.command)

    @property
    def sharded(self) -> Expression:
        """Return the command for whichever shard the job is."""
        return expression(
            'buildopt dev-test %s --shard "$CI_NODE_INDEX/$CI_NODE_TOTAL" --durations .buildopt/durations.json',
            self.lane.name,
        )


@cache
def compiled() -> jinja2.Template:
    """Return the template of the jobs, compiled: that takes longer than filling it in."""
    return engine(scalar, {}).from_string(template("ci/gitlab.yml.j2"))


def render(host: GitLab, pipeline: Pipeline, pins: Pins) -> str:
    """Return the file; ProfileError for more than GitLab takes, Bug when it does not hang together."""
    jobs = tuple(_jobs(pipeline))
    timed = [job.name for job in jobs if job.recorded]
    if len(timed) >= _MOST_NEEDS:
        hint = f"GitLab lets a job wait for {_MOST_NEEDS} others"
        problem = Problem(f"{len(timed)} stages and groups with shards or timeout auto", key="ci.gitlab", hint=hint)
        raise ProfileError("the profile cannot be made into CI", problems=(problem,))
    components = {name for job in jobs for name in job.lane.components}
    body = compiled().render(
        jobs=jobs,
        pipeline=pipeline,
        image=host.image,
        tags=host.tags,
        components=sorted(components),
        timed=timed,
        nextest=expression("%s", pins.tools["nextest"]),
        on_branch=expression('$CI_COMMIT_BRANCH == "%s"', pipeline.branch),
    )
    check_gitlab(body)
    return marked(body)


def notes(pipeline: Pipeline, texts: Mapping[str, bytes]) -> Iterator[str]:
    """Yield what keeps GitLab from running the jobs, and what they lack there."""
    root = texts.get(GITLAB_ROOT)
    if root is None or not _INCLUDED.search(root.decode(errors="replace")):
        what = "there is no" if root is None else "nothing includes it in"
        yield f"GitLab runs no job of {GITLAB_FILE}: {what} {GITLAB_ROOT}; write `include: [{{local: {GITLAB_FILE}}}]` there"
    if pipeline.cache == "sccache" and pipeline.storage == "gha":
        yield 'cache.storage = "gha" is there on GitHub alone: jobs on GitLab build without a cache'


def _jobs(pipeline: Pipeline) -> Iterator[_Job]:
    for lane in pipeline.of("stage", "tests", "msrv", "minimal-versions", "drift"):
        recorded = lane.auto or lane.shards > 1
        installs = lane.nextest and (lane.shards > 1 or pipeline.needs_nextest)
        key = None if lane.cached is None or pipeline.cache == "none" else f"buildopt-{lane.cached.key}"
        if pipeline.cache == "sccache":
            key = f"{key}-sccache" if key and pipeline.storage == "local" else None
        yield _Job(
            name=_name(lane.kind, lane.name),
            lane=lane,
            needs=(*(["buildopt plan"] if recorded else []), *(_name("stage", name) for name in lane.needs)),
            minutes=lane.minutes + (_NEXTEST_MINUTES if installs else 0),
            key=key,
            writes=lane.cached is not None and lane.cached.writes,
            installs_nextest=installs,
            recorded=recorded,
            clean=_clean(lane) if pipeline.cache == "dependencies" else None,
        )


def _name(kind: str, name: str) -> str:
    return f"buildopt {kind} {name}" if kind in ("stage", "tests") else f"buildopt {name}"


def _clean(lane: Lane) -> str:
    """Return the command that leaves only dependencies behind; a Cargo that does not know it leaves everything."""
    return f"cargo clean --workspace --profile {shlex.quote(lane.cargo_profile or 'dev')} || true"
