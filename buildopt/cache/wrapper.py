"""The compiler cache of a run: probed before it is used, switched on through the environment alone.

What is wrong with a cache costs speed and one line, never the build: everything here ends in a `Wrapper`, none raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import NamedTuple

from buildopt.cache.counters import Counters
from buildopt.cache.programs import GET_SCCACHE, PYTHON, Program, choose, find_sccache, named
from buildopt.cache.reach import reachable
from buildopt.cache.server import Server, Unusable
from buildopt.cache.storage import Address, Storage, StorageError, address, plan_storage, redact
from buildopt.cache.trial import trial
from buildopt.cargo.kept import read_kept, write_kept
from buildopt.cargo.toolchain import toolchain_identity
from buildopt.errors import BuildoptError, ToolMissing
from buildopt.host import Host
from buildopt.host.files import digest
from buildopt.profile.model import Cache
from buildopt.units import format_size

__all__ = ["Wrapper", "prepare", "snapshot", "storage_alive"]

_REACH_SECONDS = 2.0
_NO_WRAPPER: Mapping[str, str | None] = {"RUSTC_WRAPPER": ""}  # empty switches off what Cargo's configuration names
_EMPTY: Mapping[str, str | None] = {}


class Wrapper(NamedTuple):
    """How rustc is called in a run."""

    active: bool
    env: Mapping[str, str | None]
    """Changes to the environment of Cargo. Not active: they keep a wrapper that does not work away from this run."""
    why: str
    """One line for the person: why it is not used, or what is worth knowing; empty when there is nothing to say."""
    program: Path | None = None
    version: str | None = None
    address: Address | None = None
    """Where the storage listens, when it is one on the network."""
    counters: Counters | None = None
    """What the server had counted when the wrapper was prepared: the reading before the first stage."""
    without: Mapping[str, str | None] = _NO_WRAPPER
    """Changes to the environment for a step that is repeated without the wrapper."""


def prepare(
    host: Host,
    settings: Cache | None,
    root: Path,
    state: Path,
    *,
    ci: bool,
    configured: str | None = None,
    python: Path = PYTHON,
) -> Wrapper:
    """Return the compiler cache that `settings` ask for, after probing that it works with the rustc of `root`.

    `configured` is `build.rustc-wrapper` of the user's Cargo configuration. A wrapper of the user wins over the profile:
    sccache with whatever storage they gave it is probed and counted, anything else is left alone.
    Without one, sccache is looked for on PATH and beside `python`. A probe that succeeded is kept in `state`; then this
    costs one call of sccache, some 5 ms. Every step has a timeout: the worst takes less than a minute.
    """
    if settings is None or settings.wrapper == "none":
        return Wrapper(active=False, env=_EMPTY, why="")
    name, theirs = _of_user(host.environ, configured)
    if name and PurePath(theirs).stem != "sccache":
        said = f"{name} names {theirs}, which is used in place of sccache" if theirs else f"{name} is set to no wrapper"
        return Wrapper(active=False, env=_EMPTY, why=f"{said}: it wins over the profile")
    off = _NO_WRAPPER if name else _EMPTY
    try:
        if name:
            plan = Storage(None, None, {})
        else:
            size, directory = settings.size, settings.directory
            plan = plan_storage(settings.storage, size=size, directory=directory, root=root, environ=host.environ)
        return _probed(host, _Asked(settings, root, state, ci, name, theirs, plan, python))
    except (Unusable, StorageError) as problem:
        why = f"sccache is not used: {problem}"
    except BuildoptError as error:
        why = f"sccache is not used: {error.message}{f' ({error.hint})' if error.hint else ''}"
    except OSError as error:
        why = f"sccache is not used: {error.strerror or error}"
    why = " ".join(redact(why, host.environ).split())
    return Wrapper(active=False, env=off, why=f"{why}; the build goes on without the cache", without=off)


def snapshot(host: Host, wrapper: Wrapper) -> Counters | None:
    """Return what the server of an active wrapper has counted; None when it cannot be asked.

    This starts no server: since 0.8, sccache answers with zeros when none runs, which `difference` reads as a new one.
    """
    if not wrapper.active or wrapper.program is None:
        return None
    try:
        return Server(host, wrapper.program, wrapper.env).counters()
    except (BuildoptError, Unusable):
        return None


def storage_alive(wrapper: Wrapper) -> bool:
    """Return whether the storage on the network still takes connections (one attempt, two seconds at most); True for others.

    When Redis goes away under a server that runs, sccache neither fails nor says so: each unit waits 30 seconds or more.
    """
    return wrapper.address is None or reachable(wrapper.address, _REACH_SECONDS)


class _Asked(NamedTuple):
    settings: Cache
    root: Path
    state: Path
    ci: bool
    name: str | None
    """Variable or key in which the user named sccache; None when only the profile does."""
    theirs: str
    plan: Storage
    python: Path


def _probed(host: Host, asked: _Asked) -> Wrapper:
    env = _environment(host, asked)
    endpoint = address({**host.environ, **env})
    if endpoint is not None and not reachable(endpoint, _REACH_SECONDS):
        raise Unusable(
            f"its storage does not answer at {endpoint.host}:{endpoint.port}; start it, or set cache.storage to local"
        )
    program, tried = _program(host, asked, env)
    server = Server(host, program.path, env)
    counters = server.running()
    _check_location(asked.plan, counters)
    if not tried:
        counters = trial(server, asked.root, asked.state)
        write_kept(host, asked.state, "sccache", _key(host, asked, program.path, env), program.version)
    return Wrapper(
        active=True,
        env=env if asked.name else {"RUSTC_WRAPPER": str(program.path), **env},
        why="; ".join(_remarks(host.environ, asked, counters)),
        program=program.path,
        version=program.version,
        address=endpoint,
        counters=counters,
    )


def _program(host: Host, asked: _Asked, env: Mapping[str, str | None]) -> tuple[Program, bool]:
    """Return the sccache to use, and whether its trial compile has passed before."""
    theirs = [named(host, asked.theirs, asked.name, asked.root)] if asked.name else None
    paths = theirs or list(find_sccache(host, asked.python))
    if not paths:
        raise ToolMissing(f"it is not found, neither on PATH nor beside {asked.python}", hint=GET_SCCACHE)
    kept = read_kept(host, asked.state, "sccache")
    for path in paths:
        if isinstance(kept.value, str) and kept.key == _key(host, asked, path, env):
            return Program(path, kept.value), True
    return choose(host, paths, asked.root), False


def _of_user(environ: Mapping[str, str], configured: str | None) -> tuple[str | None, str]:
    """Return where the user names a wrapper, and which; in the order of Cargo, in which an empty text means none."""
    for name in ("RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"):
        if name in environ:
            return name, environ[name]
    return ("build.rustc-wrapper of Cargo's configuration", configured) if configured else (None, "")


def _environment(host: Host, asked: _Asked) -> dict[str, str | None]:
    env = dict(asked.plan.env)
    if host.environ.get("CARGO_INCREMENTAL") == "1":
        env["CARGO_INCREMENTAL"] = None
    if asked.ci and "SCCACHE_IDLE_TIMEOUT" not in host.environ:
        env["SCCACHE_IDLE_TIMEOUT"] = "0"  # else the server ends, with its counters, in a pause of ten minutes
    return env


def _key(host: Host, asked: _Asked, program: Path, env: Mapping[str, str | None]) -> str:
    """Return a digest of what the outcome of the trial hangs on. Secrets are left out: the server is asked anyway."""
    environ = {**host.environ, **env}
    parts = [str(program), str(host.files.stamp(program)), toolchain_identity(host, asked.root)]
    parts += [
        f"{name}={redact(str(value), environ)}"
        for name, value in sorted(environ.items())
        if name.startswith(("SCCACHE_", "RUSTC", "AWS_REGION", "AWS_ENDPOINT")) and redact(str(value), environ) == value
    ]
    return digest("\n".join(parts).encode(errors="surrogateescape"))


def _check_location(plan: Storage, counters: Counters) -> None:
    """Refuse a server that works with another storage than the profile names: one that the user started, or configured."""
    if plan.kind is None:
        return
    location = counters.location
    if plan.directory is not None:
        fits = location.partition(": ")[2].strip('"').replace("\\\\", "\\") == plan.directory
    else:
        fits = plan.kind in location.lower()
    if not fits:
        raise Unusable(
            f"its server works with {location or 'an unknown storage'}, and the profile names another storage; end it with "
            "sccache --stop-server, and look into sccache's own configuration file"
        )


def _remarks(environ: Mapping[str, str], asked: _Asked, counters: Counters) -> Iterator[str]:
    settings = asked.settings
    if asked.name and (settings.storage != "local" or settings.directory or settings.size):
        yield f"{asked.name} names {asked.theirs}, whose own settings win over the profile"
    if environ.get("CARGO_INCREMENTAL") == "1":
        yield "CARGO_INCREMENTAL=1 is removed for this run, because sccache refuses to compile with it"
    size = settings.size
    if not asked.name and size is not None and counters.size not in (None, size):
        limit = format_size(counters.size or 0)
        yield f"the sccache server that runs already was started with a limit of {limit}; sccache --stop-server ends it"
