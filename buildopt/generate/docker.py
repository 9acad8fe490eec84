"""`Dockerfile` and `.dockerignore`: dependencies in a layer of their own, a runtime image without a compiler.

Dependencies are built beside empty programs that stand in for the code. No clock decides whether one of those is shipped: they
are built under other names (a workspace wrapper is part of Cargo's hash of each member). No target directory is a cache mount:
it would mix commits, and ship old binaries. There is no cargo-chef in it: it gives members another version, under which a
`[patch]` with a member no longer resolves, it leaves out packages that are no members and files that Cargo's configuration
includes, and where a member has that version it keeps the empty build script (0.1.78).
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from buildopt.cargo.model import Package, Workspace
from buildopt.errors import Bug, ManifestError, Problem
from buildopt.generate.ci.mark import is_ours, is_unchanged, marked
from buildopt.generate.docker_binaries import Contents, contents
from buildopt.generate.docker_context import Context
from buildopt.generate.model import Inputs
from buildopt.generate.templates import engine, template
from buildopt.profile.model import Docker, Profile

if TYPE_CHECKING:
    import jinja2

__all__ = ["INPUT_PATHS", "Rendered", "leave", "loose_paths", "prepare", "render"]

DOCKERFILE, IGNORE = "Dockerfile", ".dockerignore"
FILES = (DOCKERFILE, IGNORE)
SYNTAX = "# syntax=docker/dockerfile:1\n"
APP = "/app"
_TOOLCHAIN_FILES = ("rust-toolchain", "rust-toolchain.toml")  # rustup prefers the first
_LOCK = "Cargo.lock"
_READ = (*_TOOLCHAIN_FILES, _LOCK)
INPUT_PATHS = (*FILES, *_READ)
"""Files, relative to the root, that decide what is written, or that are replaced or removed."""
_BARE = re.compile(r"[A-Za-z0-9_./:@=*-]+")
_BUILT_IN = {"dev": "debug", "test": "debug", "bench": "release"}
_RUST_IMAGE = re.compile(r"(?:docker\.io/)?(?:library/)?rust:(\d{1,4})\.(\d{1,4})(?![\d])")
_INCLUDES_SINCE = (1, 94)


class Rendered(NamedTuple):
    """The two files, and what to know about them."""

    files: Mapping[str, str | None]
    """None for one that must not exist."""
    notes: tuple[str, ...]


def loose_paths(profile: Profile) -> tuple[str, ...]:
    """Return those of `INPUT_PATHS` that nothing is written to: one that is a symlink counts as not there."""
    return _READ if profile.docker is not None else INPUT_PATHS


def prepare(profile: Profile) -> None:
    """Load and compile what `render` will need: time that is there while Cargo answers."""
    if profile.docker is not None:
        _template()


def leave(texts: Mapping[str, bytes]) -> Rendered:
    """Return what becomes of both files when no image is declared: they go when they are as buildopt wrote them."""
    there = {path: _body(path, texts[path]) for path in FILES if path in texts}
    ours = {path: text for path, text in there.items() if is_ours(text)}
    edited = [path for path, text in ours.items() if not is_unchanged(text)]
    notes = (f"{path} stays: it was written by buildopt, and has been edited since" for path in edited)
    return Rendered({path: None for path in ours if path not in edited}, tuple(notes))


def render(docker: Docker, inputs: Inputs) -> Rendered:
    """Return both files.

    Raises ProfileError when a binary is not there or cannot be told, ManifestError when the image could not see a package,
    or when a file of somebody else is in the way.
    """
    workspace = inputs.workspace
    _refuse_others(inputs.texts)
    context = Context(workspace, inputs.config)
    made_of = contents(docker, inputs.as_in_ci.features, workspace)
    names = [binary.name for binary in made_of.binaries]
    output = _output(context.settings, docker.cargo_profile)
    toolchain = next((path for path in _TOOLCHAIN_FILES if path in inputs.texts), None)
    values = {
        "image": docker.image,
        "runtime": docker.runtime,
        "project": _project(workspace, names),
        "environment": _environment(context.settings),
        "toolchain": toolchain,
        "kept": context.kept(),
        "targets": context.targets(),
        "arguments": _arguments(docker.cargo_profile, made_of, inputs),
        "binaries": [f"{APP}/{output}/{name}" for name in names],
        "entry": f"/usr/local/bin/{names[0]}",
    }
    bodies = {DOCKERFILE: _template().render(**values), IGNORE: context.ignored()}
    files = {path: _whole(path, body) for path, body in bodies.items()}
    return Rendered(files, (*made_of.notes, *_notes(docker, inputs, toolchain)))


def _whole(path: str, body: str) -> str:
    """Return a file with its head. What says how Docker reads a Dockerfile must be its first line."""
    return (SYNTAX if path == DOCKERFILE else "") + marked(body)


def _body(path: str, content: bytes) -> str:
    """Return the text of a file from the mark on; what is no UTF-8 is nobody's of us."""
    text = content.decode(errors="replace").replace("\r\n", "\n")
    return text.removeprefix(SYNTAX) if path == DOCKERFILE else text


