"""`.github/workflows/buildopt.yml`: the lanes as a workflow of GitHub Actions."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from buildopt.generate.ci.checks import check_github
from buildopt.generate.ci.lanes import Lane, Pipeline
from buildopt.generate.ci.mark import marked
from buildopt.generate.ci.pins import Pins
from buildopt.generate.ci.yaml import Expression, equals_any, expression, scalar
from buildopt.generate.templates import engine, template
from buildopt.profile.model import GitHub

if TYPE_CHECKING:
    import jinja2

__all__ = ["compiled", "notes", "render"]

_PYTHON = "3.13"
_PUSHED = "github.event_name == 'push' && github.ref == 'refs/heads/%s'"
_MAY_RUN = "!cancelled() && !failure()"


class _Storage(NamedTuple):
    """What sccache reads about a storage from its environment."""

    mode: str | None = None
    """Variable that says whether it may write; None for what a job that does not save it throws away."""
    secrets: tuple[str, ...] = ()
    """Variables of credentials."""


_REDIS = _Storage("SCCACHE_REDIS_RW_MODE", ("SCCACHE_REDIS_USERNAME", "SCCACHE_REDIS_PASSWORD"))
_WEBDAV = _Storage(
    "SCCACHE_WEBDAV_RW_MODE", ("SCCACHE_WEBDAV_USERNAME", "SCCACHE_WEBDAV_PASSWORD", "SCCACHE_WEBDAV_TOKEN")
)
_STORAGES: Mapping[str, _Storage] = {
    "local": _Storage(),
    "gha": _Storage("SCCACHE_GHA_RW_MODE"),
    "redis": _REDIS,
    "rediss": _REDIS,
    "memcached": _Storage("SCCACHE_MEMCACHED_RW_MODE", ("SCCACHE_MEMCACHED_USERNAME", "SCCACHE_MEMCACHED_PASSWORD")),
    "s3": _Storage("SCCACHE_S3_RW_MODE", ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
    "webdav+https": _WEBDAV,
    "webdav+http": _WEBDAV,
}


class _Job(NamedTuple):
    """A job that runs a lane, or all test groups."""

    id: str
    name: str | Expression
    lane: Lane
    condition: Expression
    needs: tuple[str, ...]
    runner: str | Expression
    minutes: int | Expression
    key: Expression | None
    """Part of the key of the cache; None when nothing is kept."""
    save: Expression | None
    """When the cache is saved; None for never."""
    recorded: bool
    """Whether its times are recorded for the next run."""

    @property
    def run(self) -> str:
        """Return the command as one line of shell."""
        return shlex.join(self.lane.command)

    @property
    def complete(self) -> str:
        """Return what is run while there is no cache to start from; empty when it is the same."""
        return shlex.join(self.lane.complete)


@cache
def compiled() -> jinja2.Template:
    """Return the template of the workflow, compiled: that takes longer than filling it in."""
    import jinja2  # noqa: PLC0415 - heavy, and only needed where CI is declared

    filling = engine(scalar, {})
    filling.loader = jinja2.FunctionLoader(lambda name: template(f"ci/{name}"))
    found = filling.get_template("github.yml.j2")
    for part in ("setup", "restore", "save"):
        filling.get_template(f"github_{part}.yml.j2")
    return found


def render(host: GitHub, pipeline: Pipeline, pins: Pins) -> str:
    """Return the workflow; `pins` has every action and tool that buildopt ships one for.

    Raises Bug when the result does not hang together.
    """
    jobs = tuple(_jobs(host, pipeline))
    storage = _STORAGES.get(pipeline.storage) if pipeline.cache == "sccache" else None
    body = compiled().render(
        jobs=jobs,
        pipeline=pipeline,
        runner=host.runner,
        platforms=host.platforms,
        drift=pipeline.of("drift")[0],
        sharded=any(lane.shards > 1 for lane in pipeline.lanes),
        needed=["plan", "drift", *(job.id for job in jobs)],
        timed=["plan", *(job.id for job in jobs if job.recorded)],
        pushed=_when(_PUSHED, pipeline.branch),
        recorded=_when(f"!cancelled() && {_PUSHED}", pipeline.branch),
        merged=_when(f"!cancelled() && needs.plan.result == 'success' && {_PUSHED}", pipeline.branch),
        unrestored=_when(f"{_PUSHED} && {_restored_nothing(pipeline)}", pipeline.branch),
        mode=Expression(storage.mode) if storage and storage.mode else None,
        may_write=_when(f"{_PUSHED} && 'READ_WRITE' || 'READ_ONLY'", pipeline.branch),
        secrets=[(Expression(name), _when(f"secrets.{name}")) for name in (storage.secrets if storage else ())],
        python=_PYTHON,
        nextest=f"nextest@{pins.tools['nextest']}",
        sccache=f"v{pins.tools['sccache']}",
        pinned=lambda action: _pinned(action, pins),
    )
    check_github(body)
    return marked(body)


def notes(_pipeline: Pipeline, _texts: Mapping[str, bytes]) -> Iterator[str]:
    """Yield nothing: GitHub runs every workflow in its folder."""
    return iter(())


def _jobs(host: GitHub, pipeline: Pipeline) -> Iterator[_Job]:
    pushed = _when(_PUSHED, pipeline.branch)
    for lane in pipeline.of("stage", "platform", "msrv", "minimal-versions"):
        platform = lane.kind == "platform"
        key = expression("%s", lane.cached.key) if lane.cached else None
        yield _Job(
            id=f"stage-{lane.name}" if lane.kind == "stage" else lane.name,
            name=Expression("platform ${{ matrix.runner }}") if platform else lane.name,
            lane=lane,
            condition=_when(f"{_MAY_RUN} && contains(fromJSON(needs.plan.outputs.lanes), '%s')", lane.stage or ""),
            needs=("plan", *(f"stage-{name}" for name in lane.needs)),
            runner=Expression("${{ matrix.runner }}") if platform else host.runner,
            minutes=_minutes(lane, pipeline),
            key=Expression("platform-${{ matrix.runner }}") if platform else key,
            save=pushed if lane.cached and lane.cached.writes else None,
            recorded=lane.auto,
        )
    groups = pipeline.of("tests")
    if groups:
        yield _tests_job(host, pipeline, groups)


def _tests_job(host: GitHub, pipeline: Pipeline, groups: tuple[Lane, ...]) -> _Job:
    """Return the one job of all test groups: which of them a change needs is only known when it runs."""
    keys: dict[str, list[str]] = {}
    for lane in groups:
        if lane.cached:
            keys.setdefault(lane.cached.key, []).append(lane.name)
    writers = [lane.name for lane in groups if lane.cached and lane.cached.writes]
    writing = f"{_PUSHED} && matrix.shard == 1 && ({equals_any('matrix.group', writers)})"
    return _Job(
        id="tests",
        name=Expression("tests ${{ matrix.name }}"),
        lane=groups[0]._replace(
            nextest=any(lane.nextest for lane in groups), auto=any(lane.auto for lane in groups), complete=()
        ),
        condition=_when(f"{_MAY_RUN} && needs.plan.outputs.tests != '0'"),
        needs=("plan",),
        runner=host.runner,
        minutes=Expression("${{ matrix.timeout }}"),
        key=_key_of_group(keys),
        save=_when(writing, pipeline.branch) if writers else None,
        recorded=pipeline.durations,
    )


def _minutes(lane: Lane, pipeline: Pipeline) -> int | Expression:
    """Return when the job ends: later on the branch, where it may have to build everything."""
    if not lane.complete or lane.complete_minutes <= lane.minutes:
        return lane.minutes
    return _when(f"{_PUSHED} && {lane.complete_minutes} || {lane.minutes}", pipeline.branch)


def _key_of_group(keys: Mapping[str, list[str]]) -> Expression:
    """Return the key of the cache for whichever group the matrix names."""
    *others, last = keys
    if not others:
        return expression("%s", last)
    cases = [f"({equals_any('matrix.group', keys[key])}) && '%s' || " for key in others]
    return _when("".join((*cases, "'%s'")), *others, last)


def _restored_nothing(pipeline: Pipeline) -> str:
    if pipeline.cache == "workspace":
        return "steps.cache.outputs.cache-matched-key == ''"
    return "steps.cache.outputs.cache-hit != 'true'"


def _when(condition: str, *names: str) -> Expression:
    return expression(f"${{{{ {condition} }}}}", *names)


def _pinned(action: str, pins: Pins) -> Expression:
    pin = pins.actions["/".join(action.split("/")[:2])]
    return Expression(f"{action}@{pin.sha} # {pin.version}")
