"""How rustc is called in a run: with the compiler cache where it works, without it where it does not."""

from __future__ import annotations

from buildopt import cargo
from buildopt.pipeline.events import CacheUse
from buildopt.pipeline.runner import Compiler
from buildopt.verbs.context import Context

__all__ = ["compiler_for"]


def compiler_for(context: Context, anything: bool) -> tuple[Compiler, str | None]:
    """Return how rustc is called, and a line for the person when the cache that the profile asks for is not used."""
    settings = context.loaded.profile.cache
    if settings is None or settings.wrapper == "none" or not anything:
        return Compiler(), None
    from buildopt import cache  # noqa: PLC0415 - only for profiles with a cache

    configured = cargo.load_config(context.host, context.root).get("build", "rustc-wrapper", ours=False)
    from_file = configured is not None and not configured.where.startswith("$")
    wrapper = cache.prepare(
        context.host,
        settings,
        context.root,
        context.state,
        ci=context.host.in_ci,
        configured=str(configured.value) if configured is not None and from_file else None,
    )
    if not wrapper.active:
        return Compiler(env=wrapper.env), wrapper.why
    readings = iter([wrapper.counters])  # what `prepare` has read serves as the reading before the first stage

    def use(before: object, after: object) -> tuple[CacheUse | None, str | None]:
        if not isinstance(before, cache.Counters) or not isinstance(after, cache.Counters):
            return None, None
        delta = cache.difference(before, after)
        return CacheUse(*delta), delta.complaint

    compiler = Compiler(
        env=wrapper.env,
        without=wrapper.without,
        is_failure=cache.is_wrapper_failure,
        counters=lambda: next(readings, None) or cache.snapshot(context.host, wrapper),
        use=use,
        alive=None if wrapper.address is None else lambda: cache.storage_alive(wrapper),
    )
    return compiler, wrapper.why or None
