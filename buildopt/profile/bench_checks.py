"""What `[bench]`, `[tune]` and the budgets that `gate` holds may say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from buildopt.profile.bench_tables import ACTIONS, TASKS, Bench, Tune
from buildopt.profile.fault import Fault
from buildopt.profile.model import Budgets
from buildopt.profile.wording import did_you_mean, shown

__all__ = ["check_measured"]

_PACKAGE = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}"
_REVISION = r"[A-Za-z0-9_.@][A-Za-z0-9_./@{}^~+#-]{0,254}"
_KEY = r"(package\.([A-Za-z0-9_-]{1,128}|\*)\.|build-override\.)?[a-z][a-z-]{1,40}"
_SETTING = rf'{_KEY}=("[A-Za-z0-9_./ -]{{0,128}}"|[A-Za-z0-9_-]{{1,128}})'
_ARTIFACT = r"[^\\:|<>\"]{1,1024}"


def check_measured(bench: Bench, tune: Tune, budgets: Budgets) -> Iterator[Fault]:
    """Yield what is wrong with what is measured, tuned, and held by `gate`."""
    yield from _scenarios(("bench", "scenarios"), bench.scenarios)
    for key in ("leaf", "hub", "binary"):
        package = getattr(bench, key)
        if package is not None and not _fits(_PACKAGE, package):
            yield Fault(("bench", key), f"{shown(package)} is no package", "the name of a member")
    if bench.revision is not None and (not _fits(_REVISION, bench.revision) or ".." in bench.revision):
        yield Fault(("bench", "revision"), f"{shown(bench.revision)} is no branch or revision", "for example main")
    for scenario in tune.weights:
        yield from _scenarios(("tune", "weights", scenario), (scenario,))
    for key in tune.may_change:
        if not _fits(_KEY, key):
            yield Fault(
                ("tune", "may-change"), f"{shown(key)} is no key of a Cargo profile", '"debug", "package.*.debug"'
            )
    for setting in tune.candidates:
        if not _fits(_SETTING, setting):
            yield Fault(("tune", "candidates"), f"{shown(setting)} is no setting", 'KEY=VALUE, as "codegen-units=16"')
    for scenario in budgets.scenarios:
        yield from _scenarios(("budgets", "scenarios", scenario), (scenario,))
    for file in budgets.artifacts:
        if file.startswith(("/", "~")) or ".." in file.split("/") or not _fits(_ARTIFACT, file):
            yield Fault(
                ("budgets", "artifacts", file), "no path inside the target directory", "write it with / and without .."
            )


def _scenarios(path: tuple[str, ...], names: Iterable[str]) -> Iterator[Fault]:
    known = tuple(f"{action}/{task}" for action in ACTIONS for task in TASKS)
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"ACTION/TASK of {', '.join(ACTIONS)} and {', '.join(TASKS)}"
            yield Fault(path, f"no such scenario: {shown(name)}", hint)


def _fits(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text, re.ASCII) is not None
