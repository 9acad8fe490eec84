"""What `buildopt init` writes: a profile that fits the workspace, and a noxfile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from buildopt.cargo.model import Package, Toolchain, Workspace
from buildopt.generate.templates import template
from buildopt.generate.toml import key_text, value_text
from buildopt.profile import outline

__all__ = ["starter_noxfile", "starter_profile"]

HEAVY: Mapping[str, str] = {
    "arrow": "dataframes", "aws-sdk-s3": "aws", "bevy": "graphics", "bindgen": "bindings", "burn": "ml",
    "candle-core": "ml", "cranelift-codegen": "jit", "datafusion": "dataframes", "deno_core": "scripting",
    "duckdb": "duckdb", "eframe": "gui", "egui": "gui", "ffmpeg-next": "video", "gstreamer": "video", "gtk4": "gui",
    "iced": "gui", "image": "images", "lance": "dataframes", "llvm-sys": "llvm", "mlua": "scripting", "opencv": "vision",
    "ort": "ml", "parquet": "dataframes", "plotters": "plots", "polars": "dataframes", "pyo3": "python", "rdkafka": "kafka",
    "rocksdb": "rocksdb", "rusqlite": "sqlite", "servo": "browser", "skia-safe": "graphics", "slint": "gui",
    "surrealdb": "surrealdb", "swc_core": "javascript", "tantivy": "search", "tauri": "gui", "tch": "ml", "tensorflow": "ml",
    "tikv-client": "tikv", "tonic": "grpc", "typst": "typst", "v8": "scripting", "vulkano": "vulkan",
    "wasmer": "wasm", "wasmtime": "wasm", "wgpu": "gpu", "windows": "windows", "z3": "solver",
}  # fmt: skip
"""Dependencies that are known to build for long (many units, a large C++ library, generated code), and a name for their gate."""

_TEST_PACKAGE = re.compile(r"(?:^|[-_])(e2e|integration|acceptance|smoke)(?:[-_]?tests?)?$")
_INCLUDE_SINCE = (1, 94)


def starter_profile(workspace: Workspace, toolchain: Toolchain) -> str:
    """Return the text of a first buildopt.toml: short, commented, and valid for this workspace as it is."""
    head = f"""\
#:schema .buildopt/schema.json
# How {_described(workspace)} is built. `buildopt explain KEY` says what a key means and where its value comes from.
version = 1
extends = ["dev-fast"]

{_requires(toolchain)}
"""
    return "\n".join(part for part in (head, _stages(head), _tests(workspace), _gates(workspace), _IDE) if part)


def starter_noxfile() -> str:
    """Return the text of a first noxfile.py."""
    return template("init/noxfile.py")


_IDE = """\
# rust-analyzer, through .vscode/settings.json: a build directory of its own, so that editor and terminal never wait for each other.
# [ide]
# check = "clippy"
"""


def _described(workspace: Workspace) -> str:
    count = len(workspace.members)
    if count == 1:
        return f"the package {key_text(workspace.members[0].name)}"
    return f"this workspace of {count} packages"


def _requires(toolchain: Toolchain) -> str:
    major, minor = (int(part) for part in toolchain.cargo.split(".")[:2])
    if (major, minor) >= _INCLUDE_SINCE:
        why, version = "An older Cargo cannot include .cargo/buildopt.toml, and would be given other files.", "1.94"
    else:
        why, version = "What is used here now.", f"{major}.{minor}"
    return f'# {why}\n[requires]\ncargo = ">={version}"'


def _stages(head: str) -> str:
    """Return the stages that the presets give, as comments."""
    name = "buildopt.toml"
    given = outline(Path(name), root=Path(), read=lambda path: head.encode() if path.name == name else None)
    lines = [
        '# The stages come from the preset; any key of theirs can be set here, timeout = "2m" and budget = "5s" too.'
    ]
    for stage in given.stages:
        lines += [f"# [stages.{key_text(stage.name)}]", f"# run = {value_text(list(stage.run))}"]
        lines.append(f"# scope = {value_text(stage.scope)}")
        lines += [f"# timeout = {value_text(stage.timeout)}"] if stage.timeout else []
    return "\n".join([*lines, ""])


def _tests(workspace: Workspace) -> str:
    """Return a test group for each kind of test package whose name says that it is one."""
    groups: dict[str, list[str]] = {}
    for package in workspace.members:
        match = _TEST_PACKAGE.search(package.name)
        if match:
            groups.setdefault(match.group(1), []).append(package.name)
    lines = ["# Groups of tests: `nox -s dev-test -- NAME` runs one, and CI gives each a lane."]
    for group, packages in groups.items():
        lines += [f"[tests.{group}]", f"packages = {value_text(packages)}", 'timeout = "5m"', ""]
    if not groups:
        example = workspace.members[0].name if workspace.members else "core"
        lines += ["# [tests.fast]", f"# packages = {value_text([example])}", '# timeout = "2m"', ""]
    return "\n".join(lines)


def _gates(workspace: Workspace) -> str:
    """Return, as comments, gates for the heavy dependencies that are always built now."""
    found = [(package, names) for package in workspace.members if (names := tuple(_heavy(package)))]
    if not found:
        return ""
    lines = [
        "# These dependencies build for long, and are built always. Behind a gate they are built only where they are asked for;",
        '# code that uses them then stands behind #[cfg(feature = "…")]. `buildopt sync` shows the change before it makes it.',
    ]
    for package, names in found:
        gates: dict[str, list[str]] = {}
        for name in names:
            gates.setdefault(HEAVY[name], []).append(f"dep:{_key(package, name)}")
        lines.append(f"# [features.{key_text(package.name)}]")
        lines += [f"# {key_text(gate)} = {value_text(items)}" for gate, items in gates.items()]
    return "\n".join([*lines, ""])


def _heavy(package: Package) -> Iterable[str]:
    always = {each.package for each in package.dependencies if each.kind == "normal" and not each.optional}
    return sorted(always & HEAVY.keys())


def _key(package: Package, name: str) -> str:
    return next(each.key for each in package.dependencies if each.package == name and each.kind == "normal")
