"""Where a verb works and what it knows: the workspace root, the profile, the toolchain, the packages."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import buildopt
from buildopt import cargo, profile
from buildopt.cargo.model import Components, Toolchain, Workspace
from buildopt.errors import ArgumentError, MachineRefused, ProfileError
from buildopt.host import Cancel, Host, interrupts_held_back
from buildopt.host.files import digest

if TYPE_CHECKING:  # it takes 15 ms to load, in which Cargo can answer
    from buildopt.profile import Loaded
    from buildopt.profile.model import Profile

__all__ = ["PROFILE_NAME", "Context", "find_workspace"]

PROFILE_NAME = "buildopt.toml"


def find_workspace(host: Host, start: Path | None) -> Path:
    """Return the workspace root: the nearest folder above `start` with a profile, else the one that Cargo would use.

    Raises ArgumentError when `start` is given and is no folder, ManifestError when there is no workspace.
    """
    folder = Path.cwd() if start is None else start
    if not folder.is_dir():
        raise ArgumentError(f"--root: {folder} is not a folder")
    folder = folder.resolve()
    for candidate in (folder, *folder.parents):
        if host.files.read(candidate / PROFILE_NAME) is not None:
            return candidate
    return cargo.find_root(host, folder)


class Context:
    """One call of a verb. Nothing is read before it is asked for, and everything only once."""

    def __init__(
        self,
        host: Host,
        root: Path,
        *,
        profile_path: Path | None = None,
        settings: tuple[str, ...] = (),
        strict: bool = True,
        note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.host = host
        self.root = root
        self.state = root / ".buildopt"
        self.profile_path = profile_path or root / PROFILE_NAME
        self.settings = settings
        self.strict = strict
        self.note = note

    @cached_property
    def loaded(self) -> Loaded:
        """Return the profile with its provenance; ProfileError names everything that is wrong with it."""
        self._enforce(self._parsed)
        for problem in self._parsed.warnings:
            self.note(f"{problem}; it is ignored")
        return self._parsed

    @cached_property
    def ci_profile(self) -> Profile:
        """Return the profile as a CI job on Linux reads it: what is generated for CI is the same wherever that is done."""
        if not any("override" in table for _, table in self.loaded.documents):
            return self.loaded.profile
        return self._load(ci=True, system="linux").profile

    @cached_property
    def _parsed(self) -> Loaded:
        if self.host.files.read(self.profile_path) is None:
            raise ProfileError(f"there is no {self.profile_path}", hint="buildopt init writes one")
        return self._load(ci=self.host.in_ci, system=self.host.system)

    def _load(self, *, ci: bool, system: str) -> Loaded:
        return profile.load(
            self.profile_path,
            root=self.root,
            read=self.host.files.read,
            environ=self.host.environ,
            call=self.settings,
            ci=ci,
            system=system,
            strict=self.strict,
        )

    @contextmanager
    def cargo_ahead(self) -> Iterator[None]:
        """Ask for the workspace and the toolchain beside what the with block does; both are there at its end.

        Asking changes nothing, so it need not wait for the profile; what is answered is kept only when the block ends well.
        What Cargo refuses is left to whoever asks for it.
        """
        with Cancel() as cancel, self.host.interrupts():
            host = self.host.ending_with(cancel)
            ended = threading.Event()

            def may_keep() -> bool:
                ended.wait()
                return not cancel.requested

            def ask(name: str, load: Callable[..., object]) -> None:
                with suppress(Exception):
                    self.__dict__[name] = load(host, self.root, self.state, may_keep=may_keep)

            asked = (("workspace", cargo.load_workspace), ("toolchain", cargo.probe_toolchain))
            threads = [threading.Thread(target=ask, args=each) for each in asked]
            try:
                with interrupts_held_back():
                    for thread in threads:
                        thread.start()
                yield
                ended.set()
                for thread in threads:
                    thread.join()
            except BaseException:
                cancel.trigger("the verb has ended")
                ended.set()
                for thread in threads:
                    thread.join()
                raise

    @cached_property
    def toolchain(self) -> Toolchain:
        """Return the toolchain; ToolMissing when Cargo or rustc is not there."""
        return cargo.probe_toolchain(self.host, self.root, self.state)

    @cached_property
    def components(self) -> Components:
        """Return what the toolchain has beside Cargo and rustc."""
        return cargo.probe_components(self.host, self.root, self.state)

    @cached_property
    def workspace(self) -> Workspace:
        """Return the workspace; ManifestError in Cargo's own words when Cargo refuses it."""
        return cargo.load_workspace(self.host, self.root, self.state)

    def check_requires(self) -> None:
        """Check the versions that the profile requires; ToolMissing names all that are not met.

        What was met once is kept: reading a specifier takes longer to import than everything else of a quiet run.
        """
        required = {tool: text for tool, text in vars(self.loaded.profile.requires).items() if text is not None}
        if not required:
            return
        versions = {tool: self._version(tool) for tool in required}
        key = f"{buildopt.__version__}:{required}:{versions}"
        if self._is_kept("requires", key):
            return
        profile.check_requires(self.loaded.profile, versions)
        self._keep("requires", key)

    def _version(self, tool: str) -> str | None:
        """Return the version of a tool that a profile can require; None for one that is not there."""
        match tool:
            case "buildopt":
                return buildopt.__version__
            case "cargo" | "rustc":
                return self.toolchain.cargo if tool == "cargo" else self.toolchain.rustc
            case "nextest":
                return self.components.nextest
            case "sccache":
                from buildopt.cache import installed_version  # noqa: PLC0415 - only where it is required

                return installed_version(self.host)
            case "python":
                return ".".join(map(str, sys.version_info[:3]))
            case _:
                from importlib import metadata  # noqa: PLC0415 - only where nox is required

                try:
                    return metadata.version(tool)
                except metadata.PackageNotFoundError:
                    return None

    def prepare_state(self) -> None:
        """Create the state folder: git ignores it, and it holds the schema that editors check the profile with."""
        files = self.host.files
        if files.mode(self.state / ".gitignore") is None:
            files.make_directory(self.state)
            files.write(self.state / ".gitignore", b"*\n", flush=False)
        schema = self.state / "schema.json"
        if files.mode(schema) is None:
            files.write(schema, files.read(Path(profile.__file__).with_name("schema.json")) or b"{}", flush=False)

    def _enforce(self, loaded: Loaded) -> None:
        """Hold the profile against its JSON Schema, once for each content: the validator takes 0.1 s to import."""
        if not self.strict:
            return
        key = f"{buildopt.__version__}:{loaded.fingerprint}"
        if not self._is_kept("profile", key):
            profile.enforce(loaded)
            self._keep("profile", key)

    def _is_kept(self, name: str, key: str) -> bool:
        return self.host.files.read(self.state / "cache" / f"{name}.ok") == digest(key.encode()).encode()

    def _keep(self, name: str, key: str) -> None:
        """Keep that `key` was found good; a cache that cannot be written costs time, nothing else."""
        with suppress(MachineRefused):
            self.prepare_state()
            self.host.files.make_directory(self.state / "cache")
            self.host.files.write(self.state / "cache" / f"{name}.ok", digest(key.encode()).encode(), flush=False)