def _refuse_others(texts: Mapping[str, bytes]) -> None:
    problems = tuple(
        Problem("exists and was not written by buildopt", file=path, hint="move it away, or remove the table [docker]")
        for path in FILES
        if path in texts and not is_ours(_body(path, texts[path]))
    )
    if problems:
        raise ManifestError("a file is in the way", problems=problems)


def _notes(docker: Docker, inputs: Inputs, toolchain: str | None) -> Iterator[str]:
    if not inputs.workspace.has_lock:
        yield "docker: there is no Cargo.lock, and the image is built from one: `cargo generate-lockfile` writes it"
    rust = _RUST_IMAGE.match(docker.image)
    settings = inputs.profile.cargo
    if rust and toolchain is None and (int(rust[1]), int(rust[2])) < _INCLUDES_SINCE and settings and settings.profile:
        yield (
            f"docker: Cargo {rust[1]}.{rust[2]} of docker.image cannot include .cargo/buildopt.toml (1.94 can),"
            " and so builds without its Cargo profiles"
        )


def _environment(config: Mapping[str, Any]) -> list[str]:
    environment = ["CARGO_HOME=/usr/local/cargo", f"CARGO_TARGET_DIR={APP}/target"]
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


def _arguments(cargo_profile: str, made_of: Contents, inputs: Inputs) -> list[str]:
    """Return what both builds are told, so that both build the same dependencies."""
    arguments = ["--profile", cargo_profile, *made_of.features]
    for package in made_of.packages:
        arguments += ["--package", _spec(package, inputs)]
    for binary in made_of.binaries:
        arguments += ["--bin", binary.name]
    return arguments


def _spec(package: Package, inputs: Inputs) -> str:
    """Return the package for `--package`: by its name, and by where it is when another package has that name too."""
    named = rf'^name = "{re.escape(package.name)}"\r?$'.encode()
    if len(re.findall(named, inputs.texts.get(_LOCK, b""), re.MULTILINE)) < 2:
        return package.name
    folder = package.directory.relative_to(inputs.workspace.root).as_posix()
    return f"path+file://{quote(os.path.normpath(f'{APP}/{folder}'))}#{package.name}"


def _project(workspace: Workspace, binaries: Sequence[str]) -> str:
    """Return a name for caches that several builds on one machine share; no part of it depends on the machine."""
    root = next((package.name for package in workspace.members if package.directory == workspace.root), None)
    return root or binaries[0]


class _Quoted(str):
    """Text that may land in a file as it is."""

    __slots__ = ()


@cache
def _template() -> jinja2.Template:
    """Return the template, compiled. A value is quoted for the place where it lands, or harmless anywhere."""
    filters: dict[str, Callable[[Any], str]] = {
        "shell": lambda words: _Quoted(shlex.join(words)),
        "json": lambda words: _Quoted(json.dumps(words, ensure_ascii=False)),
        "text": _Quoted,
    }
    return engine(_harmless, filters).from_string(template("docker/Dockerfile.j2"))


def _harmless(value: object) -> str:
    if isinstance(value, _Quoted):
        return value
    if isinstance(value, str) and _BARE.fullmatch(value):
        return value
    raise Bug(f"a value that is not quoted would land in a Dockerfile: {value!r}")
