"""What Cargo says: the workspace, the toolchain, its configuration, its settings by version, its messages."""

from __future__ import annotations

from buildopt.cargo.affected import Affected, Reach, Reached, affected
from buildopt.cargo.changes import Changes, changes
from buildopt.cargo.ci_base import CiBase, ci_base
from buildopt.cargo.config import declared_profiles, load_config
from buildopt.cargo.conflicts import Conflict, conflicts
from buildopt.cargo.linkers import linkers
from buildopt.cargo.messages import MessageStream, parse_messages
from buildopt.cargo.model import (
    CargoConfig,
    Components,
    ConfigValue,
    Dependency,
    DependencyKind,
    LinkerProbe,
    Package,
    RustFlags,
    Target,
    Toolchain,
    Workspace,
)
from buildopt.cargo.read_inputs import read_inputs
from buildopt.cargo.root import find_root
from buildopt.cargo.settings import Setting, find_setting, known_profile_keys, refused, settings
from buildopt.cargo.stderr import StderrReader
from buildopt.cargo.timings import TimedUnit, parse_timings
from buildopt.cargo.toolchain import probe_components, probe_toolchain
from buildopt.cargo.units import UnitRow, join_units
from buildopt.cargo.workspace import load_workspace

__all__ = [
    "Affected", "CargoConfig", "Changes", "CiBase", "Components", "ConfigValue", "Conflict", "Dependency", "DependencyKind",
    "LinkerProbe", "MessageStream", "Package", "Reach", "Reached", "RustFlags", "Setting", "StderrReader", "Target",
    "TimedUnit", "Toolchain", "UnitRow", "Workspace", "affected", "changes", "ci_base", "conflicts", "declared_profiles",
    "find_root", "find_setting", "join_units", "known_profile_keys", "linkers", "load_config", "load_workspace",
    "parse_messages", "parse_timings", "probe_components", "probe_toolchain", "read_inputs", "refused", "settings",
]  # fmt: skip
