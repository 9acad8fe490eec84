"""What every build in the lab has around it: the same toolchain as the original, no network, and the copies themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from buildopt.bench.revision import export_revision
from buildopt.bench.site import Site
from buildopt.bench.tree import Tree, copy_tree, duplicate
from buildopt.cargo.config import load_config
from buildopt.cargo.metadata import cargo_words, query_workspace
from buildopt.cargo.model import Components, Workspace
from buildopt.cargo.toolchain import GET_RUST, probe_components
from buildopt.errors import MachineRefused, ToolMissing
from buildopt.host import Command, Host

__all__ = ["Copies", "Surround", "surround"]

_FETCH_SECONDS = 1800.0
_ANSWER_SECONDS = 120.0
_LEAST_FREE = 1 << 30
# What would send a build elsewhere, or let another cache answer: an arm says this itself.
_REMOVED = (
    "CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER", "CARGO_MAKEFLAGS", "MAKEFLAGS",
)  # fmt: skip


class Surround(NamedTuple):
    """What is the same for every build."""

    root: Path
    """The original."""
    cargo: str
    components: Components
    env: Mapping[str, str | None]
    """Changes to the environment."""


def surround(host: Host, root: Path, state: Path, folder: Path) -> Surround:
    """Return what every build in `folder` has around it.

    Raises ToolMissing without Cargo, MachineRefused when the disk is full or another compiler would be used there.
    """
    cargo = host.which("cargo")
    if cargo is None:
        raise ToolMissing("cargo is not found on PATH", hint=GET_RUST)
    free = host.free_bytes(folder)
    if free is not None and free < _LEAST_FREE:
        raise MachineRefused(
            f"less than 1 GiB is free in {folder}", hint="free some, or set XDG_CACHE_HOME to another disk"
        )
    env: dict[str, str | None] = {
        **dict.fromkeys(_REMOVED),
        **_without_wrapper(host, root),
        "CARGO_NET_OFFLINE": "true",
        **_pinned(host, root),
    }
    ours, theirs = _compiler(host, root, {}), _compiler(host, folder, env)
    if ours != theirs:
        raise MachineRefused(
            f"another compiler would be used in {folder} than in {root}",
            hint="name the toolchain in RUSTUP_TOOLCHAIN, or in a rust-toolchain.toml in the workspace",
        )
    return Surround(root, str(cargo), probe_components(host, root, state), env)


class Copies:
    """The copies of a workspace, each made when it is first asked for."""

    def __init__(
        self, host: Host, folder: Path, workspace: Workspace, around: Surround, note: Callable[[str], None]
    ) -> None:
        self.workspace = workspace
        """The original."""
        self._host = host
        self._folder = folder
        self._around = around
        self._note = note
        self._sites: dict[str, Site] = {}

    def site(self, commit: str | None, *, second: bool = False) -> Site:
        """Return the copy of the work tree or of a commit; `second` is another one of it, at another path."""
        name = ("tree" if commit is None else f"rev-{commit[:12]}") + ("-2" if second else "")
        if name not in self._sites:
            top = self._folder / name
            if second:
                tree = duplicate(self.site(commit).tree, top)
            elif commit is None:
                tree = copy_tree(self._host, self.workspace, top)
            else:
                tree = export_revision(self._host, self.workspace, commit, top)
            self._fetch(tree)
            with self._host.environment(self._around.env) as inside:
                self._sites[name] = Site(self._host, tree, query_workspace(inside, tree.root))
        return self._sites[name]

    def _fetch(self, tree: Tree) -> None:
        """Get what the lock file names, so that no build needs the network; what cannot be had is left to the build to say."""
        env = {name: value for name, value in self._around.env.items() if name != "CARGO_NET_OFFLINE"}
        argv = (self._around.cargo, "fetch", "--quiet")
        here = self._host.run(Command((*argv, "--offline"), tree.root, env, _FETCH_SECONDS))
        if here.returncode == 0:
            return
        there = self._host.run(Command(argv, tree.root, env, _FETCH_SECONDS))
        if there.returncode != 0:
            self._note(f"cargo fetch fails, and building goes on without the network: {cargo_words(there.stderr)}")


def _without_wrapper(host: Host, root: Path) -> dict[str, str]:
    """Return what switches off a wrapper that the user's configuration names; it costs each build 30 ms, so only then."""
    key = ("build", "rustc-wrapper")
    named = (found for found in load_config(host, root).values if found.key == key and not found.ours)
    return {"RUSTC_WRAPPER": ""} if any(not found.where.startswith("$") and found.value for found in named) else {}


def _pinned(host: Host, root: Path) -> dict[str, str]:
    """Return RUSTUP_TOOLCHAIN as rustup chooses it in `root`: a file above it, or an override, does not reach the copy."""
    if host.environ.get("RUSTUP_TOOLCHAIN") or host.which("rustup") is None:
        return {}
    finished = host.run(Command(("rustup", "show", "active-toolchain"), root, timeout_seconds=_ANSWER_SECONDS))
    words = finished.stdout.decode(errors="replace").split()
    return {"RUSTUP_TOOLCHAIN": words[0]} if finished.returncode == 0 and words else {}


def _compiler(host: Host, folder: Path, env: Mapping[str, str | None]) -> bytes:
    return host.run(Command(("rustc", "-vV"), folder, env, _ANSWER_SECONDS)).stdout
