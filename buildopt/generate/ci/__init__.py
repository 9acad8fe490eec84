"""CI out of the profile: the files of each host, the pins that they use, and the removal of what is no longer wanted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

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

__all__ = ["CI_PATHS", "GITLAB_FILE", "PINS_FILE", "WORKFLOW", "ci_files", "loose_paths", "prepare"]

WORKFLOW = ".github/workflows/buildopt.yml"
GITLAB_FILE = ".gitlab/buildopt.yml"
GITLAB_ROOT = ".gitlab-ci.yml"
CI_PATHS = (WORKFLOW, PINS_FILE, GITLAB_FILE, GITLAB_ROOT)
"""Files whose current content `ci_files` needs."""
_INCLUDED = re.compile(rf"^[^#\n]*{re.escape(GITLAB_FILE)}", re.MULTILINE)


def loose_paths(profile: Profile) -> tuple[str, ...]:
    """Return those of `CI_PATHS` that are only looked at."""
    return CI_PATHS if profile.ci is None else (GITLAB_ROOT,)


def prepare(profile: Profile) -> None:
    """Load and compile what `ci_files` will need: time that is there while Cargo answers."""
    if profile.ci is not None and profile.ci.github is not None:
        from buildopt.generate.ci.github import workflow_template  # noqa: PLC0415 - only where CI is declared

        workflow_template()
    if profile.ci is not None and profile.ci.gitlab is not None:
        from buildopt.generate.ci.gitlab import jobs_template  # noqa: PLC0415 - as above

        jobs_template()


def ci_files(inputs: Inputs) -> Generated:
    """Return the files of the hosts that `[ci]` names, and none for those of ours that it no longer names.

    Raises ProfileError for what cannot be made into CI, ManifestError for a file in the way and for pins that cannot be
    used.
    """
    ci = inputs.as_in_ci.ci
    files: dict[str, bytes | None] = {}
    notes: list[str] = []
    if ci is not None and (ci.github or ci.gitlab):
        from buildopt.generate.ci.lanes import lanes  # noqa: PLC0415 - only where CI is declared

        _declared(inputs, lanes(inputs.as_in_ci, inputs.workspace), files, notes)
        if inputs.below_repository:
            notes.append("CI is read at the top of a repository alone, and this workspace lies below it: nothing runs")
    wanted = {WORKFLOW: ci and ci.github, GITLAB_FILE: ci and ci.gitlab}
    for path in (path for path, host in wanted.items() if not host and path in inputs.texts):
        _leave(path, inputs.texts, files, notes)
    return Generated(files, tuple(notes), ())


def _declared(inputs: Inputs, pipeline: Pipeline, files: dict[str, bytes | None], notes: list[str]) -> None:
    ci, texts = inputs.as_in_ci.ci, inputs.texts
    own = read_pins(decode(texts.get(PINS_FILE), PINS_FILE).text)
    shipped = shipped_pins()
    if pipeline.wasted:
        notes.append(f"sccache, which is on in CI, keeps nothing from job to job: {pipeline.wasted}")
    pins = Pins({**shipped.actions, **own.actions}, {**shipped.tools, **own.tools})
    if ci and ci.github:
        from buildopt.generate.ci.github import render_github  # noqa: PLC0415 - only where CI is declared

        text = render_github(ci.github, pipeline, pins)
        files[WORKFLOW] = _owned(WORKFLOW, text, texts)
        files[PINS_FILE] = _pins_file(text, pipeline, own, shipped, texts)
    if ci and ci.gitlab:
        from buildopt.generate.ci.gitlab import render_gitlab  # noqa: PLC0415 - as above

        files[GITLAB_FILE] = _owned(GITLAB_FILE, render_gitlab(ci.gitlab, pipeline, pins), texts)
        notes += _gitlab_notes(pipeline, texts)


def _gitlab_notes(pipeline: Pipeline, texts: Mapping[str, bytes]) -> Iterator[str]:
    root = texts.get(GITLAB_ROOT)
    if root is None or not _INCLUDED.search(root.decode(errors="replace")):
        what = "there is no" if root is None else "nothing includes it in"
        yield f"GitLab runs no job of {GITLAB_FILE}: {what} {GITLAB_ROOT}; write `include: [{{local: {GITLAB_FILE}}}]` there"
    if pipeline.cache == "sccache" and pipeline.storage == "gha":
        yield 'cache.storage = "gha" is there on GitHub alone: jobs on GitLab build without a cache'


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
