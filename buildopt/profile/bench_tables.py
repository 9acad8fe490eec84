"""`[bench]` and `[tune]`: what is measured, and what tuning may try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Literal

from buildopt.profile.table import Duration, Table, Within, table

__all__ = ["ACTIONS", "TASKS", "Bench", "Tune"]

ACTIONS = (
    "clean", "warm-cache", "leaf", "hub", "binary", "no-change", "branch-switch", "second-tree", "release",
)  # fmt: skip
TASKS = ("check", "clippy", "build", "test-no-run", "test", "cycle")


@table
class Bench(Table):
    """What `bench`, `tune` and `gate` measure. Without this table they do what the defaults say."""

    scenarios: tuple[str, ...] = ("clean/build", "leaf/check", "leaf/build", "hub/build")
    """Scenarios that are measured where none is asked for, each `ACTION/TASK`. Actions: `clean`, `warm-cache`, `leaf`, `hub`,
    `binary` (edits), `no-change`, `branch-switch`, `second-tree`, `release`. Tasks: `check`, `clippy`, `build`, `test-no-run`,
    `test`, and `cycle`, which is an edit, its diagnostics, and the tests."""
    leaf: str | None = None
    """Package whose edit few others notice; the library that the fewest depend on when absent."""
    hub: str | None = None
    """Package whose edit most others notice; the library that the most depend on when absent."""
    binary: str | None = None
    """Package whose binary is edited; the first that has one when absent."""
    edit: Literal["body", "signature"] = "body"
    """What an edit is: a statement in the body of a function, or one more public function."""
    features: Literal["default", "all", "none"] | tuple[str, ...] = "default"
    """Cargo features, as in a stage."""
    pairs: Annotated[int, Within(5, 500)] = 20
    """The most pairs that one comparison may take."""
    smallest_effect: Annotated[int, Within(1, 50)] = 3
    """The smallest difference that matters, in percent: less is called equal."""
    revision: str | None = None
    """Revision that `branch-switch` switches to and back from; the parent of the last commit when absent."""


@table
class Tune(Table):
    """What `tune` may try, and what it is judged by. Without this table it does what the defaults say."""

    cargo_profile: str | None = None
    """Cargo profile that is tuned; the one that the first stage builds with when absent."""
    weights: Mapping[str, Annotated[int, Within(0, 1000)]] = field(default_factory=dict)
    """By scenario (as in `bench.scenarios`), how much it counts; `clean/build` 1, `leaf/build` 2 and `hub/build` 1 when empty."""
    may_change: tuple[str, ...] = ()
    """Keys of a Cargo profile that change what is built, and that may be tried all the same: `debug`, `package.*.debug`,
    `strip`, `opt-level`, `panic`, `debug-assertions`, `overflow-checks`. What only changes speed is always tried."""
    candidates: tuple[str, ...] = ()
    """Settings to try, each `KEY=VALUE` as in `bench --compare`; all that are legal here when empty."""
    budget: Duration | None = None
    """How long a tuning may take; 20 minutes when absent."""
