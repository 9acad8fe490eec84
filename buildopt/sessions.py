"""nox sessions out of the profile: one for each stage and verb. The only module that knows nox."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from buildopt.errors import BuildoptError, PinsMoved
from buildopt.host import Files
from buildopt.profile import Outline, outline

if TYPE_CHECKING:
    import nox

__all__ = ["sessions"]

_VERBS = {
    "sync": "show one diff of everything that is generated from buildopt.toml, then write it",
    "drift": "fail, with a diff, when a generated file is stale",
    "rollback": "undo the last sync, byte for byte",
    "report": "show the last runs, stages against budgets, the slowest crates, and why they were rebuilt",
    "ci-matrix": "what CI has to run for this change, as JSON, and in GITHUB_OUTPUT",
    "tune": "find the settings that pay on this workspace and this machine, and write them to buildopt.toml",
    "gate": "hold budgets and the record's history against regressions",
    "doctor": "show tools and versions, what is missing, and settings that fight each other",
}

_SCENARIOS = {
    "bench-build-times": ("measure builds from nothing: development and release", ("clean/build", "release/build")),
    "bench-incremental": (
        "measure builds after real edits of a leaf, of the crate most depend on, and of the binary",
        ("leaf/check", "leaf/build", "hub/check", "hub/build", "binary/build"),
    ),
    "bench-development-cycle": ("measure from an edit over its diagnostics to its tests", ("leaf/cycle", "hub/cycle")),
}
"""The sessions that measure, what they do, and the scenarios of each."""

_EXCLUSIVE = frozenset({"sync", "rollback", "tune"})  # they write the files that the others read


def sessions(*, root: str | os.PathLike[str] | None = None, prefix: str = "") -> None:
    """Register the sessions of the workspace at `root` with nox; call it in a noxfile, after your own sessions.

    `root` is the folder of the noxfile unless it is given. `prefix` is put before every name, for a noxfile that
    already has a session of that name. Ends nox with buildopt's exit code and one message, never a traceback, when the
    profile cannot be read or a name is taken.
    """
    caller = sys._getframe(1).f_globals.get("__file__", "")  # noqa: SLF001 - nox may be started from elsewhere
    folder = Path(root) if root is not None else Path(caller).resolve().parent
    try:
        names = _Names(prefix)
        path = folder / "buildopt.toml"
        files = Files()
        known = outline(path, root=folder, read=files.read) if files.read(path) is not None else Outline((), ())
        _register_all(folder, known, names)
    except BuildoptError as error:
        sys.stderr.write("".join(f"buildopt: {line}\n" for line in error.lines()))
        raise SystemExit(error.exit_code) from None


class _Names:
    """The session names of this noxfile: each can be taken once."""

    def __init__(self, prefix: str) -> None:
        from nox import registry  # noqa: PLC0415 - only inside a noxfile

        self.prefix = prefix
        self.taken = set(registry.get())

    def claim(self, name: str) -> str:
        from buildopt.errors import ArgumentError  # noqa: PLC0415 - the rare path

        full = f"{self.prefix}{name}"
        if full in self.taken:
            raise ArgumentError(
                f"the noxfile already has a session named {full!r}",
                hint='rename it, or give all of these a prefix: buildopt.sessions(prefix="build-")',
            )
        self.taken.add(full)
        return full


def _register_all(folder: Path, known: Outline, names: _Names) -> None:
    first = "quick-check" if any(stage.name == "quick-check" for stage in known.stages) else None
    first = first or (known.stages[0].name if known.stages else None)
    quick = f"the stage {first}" if first else "the first stage of buildopt.toml"
    _register(names.claim("dev-quick"), f"{quick}, for what was changed", ("dev-quick",), folder, default=True)
    watch = "after every edit: the stages for what it affects, what is stale ended"
    _register(names.claim("dev-watch"), watch, ("watch",), folder)
    groups = f" ({', '.join(known.tests)})" if known.tests else ""
    _register(names.claim("dev-test"), f"a test group{groups}, a package, or a test filter", ("dev-test",), folder)
    for stage in known.stages:
        limits = [f"timeout {stage.timeout}"] if stage.timeout else []
        limits += [f"budget {stage.budget}"] if stage.budget else []
        tail = f" ({', '.join(limits)})" if limits else ""
        about = (
            f"{', '.join(stage.run)} for {'what was changed' if stage.scope == 'affected' else 'all packages'}{tail}"
        )
        requires = tuple(f"{names.prefix}{name}" for name in stage.requires)
        _register(names.claim(stage.name), about, ("run", "--only", stage.name), folder, requires=requires)
    for name, (about, scenarios) in _SCENARIOS.items():
        _register(names.claim(name), about, ("bench", "--scenario", *scenarios), folder)
    for verb, about in _VERBS.items():
        _register(names.claim(verb), about, (verb,), folder)


def _register(
    name: str,
    about: str,
    words: tuple[str, ...],
    folder: Path,
    *,
    requires: tuple[str, ...] = (),
    default: bool = False,
) -> None:
    import nox  # noqa: PLC0415 - only inside a noxfile

    def run(session: nox.Session) -> None:
        _run(session, words, folder)

    run.__doc__ = about
    nox.session(
        name=name,
        python=False,
        requires=list(requires),
        default=default,
        tags=["buildopt"],
        allow_parallel=words[0] not in _EXCLUSIVE,
    )(run)


def _run(session: nox.Session, words: tuple[str, ...], folder: Path) -> None:
    from buildopt.cli import main  # noqa: PLC0415 - `nox -l` does not need it

    if getattr(session._runner.global_config, "parallel_worker", False):  # noqa: SLF001 - nox has no public word for it
        from buildopt.host.signals import die_with_parent  # noqa: PLC0415 - only under nox -j

        die_with_parent()
    code = main([*words, "--root", str(folder), *session.posargs], via_nox=True)
    if code == 130:
        raise KeyboardInterrupt
    if code == PinsMoved.exit_code:  # a bot's pull request must not fail over it
        session.warn("only pins moved; see above")
    elif code:
        session.error(f"buildopt {words[0]}: exit code {code}")
