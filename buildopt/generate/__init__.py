"""From a profile and a workspace to the text of every generated file. Pure: current text goes in, new text comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from buildopt.errors import BuildoptError, ManifestError, Problem
from buildopt.generate import cargo_config, ci, docker, gates, gitignore, host_config, include_line, vscode
from buildopt.generate.model import Generated, Inputs
from buildopt.generate.starter import starter_noxfile, starter_profile
from buildopt.generate.toml import decode, encode

if TYPE_CHECKING:
    from buildopt.cargo.model import Workspace
    from buildopt.profile.model import Profile

__all__ = [
    "EMPTY_CARGO_FILE",
    "Generated",
    "Inputs",
    "generate",
    "loose_paths",
    "prepare",
    "starter_noxfile",
    "starter_profile",
    "wanted_paths",
]

CARGO_FILE = ".cargo/buildopt.toml"
EMPTY_CARGO_FILE = cargo_config.HEADER.encode()
HOST_FILE = f".cargo/{cargo_config.HOST_NAME}"
CONFIG_FILES = (".cargo/config", ".cargo/config.toml")
EDITOR_FILE = vscode.FILE
STATE_LINE = "/.buildopt/"
INCLUDE_SINCE = (1, 94)


def wanted_paths(profile: Profile, workspace: Workspace) -> tuple[str, ...]:
    """Return the files, relative to the root, whose current content `generate` needs."""
    paths = {CARGO_FILE, HOST_FILE, *CONFIG_FILES, ".gitignore", *docker.INPUT_PATHS, *ci.CI_PATHS}
    if profile.ide is not None:
        paths.add(EDITOR_FILE)
    return tuple(sorted(paths | {*gates.gate_paths(profile.features, workspace)}))


def loose_paths(profile: Profile) -> tuple[str, ...]:
    """Return those of `wanted_paths` that are only looked at: whatever stands there must not stop a sync."""
    return (*docker.loose_paths(profile), *ci.loose_paths(profile))


def prepare(profile: Profile) -> None:
    """Do beforehand what `generate` will need for this profile and what no answer of Cargo changes."""
    ci.prepare(profile)
    docker.prepare(profile)


def generate(inputs: Inputs) -> Generated:
    """Return what every generated file should be, edited in place where the user's own text surrounds it.

    Raises ProfileError, ManifestError or GateRefused; when several parts cannot be accepted, the first class of error
    carries the problems of all of them.
    """
    parts = (_cargo_files, _gitignore, _editor, _gates, _docker, ci.ci_files)
    files: dict[str, bytes | None] = {}
    notes: list[str] = []
    gated: tuple[str, ...] = ()
    errors: list[BuildoptError] = []
    for part in parts:
        try:
            found = part(inputs)
        except BuildoptError as error:
            errors.append(error)
            continue
        files.update(found.files)
        notes += found.notes
        gated += found.gated
    if errors:
        raise _joined(errors)
    return Generated(files, tuple(notes), gated)


def _cargo_files(inputs: Inputs) -> Generated:
    """Return the two files of settings and the user's configuration file that leads to them."""
    profile, texts = inputs.profile, inputs.texts
    found = cargo_config.settings(profile, inputs.toolchain)
    has_host = cargo_config.has_host_file(profile)
    includes = _version(inputs.toolchain.cargo) >= INCLUDE_SINCE
    notes = [*found.notes]
    owned: dict[str, str | None] = {CARGO_FILE: None, HOST_FILE: None}
    if includes:
        owned[CARGO_FILE] = cargo_config.render(found, include_host=has_host)
        if has_host and profile.cargo is not None:
            host = host_config.host_settings(
                profile.cargo,
                config=inputs.config,
                linkers=inputs.linkers,
                triple=inputs.toolchain.host,
                cores=inputs.cores,
                memory_bytes=inputs.memory_bytes,
            )
            owned[HOST_FILE] = host_config.render(host)
            notes += host.notes
    elif has_host:
        notes.append(f"linker and jobs are left out: Cargo {inputs.toolchain.cargo} cannot include a file (1.94 can)")
    files: dict[str, bytes | None] = {path: _owned(path, texts, text) for path, text in owned.items()}
    path = next((path for path in CONFIG_FILES if path in texts), CONFIG_FILES[-1])
    for config in CONFIG_FILES:
        if config in texts or config == path:
            body = cargo_config.render_body(found) if config == path and not includes else ""
            files[config] = _configuration(
                config, texts, included=config == path and owned[CARGO_FILE] is not None, region=body
            )
    return Generated(files, tuple(notes), ())


def _owned(path: str, texts: Mapping[str, bytes], text: str | None) -> bytes | None:
    """Return the content of a file that is wholly ours; refuses to touch one that is not."""
    there = texts.get(path)
    if there is not None and not decode(there, path).text.startswith(cargo_config.MARK):
        problem = Problem("exists and was not written by buildopt", file=path, hint="move it away, or rename it")
        raise ManifestError("a file is in the way", problems=(problem,))
    return None if text is None else text.encode()


def _configuration(path: str, texts: Mapping[str, bytes], *, included: bool, region: str) -> bytes | None:
    """Return Cargo's own configuration file with our include or region in it, and without the other."""
    source = decode(texts.get(path), path)
    before = source.text
    source = source._replace(text=include_line.without_region(source.text, path))
    if included:
        source = source._replace(text=include_line.with_include(source, path))
    else:
        source = source._replace(text=include_line.without_include(source, path))
    if region:
        source = source._replace(text=include_line.with_region(source, path, region))
    if source.text == before:
        return texts.get(path)
    return encode(source.text, source) if source.text.strip() else None


def _gitignore(inputs: Inputs) -> Generated:
    lines = [STATE_LINE]
    if cargo_config.has_host_file(inputs.profile) and _version(inputs.toolchain.cargo) >= INCLUDE_SINCE:
        lines.append(f"/{HOST_FILE}")
    locations = inputs.profile.watch.locations
    if locations is not None and not locations.startswith(".buildopt/"):
        lines.append(gitignore.line_for(locations))
    return Generated({".gitignore": gitignore.with_lines(inputs.texts.get(".gitignore"), lines)}, (), ())


def _editor(inputs: Inputs) -> Generated:
    if inputs.profile.ide is None:
        return Generated({}, (), ())
    source = decode(inputs.texts.get(EDITOR_FILE), EDITOR_FILE)
    features = gates.feature_names(inputs.profile.features, inputs.workspace)
    text, notes = vscode.with_ide(source, inputs.profile.ide, features)
    return Generated({EDITOR_FILE: encode(text, source)}, notes, ())


def _gates(inputs: Inputs) -> Generated:
    found = gates.gate(inputs.profile.features, inputs.workspace, inputs.texts)
    return Generated(found.files, found.notes, found.gated)


def _docker(inputs: Inputs) -> Generated:
    wanted = inputs.as_in_ci.docker
    found = docker.leave(inputs.texts) if wanted is None else docker.render(wanted, inputs)
    files = {path: None if text is None else text.encode() for path, text in found.files.items()}
    return Generated(files, found.notes, ())


def _version(text: str) -> tuple[int, int]:
    major, minor, *_ = (*text.split("."), "0", "0")
    return int(major), int(minor)


def _joined(errors: list[BuildoptError]) -> BuildoptError:
    """Return one error for all: the first, with the problems of the others."""
    if len(errors) == 1:
        return errors[0]
    first = errors[0]
    problems = [*first.problems]
    for error in errors[1:]:
        problems += error.problems or (Problem(error.message, hint=error.hint),)
    return type(first)(first.message, problems=tuple(problems), hint=first.hint)
