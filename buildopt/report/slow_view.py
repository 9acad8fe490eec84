"""What `report --slow` shows, as values. Seconds are those of units: what each held a processor for, as Cargo saw it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from buildopt.report.slow_units import Build

__all__ = ["Bound", "Dependency", "Duplicate", "Kind", "MoreCores", "PathLink", "Rerun", "Serial", "SlowView"]

Kind = Literal["frontend", "codegen", "link", "executable", "procedural macro", "build script"]
"""`executable`: code generation and linking, which Cargo does not tell apart on a stable toolchain."""


class PathLink(NamedTuple):
    """One unit of the chain that led to the end of the build."""

    unit: str
    seconds: float
    """From its start until the next one could start."""
    waited_seconds: float
    """From when it could start until it did."""
    todo: str


class Serial(NamedTuple):
    """A time in which one unit ran and nothing else could."""

    unit: str
    start_seconds: float
    seconds: float
    todo: str


class Bound(NamedTuple):
    """A unit that cost much, and what it spent that on."""

    kind: Kind
    unit: str
    seconds: float
    share: float
    """The part of its seconds that went there, 0 to 1."""
    todo: str


class Dependency(NamedTuple):
    """A dependency that members declare, and what would be saved without it."""

    name: str
    version: str
    work_seconds: float
    """Of its units and of those of the packages that only it pulls in."""
    wall_seconds: float
    """By which the build would end earlier on this machine."""
    pulled_in: tuple[str, ...]
    """Packages that only it pulls in, itself aside."""
    members: tuple[str, ...]
    """Who declares it."""
    gate: tuple[str, ...]
    """Lines for buildopt.toml that make it optional; none where it cannot be, or is already."""
    todo: str


class Duplicate(NamedTuple):
    """A package that was built more than once."""

    name: str
    versions: tuple[str, ...]
    """The newest one last; one version alone was built twice, with other features or for the host."""
    work_seconds: float
    """Of all but the newest, and of what only these pull in."""
    through: tuple[str, ...]
    """How the oldest gets in: from a member to the package that asks for it."""
    todo: str


class Rerun(NamedTuple):
    """A build script that runs again although nothing was edited."""

    package: str
    runs: int
    """How many of the recorded runs ran it for this cause."""
    cause: str
    work_seconds: float
    """Of the units that the last of these runs rebuilt for it."""
    todo: str


class MoreCores(NamedTuple):
    """What the build would take on another number of processors."""

    cores: int | None
    """None: as many as it can use."""
    seconds: float
    saved_share: float
    """0 to 1, of what the model gives for today's number."""
    todo: str


class SlowView(NamedTuple):
    """Why a build took as long as it did."""

    build: Build | None
    """None where the record holds none."""
    notes: tuple[str, ...]
    """What to know first, each with what to do: that the build is not the last one, that Cargo could not be asked, …"""
    cores: int = 1
    """How many units ran at once."""
    model_seconds: float = 0.0
    """What the model of a machine gives for this build on its own number of processors; the nearer to the real one, the better."""
    verdict: tuple[str, str] = ("", "")
    """What bounds the build as a whole, and what to do."""
    path: tuple[PathLink, ...] = ()
    unlimited_path: tuple[PathLink, ...] = ()
    """The chain that would be left with as many processors as the build can use."""
    serial: tuple[Serial, ...] = ()
    bounds: tuple[Bound, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    reruns: tuple[Rerun, ...] = ()
    more_cores: tuple[MoreCores, ...] = ()
