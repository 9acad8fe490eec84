"""Runs a Dockerfile without Docker: its commands by hand, stage after stage, in one folder that stands for `/app`.

Layers are kept as Docker keeps them: by the instruction, what it copies, and the layer before. A stage starts from a copy of
the stage it is based on, at the same path, with all times of files as they were; COPY keeps times too, as Docker does.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

INSTALL = "rustup toolchain install"


class Built(NamedTuple):
    """What one `docker build` did."""

    files: Mapping[str, Path]
    """What is in the last stage, by its path there."""
    ran: tuple[str, ...]
    """Commands that were run: those of layers that were not there yet."""
    said: str
    entry: str
    user: str

    def run(self, *arguments: str) -> str:
        program = self.files[self.entry]
        return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout.strip()


class Docker:
    """A builder with its layers."""

    def __init__(self, folder: Path) -> None:
        self.app = folder / "app"
        self.layers = folder / "layers"
        self.layers.mkdir(parents=True)

    def build(self, context: Path) -> Built:
        text = (context / "Dockerfile").read_text()
        ignored = [*patterns((context / ".dockerignore").read_text())]
        stages: dict[str, str] = {}
        key = name = ""
        environment: dict[str, str] = {}
        ran: list[str] = []
        said = entry = user = ""
        files: dict[str, Path] = {}
        for instruction, rest in instructions(text):
            if instruction == "FROM":
                image, _, name = rest.partition(" AS ")
                key = stages.get(image, digest(image))
                environment = environment if image in stages else {}
                if not self.enter(key):
                    shutil.rmtree(self.app, ignore_errors=True)
                    self.app.mkdir()
                    self.keep(key)
            elif instruction == "COPY" and name == "runtime":
                stage, sources, target = copied(rest)
                self.enter(stages[stage])
                for source in sources:
                    kept = self.layers / f"runtime-{Path(source).name}"
                    shutil.copy2(self.real(source), kept)
                    files[target + Path(source).name] = kept
            elif instruction == "COPY":
                stage, sources, target = copied(rest)
                origin = self.layers / stages[stage] if stage else context
                (source,) = (origin / each.removeprefix("/app") for each in sources)
                found = tree(source, origin, [] if stage else ignored)
                assert found, f"nothing to copy: {rest}"
                key = digest(key, rest, *(f"{path}={content!r}" for path, content in found.items()))
                if not self.enter(key):
                    place(source, found, origin, self.app / target)
                    self.keep(key)
            elif instruction == "RUN":
                command = re.sub(r"--mount=\S+ ", "", rest).strip()
                key = digest(key, rest, json.dumps(environment))
                if not self.enter(key):
                    ran.append(command)
                    said += "" if command == INSTALL else self.shell(command, environment)
                    self.keep(key)
            elif instruction == "ENV":
                environment |= dict(word.split("=", 1) for word in shlex.split(rest))
            elif instruction == "ENTRYPOINT":
                (entry,) = json.loads(rest)
            elif instruction == "USER":
                user = rest
            else:
                assert (instruction, rest) == ("WORKDIR", "/app")
            stages[name] = key
        return Built(files, tuple(ran), said, entry, user)

    def real(self, path: str) -> str:
        return path.replace("/app", str(self.app)).replace("/stand-in", f"{self.app}-stand-in")

    def shell(self, command: str, environment: Mapping[str, str]) -> str:
        own = {name: self.real(value) for name, value in environment.items() if name != "CARGO_HOME"}
        finished = subprocess.run(
            ["sh", "-ec", self.real(command)],
            cwd=self.app, env={**os.environ, **own}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert finished.returncode == 0, f"{command}\n{finished.stdout}{finished.stderr}"
        return finished.stderr

    def enter(self, key: str) -> bool:
        """Make the folder what it was after the layer `key`; False for one that is not there."""
        if there := (self.layers / key).is_dir():
            shutil.rmtree(self.app, ignore_errors=True)
            subprocess.run(["cp", "-a", self.layers / key, self.app], check=True)
        return there

    def keep(self, key: str) -> None:
        subprocess.run(["cp", "-a", self.app, self.layers / key], check=True)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in re.sub(r"\s*\\\n\s*", " ", "\n".join(lines)).splitlines():
        instruction, _, rest = line.partition(" ")
        yield instruction, rest


def copied(rest: str) -> tuple[str, list[str], str]:
    found = re.fullmatch(r"(?:--from=(\w+) )?(.+)", rest)
    assert found
    words = json.loads(found[2]) if found[2].startswith("[") else shlex.split(found[2])
    return found[1] or "", words[:-1], words[-1]


def patterns(text: str) -> Iterator[re.Pattern[str]]:
    for line in text.splitlines():
        if line and not line.startswith("#"):
            anywhere = "(.*/)?" if line.startswith("**/") else ""
            yield re.compile(f"{anywhere}{re.escape(line.removeprefix('**/'))}(/.*)?")


def tree(source: Path, origin: Path, ignored: list[re.Pattern[str]]) -> dict[str, bytes]:
    """Return the content of files by their path below `origin`."""
    every = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    paths = {path.relative_to(origin).as_posix(): path for path in every}
    return {name: p.read_bytes() for name, p in paths.items() if not any(each.fullmatch(name) for each in ignored)}


def place(source: Path, names: Mapping[str, bytes], origin: Path, target: Path) -> None:
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    for name in names:
        to = target / (origin / name).relative_to(source) if source.is_dir() else target
        to = to / source.name if to.is_dir() else to
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(origin / name, to)


def digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
