"""What `docker build` sees of a workspace: what it cannot see, what decides the dependencies, what no build reads."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from buildopt.cargo.model import CargoConfig, Workspace
from buildopt.errors import ManifestError, Problem
from buildopt.generate.cargo_config import HOST_NAME

__all__ = ["Context"]

_PLAIN = re.compile(r"[\w./-]+")
_PATTERN = re.compile(r"[$*?\[\]\\\x00-\x1f]")
_PLACES = (
    "*/src/lib.rs", "*/src/main.rs", "*/src/bin/*.rs", "*/build.rs", "*/tests/*.rs", "*/benches/*.rs", "*/examples/*.rs",
)  # fmt: skip
"""Where Cargo looks for targets without being told; a manifest may need that each is there."""
_IGNORED = (
    "target", ".git", ".buildopt", f".cargo/{HOST_NAME}", "**/node_modules", "Dockerfile", ".dockerignore",
    ".github", ".gitlab", ".gitlab-ci.yml", ".idea", ".nox", ".venv", ".vscode",
)  # fmt: skip


class Context:
    """A workspace as the context of `docker build`, with Cargo's configuration as the image will have it."""

    def __init__(self, workspace: Workspace, config: CargoConfig) -> None:
        """Raise ManifestError for packages that the context does not hold, or that a Dockerfile cannot name."""
        self._workspace = workspace
        self._root = f"{workspace.root}/"
        machine = ("/", "$", f".cargo/{HOST_NAME}")
        # The value that wins stands first.
        self.settings = {v.dotted: v.value for v in reversed(config.values) if not v.where.startswith(machine)}
        self._included = [path for path in config.files if not path.startswith(("/", ".cargo/"))]
        self._folders = {str(package.directory): package.name for package in workspace.packages}
        declared = {d.path: d.package for package in workspace.packages for d in package.dependencies if d.path}
        self._refuse_outside({**declared, **self._folders})
        members = {str(package.directory) for package in workspace.members}
        self._others = self._named({self._relative(path) for path in {*declared, *self._folders} - members})

    def kept(self) -> list[str]:
        """Return the part of a `find` that passes over what decides the dependencies.

        The code of packages that are no members is part of it: Cargo keeps what it builds of them under the name that it
        has in the end, so nothing may stand in for it.
        """
        included = [path for path in self._included if _PLAIN.fullmatch(path)]
        paths = (".cargo/*", *(f"{folder}/*" for folder in self._others), *included)
        words = ["!", "-name", "Cargo.toml", "!", "-name", "Cargo.lock"]
        return words + [word for path in paths for word in ("!", "-path", f"./{path}")]

    def targets(self) -> list[str]:
        """Return the part of a `find` that finds the code of libraries, binaries and build scripts, and where more may be."""
        found = (
            f"./{self._relative(target.src_path)}"
            for package in self._workspace.members
            for target in package.targets
            if not {"test", "bench", "example"} & {*target.kinds}
        )
        odd = {path for path in found if _PLAIN.fullmatch(path) and not any(fnmatchcase(path, p) for p in _PLACES)}
        places = (*_PLACES, *sorted(odd))
        return [word for place in places for word in ("-o", "-path", place)][1:]

    def ignored(self) -> str:
        """Return the lines of `.dockerignore`, without what would hide a package."""
        parts = [self._relative(folder).split("/") for folder in self._folders]
        first, anywhere = {each[0] for each in parts}, {part for each in parts for part in each}
        built = (self.settings.get(f"build.{key}") for key in ("target-dir", "build-dir"))
        own = [path for path in built if isinstance(path, str) and _PLAIN.fullmatch(path) and path[0] not in "./"]
        lines = [
            p
            for p in dict.fromkeys((*_IGNORED, *own))
            if p.removeprefix("**/") not in (anywhere if p.startswith("**/") else first)
        ]
        head = "# What no build reads: results, history, and what belongs to one machine."
        return "".join(f"{line}\n" for line in (head, *lines))

    def _refuse_outside(self, folders: dict[str, str]) -> None:
        root = self._root.rstrip("/")
        problems = tuple(
            Problem(
                f"the package {name} lies outside of the workspace root, where docker build cannot see it",
                file=os.path.relpath(f"{folder}/Cargo.toml", root),
                key="docker",
                hint="move it below the root, or take it from a registry or by git",
            )
            for folder, name in sorted(folders.items())
            if folder != root and not folder.startswith(self._root)
        )
        if problems:
            raise ManifestError("no Dockerfile can be written for this workspace", problems=problems)

    def _named(self, folders: Iterable[str]) -> list[str]:
        """Return the folders of packages that are no members, and of vendored ones, sorted."""
        vendored = (
            os.path.normpath(value)
            for key, value in self.settings.items()
            if key.startswith("source.") and key.endswith((".directory", ".local-registry")) and isinstance(value, str)
        )
        found = sorted({*folders, *(path for path in vendored if not path.startswith(("/", "..")))})
        problems = tuple(
            Problem("has a sign in its name that Docker takes for a pattern or a variable", file=path, hint="rename it")
            for path in found
            if _PATTERN.search(path)
        )
        if problems:
            raise ManifestError("no Dockerfile can be written for this workspace", problems=problems)
        return found

    def _relative(self, path: str) -> str:
        return path.removeprefix(self._root) if path.startswith(self._root) else os.path.relpath(path, self._root)
