"""The stages as a graph: which ones run, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from buildopt.errors import ArgumentError, Problem, ProfileError
from buildopt.profile.model import Stage

__all__ = ["stages_in_order"]


def stages_in_order(stages: Mapping[str, Stage], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return `wanted` and all that they require, each once, every stage after the stages that it requires.

    Raises ArgumentError for a stage that the profile does not declare, ProfileError for a cycle.
    """
    for name in wanted:
        if name not in stages:
            raise ArgumentError(f"no stage {name!r} in the profile", hint=_suggestion(name, stages))
    order: list[str] = []
    for name in wanted:
        _visit(name, stages, order, ())
    return tuple(order)


def _visit(name: str, stages: Mapping[str, Stage], order: list[str], above: tuple[str, ...]) -> None:
    if name in above:
        chain = " → ".join((*above[above.index(name) :], name))
        raise ProfileError(f"stages require each other in a circle: {chain}")
    if name in order:
        return
    for required in stages[name].requires:
        if required not in stages:
            raise ProfileError(
                "the profile cannot be used",
                problems=(Problem(f"requires {required!r}, which is no stage", key=f"stages.{name}.requires"),),
            )
        _visit(required, stages, order, (*above, name))
    order.append(name)


def _suggestion(name: str, stages: Mapping[str, Stage]) -> str:
    if not stages:
        return 'declare one in buildopt.toml, or start from a preset: extends = ["dev-fast"]'
    from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

    close = get_close_matches(name, stages, 1)
    return f"did you mean {close[0]!r}?" if close else f"declared are: {', '.join(stages)}"
