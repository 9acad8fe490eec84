"""`sync`, `drift`, `rollback`: from the profile to generated files, and back."""

from __future__ import annotations

import re
from collections.abc import Callable

from buildopt import cargo, generate, sync
from buildopt.errors import GateRefused, ManifestError, Problem, ToolMissing
from buildopt.host import Command
from buildopt.profile.model import Profile
from buildopt.sync.model import Plan
from buildopt.verbs.context import Context

__all__ = ["HOST_FILE", "make_committed_plan", "make_plan", "mend_include", "rollback", "write_plan"]

HOST_FILE = ".cargo/buildopt.host.toml"
_UNRESOLVED = re.compile(r"^(?P<where>\S+?:\d+:\d+): error\[E0(?:432|433|463)\]: (?P<text>.*)$", re.MULTILINE)
_INCLUDES_OURS = re.compile(rb"""^\s*include\s*=.*["']buildopt\.toml["']""", re.MULTILINE)


def make_plan(context: Context) -> Plan:
    """Return the edits that make every generated file what the profile says; writes nothing."""
    return _plan(context, for_host=True)


def make_committed_plan(context: Context) -> Plan:
    """Return the edits of files that everybody shares: what belongs to this host is not looked at, and is no drift.

    The notes are left out: they speak of this host too.
    """
    plan = _plan(context, for_host=False)
    return Plan(tuple(edit for edit in plan.edits if edit.path != HOST_FILE))


def _plan(context: Context, *, for_host: bool) -> Plan:
    profile = context.loaded.profile
    context.check_requires()
    host, root = context.host, context.root
    wants_linker = for_host and profile.cargo is not None and profile.cargo.linker is not None
    paths, loose = generate.wanted_paths(profile, context.workspace), generate.loose_paths(profile)
    texts = sync.read_texts(host, root, paths, loose=loose)
    inputs = generate.Inputs(
        profile=profile,
        workspace=context.workspace,
        toolchain=context.toolchain,
        config=cargo.load_config(host, root),
        linkers=cargo.linkers(host, root, context.toolchain, context.state) if wants_linker else {},
        cores=host.cores,
        memory_bytes=host.memory_bytes,
        texts=texts,
        ci_profile=context.ci_profile,
        below_repository=_is_below_repository(context),
    )
    return sync.make_plan(host, root, generate.generate(inputs), texts)


def _is_below_repository(context: Context) -> bool:
    for folder in (context.root, *context.root.parents):
        if context.host.files.stamp(folder / ".git") is not None:
            return folder != context.root
    return False


def mend_include(context: Context) -> str | None:
    """Write an empty .cargo/buildopt.toml where Cargo's configuration includes it and it is gone; say so.

    Without it Cargo refuses every command, and so nothing could be asked that a plan is made from.
    """
    files, folder = context.host.files, context.root / ".cargo"
    path = folder / "buildopt.toml"
    texts = [files.read(folder / name) or b"" for name in ("config.toml", "config")]
    if files.mode(path) is not None or not any(_INCLUDES_OURS.search(text) for text in texts):
        return None
    files.write_new(path, generate.EMPTY_CARGO_FILE)
    return ".cargo/buildopt.toml was gone, and Cargo includes it: it is written again"


def write_plan(context: Context, plan: Plan, progress: Callable[[str], None]) -> tuple[str, ...]:
    """Apply `plan`, and undo it when Cargo does not accept the result; return what could not be verified.

    Raises ManifestError with Cargo's words, GateRefused when a gate breaks the default build of its package.
    """
    notes: list[str] = []

    def verify() -> None:
        _accepts(context)
        for package in plan.gated:
            notes.extend(_probe_gate(context, package, progress))

    context.prepare_state()
    lock = context.host.files.read(context.root / "Cargo.lock")
    try:
        sync.apply(context.host, context.root, context.state, plan, verify=verify)
    except GateRefused:
        _restore_lock(context, lock)
        raise
    return tuple(notes)


def rollback(context: Context) -> sync.Restored:
    """Undo the last sync, byte for byte."""
    return sync.rollback(context.host, context.root, context.state)


def _restore_lock(context: Context, before: bytes | None) -> None:
    """Take back what the probe of a gate did to the lock file, as any build does when it is stale or not there."""
    files, path = context.host.files, context.root / "Cargo.lock"
    if before is None:
        files.remove(path)
    elif files.read(path) != before:
        files.write(path, before)


def _cargo(context: Context) -> str:
    found = context.host.which("cargo")
    if found is None:
        raise ToolMissing("cargo is not found on PATH", hint="install Rust with rustup")
    return str(found)


def _accepts(context: Context) -> None:
    """Ask Cargo whether it still accepts the workspace; the lock file is left alone, there or not, stale or not."""
    try:
        cargo.load_workspace(context.host, context.root, context.state, fresh=True)
    except ManifestError as error:
        raise ManifestError(
            "cargo does not accept the generated files; everything is as it was",
            problems=(Problem(error.message), *error.problems),
            hint="mend the profile as Cargo says, then sync again",
        ) from error


def _probe_gate(context: Context, name: str, progress: Callable[[str], None]) -> list[str]:
    """Check that `name` still builds with its default features, now that a dependency is optional."""
    package = next(package for package in context.workspace.members if package.name == name)
    progress(f"checking that {name} builds without the gated dependencies (default features)")
    argv = (_cargo(context), "check", "--package", package.spec, "--message-format=short", "--color", "never")
    finished = context.host.run(Command(argv, context.root, timeout_seconds=1800.0))
    if finished.returncode == 0:
        return []
    gated = _gated_crates(context.loaded.profile, name)
    text = finished.stderr.decode(errors="replace")
    uses = [match for match in _UNRESOLVED.finditer(text) if any(f"`{crate}`" in match["text"] for crate in gated)]
    if not uses:
        return [f"{name} does not build, for other reasons than its gates: they could not be verified"]
    raise GateRefused(
        f"the gates of {name} would break its default build; everything is as it was",
        problems=tuple(Problem(match["text"], file=match["where"]) for match in uses[:8]),
        hint=f'put the code behind #[cfg(feature = "…")], or add the gate to `default` of [features.{name}]',
    )


def _gated_crates(profile: Profile, name: str) -> set[str]:
    lists = [features for package, features in profile.features.items() if package in (name, "*")]
    items = {item for features in lists for feature in features.values() for item in feature}
    return {item.removeprefix("dep:").replace("-", "_") for item in items if item.startswith("dep:")}
