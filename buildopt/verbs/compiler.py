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

    configured = cargo.load_config(context.host, context.root).rustc_wrapper
    wrapper = cache.prepare(
        context.host, settings, context.root, context.state, ci=context.host.in_ci, configured=configured
    )
    if not wrapper.active:
        return Compiler(env=wrapper.env), wrapper.why

    def use(before: object, after: object) -> CacheUse | None:
        if not isinstance(before, cache.Counters) or not isinstance(after, cache.Counters):
            return None
        return CacheUse(*cache.difference(before, after))

    compiler = Compiler(
        env=wrapper.env,
        without={"RUSTC_WRAPPER": "", "CARGO_BUILD_RUSTC_WRAPPER": None},
        is_failure=cache.is_wrapper_failure,
        counters=lambda: cache.snapshot(context.host, wrapper),
        use=use,
    )
    return compiler, wrapper.why or None
