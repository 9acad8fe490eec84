"""CI out of the profile: the files of each host, the pins that they use, and the removal of what is no longer wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from buildopt.errors import ManifestError, Problem
from buildopt.generate.ci.mark import is_ours, is_unchanged
from buildopt.generate.ci.pins import (
    PINS_FILE,
    Pins,
    missing_pins,
    read_pins,
    render_pins,
    shipped_pins,
    uses_in,
    with_pins,
)
from buildopt.generate.model import Generated
from buildopt.generate.toml import decode, encode

if TYPE_CHECKING:
    from buildopt.generate.ci.lanes import Pipeline
    from buildopt.generate.model import Inputs
    from buildopt.profile.model import Profile

__all__ = [
    "CI_PATHS",
    "GITLAB_FILE",
    "GITLAB_ROOT",
    "HOSTS",
    "PINS_FILE",
    "WORKFLOW",
    "ci_files",
    "loose_paths",
    "prepare",
]

WORKFLOW = ".github/workflows/buildopt.yml"
GITLAB_FILE = ".gitlab/buildopt.yml"
HOSTS = {"github": WORKFLOW, "gitlab": GITLAB_FILE}
"""By host, the file that the module of that name beside this one writes. One more host is one more line, module and template."""
GITLAB_ROOT = ".gitlab-ci.yml"
CI_PATHS = (*HOSTS.values(), PINS_FILE, GITLAB_ROOT)
"""Files whose current content `ci_files` needs."""


class _Writer(Protocol):
    """What each of those modules offers."""

    def compiled(self) -> object:
        """Compile the template, and keep it."""

    def render(self, host: Any, pipeline: Pipeline, pins: Pins) -> str:
        """Return the file for the table of the host in the profile."""

    def notes(self, pipeline: Pipeline, texts: Mapping[str, bytes]) -> Iterator[str]:
        """Yield what to tell a person about the file."""


def loose_paths(profile: Profile) -> tuple[str, ...]:
    """Return those of `CI_PATHS` that are only looked at."""
    return CI_PATHS if profile.ci is None else (GITLAB_ROOT,)


def prepare(profile: Profile) -> None:
    """Load and compile what `ci_files` will need: time that is there while Cargo answers."""
    for name in _named(profile):
        _writer(name).compiled()


def ci_files(inputs: Inputs) -> Generated:
    """Return the files of the hosts that `[ci]` names, and none for those of ours that it no longer names.

    Raises ProfileError for what cannot be made into CI, ManifestError for a file in the way and for pins that cannot be
    used.
    """
    files: dict[str, bytes | None] = {}
    notes: list[str] = []
    named = _named(inputs.as_in_ci)
    if named:
        _declared(named, inputs, files, notes)
    for path in (path for name, path in HOSTS.items() if name not in named and path in inputs.texts):
        _leave(path, inputs.texts, files, notes)
    return Generated(files, tuple(notes), ())


def _named(profile: Profile) -> Mapping[str, Any]:
    """Return the table of each host that the profile names."""
    hosts = {name: getattr(profile.ci, name, None) for name in HOSTS}
    return {name: host for name, host in hosts.items() if host is not None}


def _writer(name: str) -> _Writer:
    return cast(_Writer, import_module(f"buildopt.generate.ci.{name}"))


def _declared(named: Mapping[str, Any], inputs: Inputs, files: dict[str, bytes | None], notes: list[str]) -> None:
    from buildopt.generate.ci.lanes import lanes  # noqa: PLC0415 - only where CI is declared

    texts = inputs.texts
    pipeline = lanes(inputs.as_in_ci, inputs.workspace)
    own, shipped = read_pins(decode(texts.get(PINS_FILE), PINS_FILE).text), shipped_pins()
    pins = Pins({**shipped.actions, **own.actions}, {**shipped.tools, **own.tools})
    if pipeline.wasted:
        notes.append(f"sccache, which is on in CI, keeps nothing from job to job: {pipeline.wasted}")
    for name, host in named.items():
        text = _writer(name).render(host, pipeline, pins)
        files[HOSTS[name]] = _owned(HOSTS[name], text, texts)
        notes += _writer(name).notes(pipeline, texts)
        if HOSTS[name] == WORKFLOW:
            files[PINS_FILE] = _pins_file(text, pipeline, own, shipped, texts)
    if inputs.below_repository:
        notes.append("CI is read at the top of a repository alone, and this workspace lies below it: nothing runs")


def _pins_file(workflow: str, pipeline: Pipeline, own: Pins, shipped: Pins, texts: Mapping[str, bytes]) -> bytes:
    """Return the file of pins with those that the workflow uses and that are not there yet; what is there stays."""
    tools = ["nextest"] if any(lane.nextest for lane in pipeline.lanes) else []
    tools += ["sccache"] if pipeline.cache == "sccache" and pipeline.storage == "gha" else []
    missing = missing_pins(own, {use.action for use in uses_in(workflow)}, tools, shipped)
    if PINS_FILE not in texts:
        return render_pins(missing).encode()
    source = decode(texts[PINS_FILE], PINS_FILE)
    if not missing.actions and not missing.tools:
        return texts[PINS_FILE]
    return encode(with_pins(source.text, missing), source)


def _owned(path: str, text: str, texts: Mapping[str, bytes]) -> bytes:
    """Return the content of a file that is wholly ours, with the line endings that it has; refuses one that is not."""
    source = decode(texts.get(path), path)
    if path in texts and not is_ours(source.text):
        problem = Problem("exists and was not written by buildopt", file=path, hint="move it away, or rename it")
        raise ManifestError("a file is in the way", problems=(problem,))
    return encode(text.replace("\n", source.newline), source)


def _leave(path: str, texts: Mapping[str, bytes], files: dict[str, bytes | None], notes: list[str]) -> None:
    """Take away a file that is no longer generated, if it is as we wrote it."""
    text = texts[path].decode(errors="replace")
    if not is_ours(text):
        return
    if is_unchanged(text):
        files[path] = None
        if path == WORKFLOW and PINS_FILE in texts:
            notes.append(f"{PINS_FILE} stays, though nothing uses it now: it holds what somebody has reviewed")
    else:
        notes.append(f"{path} is no longer generated, and stays because it was edited: remove it, or its first line")
