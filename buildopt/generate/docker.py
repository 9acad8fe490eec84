"""`Dockerfile` and `.dockerignore`: dependencies in a layer of their own, a runtime image without a compiler.

What is settled here, and tried with real Cargo: the planner sees all of the workspace (a copy of some manifests cannot see the
members); no target directory is a cache mount (it would mix commits, and ship old binaries); the code of the workspace is
always newer than the stand-ins that the dependency layer was built with.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from buildopt.cargo.model import CargoConfig, ConfigValue, Package, Workspace
from buildopt.errors import Bug, ManifestError, Problem
from buildopt.generate import gates
from buildopt.generate.cargo_config import HOST_NAME, MARK
from buildopt.generate.docker_binaries import Binary, binaries_of
from buildopt.generate.model import Inputs
from buildopt.generate.templates import engine, template
from buildopt.profile.model import Docker, Profile

__all__ = ["DOCKERFILE", "FILES", "IGNORE", "Rendered", "input_paths", "render"]

DOCKERFILE, IGNORE = "Dockerfile", ".dockerignore"
FILES = (DOCKERFILE, IGNORE)
CARGO_CHEF = "=0.1.78"  # https://crates.io/crates/cargo-chef; tests/generate/test_docker_commands.py runs it
HEADER = f"{MARK} from buildopt.toml; `buildopt sync` writes it again, so edit buildopt.toml instead."
APP = "/app"
_TOOLCHAIN_FILES = ("rust-toolchain", "rust-toolchain.toml")  # rustup prefers the first
_LOCK = "Cargo.lock"
_BARE = re.compile(r"[A-Za-z0-9_./:@=*-]+")
_BUILT_IN = {"dev": "debug", "test": "debug", "bench": "release"}
_IGNORED = (
    "target", ".git", ".buildopt", ".cargo/buildopt.host.toml", "**/node_modules", "Dockerfile", ".dockerignore",
    ".github", ".gitlab", ".gitlab-ci.yml", ".idea", ".nox", ".venv", ".vscode",
)  # fmt: skip


class Rendered(NamedTuple):
    """The two files, and what to know about them."""

    files: Mapping[str, str]
    notes: tuple[str, ...]


def input_paths(profile: Profile) -> tuple[str, ...]:
    """Return the files, relative to the root, that decide what is written or may be replaced by it."""
    return (*FILES, *_TOOLCHAIN_FILES, _LOCK) if profile.docker is not None else FILES


def render(docker: Docker, inputs: Inputs) -> Rendered:
    """Return both files.

    Raises ProfileError when a binary is not there or cannot be told, ManifestError when the image could not see a package.
    """
    workspace = inputs.workspace
    _refuse_outside(workspace)
    binaries, notes = binaries_of(docker, workspace)
    config = {value.dotted: value.value for value in _committed(inputs.config)}
    folders = _folders(workspace, config)
    output = _output(config, docker.cargo_profile)
    values = {
        "image": docker.image,
        "runtime": docker.runtime,
        "chef": CARGO_CHEF,
        "project": _project(workspace, binaries),
        "environment": _environment(config),
        "toolchain": next((path for path in _TOOLCHAIN_FILES if path in inputs.texts), None),
        "folders": folders,
        "untouched": _untouched(("target", *folders)),
        "arguments": _arguments(docker, inputs, binaries),
        "binaries": [f"{APP}/{output}/{binary.name}" for binary in binaries],
        "entry": f"/usr/local/bin/{binaries[0].name}",
    }
    patterns = [pattern for pattern in _IGNORED if not _hides_package(pattern, workspace)]
    if not workspace.has_lock:
        notes = (*notes, "docker: there is no Cargo.lock, and the image is built from one: `cargo generate-lockfile`")
    templates: dict[str, tuple[str, Mapping[str, Any]]] = {
        DOCKERFILE: ("Dockerfile.j2", values),
        IGNORE: ("dockerignore.j2", {"patterns": patterns}),
    }
    return Rendered(_filled(templates), notes)


def _refuse_outside(workspace: Workspace) -> None:
    outside = [p for p in workspace.packages if not p.directory.is_relative_to(workspace.root)]
    if outside:
        problems = (
            Problem(
                f"the package {package.name} lies outside of the workspace root, where docker build cannot see it",
                file=os.path.relpath(package.manifest, workspace.root),
                key="docker",
                hint="move it below the root, or take it from a registry or by git",
            )
            for package in outside
        )
        raise ManifestError("no Dockerfile can be written for this workspace", problems=tuple(problems))


def _committed(config: CargoConfig) -> list[ConfigValue]:
    """Return the values of Cargo's configuration that the image will have too, those that win last."""
    machine = ("/", "$", f".cargo/{HOST_NAME}")
    return [value for value in reversed(config.values) if not value.where.startswith(machine)]


