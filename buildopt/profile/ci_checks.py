"""What `[ci]` and `[docker]` may say: their texts end up in workflows and image files, so only what is harmless there passes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from buildopt.profile.fault import Fault
from buildopt.profile.model import Ci, Docker, Stage
from buildopt.profile.wording import did_you_mean, shown

__all__ = ["check_ci", "check_docker"]

_RUNNER = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_TAG = r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}"
_BRANCH = r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}"
_REQUIREMENT = r"[A-Za-z0-9][A-Za-z0-9 @:/._+=<>!~,\[\]#&%-]{0,399}"
_BINARY = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}"
_IMAGE_NAME = r"[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*){0,8}"
_IMAGE = (
    rf"(?P<name>{_IMAGE_NAME})(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}))?(@(?P<digest>sha256:[0-9a-f]{{64}}))?"
)
_IMAGE_HINT = "name:tag@sha256:…, or name:tag where the tag does not move"


def check_ci(ci: Ci, stages: Mapping[str, Stage]) -> Iterator[Fault]:
    """Yield what is wrong with `[ci]`."""
    yield from _known_stages(ci.stages, stages)
    if (
        not _fits(_BRANCH, ci.branch)
        or ".." in ci.branch
        or "//" in ci.branch
        or ci.branch.endswith(("/", ".lock", "."))
    ):
        yield Fault(("ci", "branch"), f"{shown(ci.branch)} is no name of a branch", "letters, digits, and / . _ -")
    if ci.install is not None and not _fits(_REQUIREMENT, ci.install):
        yield Fault(("ci", "install"), f"{shown(ci.install)} is nothing that pip can install", '"buildopt==0.1.0"')
    if ci.github:
        yield from _runner(("ci", "github", "runner"), ci.github.runner)
        for runner in ci.github.platforms:
            yield from _runner(("ci", "github", "platforms"), runner)
        yield from _twice(("ci", "github", "platforms"), (ci.github.runner, *ci.github.platforms))
    if ci.gitlab:
        yield from _image(("ci", "gitlab", "image"), ci.gitlab.image)
        for tag in ci.gitlab.tags:
            if not _fits(_TAG, tag):
                yield Fault(
                    ("ci", "gitlab", "tags"), f"{shown(tag)} is no tag of a runner", "letters, digits, and . _ : / -"
                )


def check_docker(docker: Docker) -> Iterator[Fault]:
    """Yield what is wrong with `[docker]`."""
    yield from _image(("docker", "image"), docker.image)
    yield from _image(("docker", "runtime"), docker.runtime)
    for binary in docker.binaries:
        if not _fits(_BINARY, binary):
            yield Fault(("docker", "binaries"), f"{shown(binary)} is no name of a binary", "letters, digits, - and _")
    yield from _twice(("docker", "binaries"), docker.binaries)


def _known_stages(names: Iterable[str], stages: Mapping[str, Stage]) -> Iterator[Fault]:
    for name in names:
        if name not in stages:
            hint = did_you_mean(name, stages) or f"there are {', '.join(stages)}"
            yield Fault(("ci", "stages"), f"no such stage: {shown(name)}", hint, absent=True)
    yield from _twice(("ci", "stages"), names)


def _runner(path: tuple[str, ...], runner: str) -> Iterator[Fault]:
    if not _fits(_RUNNER, runner):
        yield Fault(path, f"{shown(runner)} is no name of a runner image", "letters, digits, and . _ -")
    elif runner.endswith("-latest"):
        yield Fault(path, f"{shown(runner)} moves to another image by itself", "name the image, such as ubuntu-24.04")


def _image(path: tuple[str, ...], image: str) -> Iterator[Fault]:
    found = re.fullmatch(_IMAGE, image, re.ASCII)
    if found is None:
        yield Fault(path, f"{shown(image)} is no name of an image", _IMAGE_HINT)
    elif found["digest"] is None and found["tag"] in (None, "latest"):
        yield Fault(path, f"{shown(image)} moves to another image by itself", _IMAGE_HINT)


def _twice(path: tuple[str, ...], names: Iterable[str]) -> Iterator[Fault]:
    names = tuple(names)
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield Fault(path, f"{shown(name)} stands there twice", "name it once")


def _fits(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text, re.ASCII) is not None