def _environment(config: Mapping[str, Any]) -> list[str]:
    environment = [f"CARGO_TARGET_DIR={APP}/target"]
    if "build.build-dir" in config:
        environment.append(f"CARGO_BUILD_BUILD_DIR={APP}/target")
    if config.get("build.rustc-wrapper"):
        environment.append("RUSTC_WRAPPER=")
    return environment


def _output(config: Mapping[str, Any], cargo_profile: str) -> str:
    """Return the folder, relative to the root, that Cargo puts binaries into."""
    triple = config.get("build.target")
    folder = _BUILT_IN.get(cargo_profile, cargo_profile)
    if triple is None:
        return f"target/{folder}"
    if not isinstance(triple, str) or not re.fullmatch(r"[a-z0-9_.]+(-[a-z0-9_.]+)+", triple) or triple == "host-tuple":
        problem = Problem(
            "names more than one platform, or one that only the machine knows",
            file=".cargo/config.toml",
            key="build.target",
            hint="name one platform, or leave the key out",
        )
        raise ManifestError("no Dockerfile can be written for this workspace", problems=(problem,))
    return f"target/{triple}/{folder}"


def _folders(workspace: Workspace, config: Mapping[str, Any]) -> list[str]:
    """Return what the dependencies need of the workspace itself: packages that are no members, and vendored ones."""
    own = [p.directory.relative_to(workspace.root).as_posix() for p in workspace.packages if not p.member]
    vendored = [
        os.path.normpath(value)
        for key, value in config.items()
        if key.startswith("source.") and key.endswith((".directory", ".local-registry")) and isinstance(value, str)
    ]
    inside = [path for path in vendored if not path.startswith(("/", ".."))]
    return sorted({*own, *inside})


def _untouched(folders: Iterable[str]) -> list[str]:
    """Return the part of a `find` that leaves folders out."""
    return [word for folder in folders for word in ("-path", f"./{folder}", "-prune", "-o")]


def _arguments(docker: Docker, inputs: Inputs, binaries: Sequence[Binary]) -> list[str]:
    """Return what both `cargo chef cook` and `cargo build` are told, so that both build the same dependencies."""
    packages = list({binary.package.id: binary.package for binary in binaries}.values())
    arguments = ["--profile", docker.cargo_profile]
    arguments += _features(docker.features, packages, gates.feature_names(inputs.profile.features, inputs.workspace))
    for package in packages:
        arguments += ["--package", _spec(package, inputs)]
    for binary in binaries:
        arguments += ["--bin", binary.name]
    return arguments


def _features(
    features: str | tuple[str, ...], packages: Sequence[Package], known: Mapping[str, Iterable[str]]
) -> list[str]:
    if isinstance(features, str):
        return {"all": ["--all-features"], "none": ["--no-default-features"]}.get(features, [])
    names = [f"{package.name}/{name}" for package in packages for name in features if name in known[package.name]]
    return ["--features", ",".join(names)] if names else []


def _spec(package: Package, inputs: Inputs) -> str:
    """Return the package for `--package`: by its name, and by where it is when another package has that name too."""
    named = rf'^name = "{re.escape(package.name)}"\r?$'.encode()
    if len(re.findall(named, inputs.texts.get(_LOCK, b""), re.MULTILINE)) < 2:
        return package.name
    folder = package.directory.relative_to(inputs.workspace.root).as_posix()
    return f"path+file://{os.path.normpath(f'{APP}/{folder}')}#{package.name}"


def _project(workspace: Workspace, binaries: Sequence[Binary]) -> str:
    """Return a name for caches that several builds on one machine share; no part of it depends on the machine."""
    root = next((package.name for package in workspace.members if package.directory == workspace.root), None)
    return root or binaries[0].name


def _hides_package(pattern: str, workspace: Workspace) -> bool:
    name = pattern.removeprefix("**/")
    folders = [package.directory.relative_to(workspace.root).parts for package in workspace.packages]
    return any(name in parts if pattern.startswith("**/") else parts[:1] == (name,) for parts in folders)


class _Quoted(str):
    """Text that may land in a file as it is."""

    __slots__ = ()


def _filled(templates: Mapping[str, tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """Return the templates filled in. A value is quoted for the place where it lands, or harmless anywhere."""
    filters: dict[str, Callable[[Any], str]] = {
        "shell": lambda words: _Quoted(shlex.join(words)),
        "json": lambda words: _Quoted(json.dumps(words, ensure_ascii=False)),
        "text": _Quoted,
    }
    filling = engine(_harmless, filters)
    return {
        path: filling.from_string(template(f"docker/{name}")).render(header=HEADER, **values)
        for path, (name, values) in templates.items()
    }


def _harmless(value: object) -> str:
    if isinstance(value, _Quoted):
        return value
    if isinstance(value, str) and _BARE.fullmatch(value):
        return value
    raise Bug(f"a value that is not quoted would land in a Dockerfile: {value!r}")
