"""Pages that run: the fenced blocks of a Markdown file, and the real output of the commands in them.

In a block marked `console`, a line that starts with `$ ` is a command and what follows is what it prints. The commands of
one page run one after another in a fresh copy of the example workspace. Figures are not compared, and a line that is only
`…` stands for any number of lines. A block marked `console not-run` is for machines that the reader does not have yet.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

__all__ = ["Block", "Shell", "blocks_of", "commands_of", "matches", "mended", "page_after"]

_FENCE = re.compile(r"^```(?P<info>[a-z]+[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FIGURE = re.compile(r"(?<= )-(?= )|\d{8}T\d+Z-[0-9a-f]+|\d+(?:\.\d+)*(?:[mh]\d+s|s\b)?")
_PROGRESS = re.compile(r"(?:^ +(?:Compiling|Checking|Documenting|PASS) .*\n)+", re.MULTILINE)
_BY_CHANCE = re.compile(
    r"^(?: +(?:Blocking waiting for file lock|Downloading|Downloaded|Updating|Locking) .*|nox > uv binary not found\."
    r"|  → \S+ is usually over: .*)\n",
    re.MULTILINE,
)
_ON_A_SLOW_MACHINE = re.compile(
    r"; waited for a lock that another cargo held|\(waited for a lock\)"
    r"|(?<=was successful) in [\w ]+(?=\.)"  # nox tells of whole seconds only
)
_BUDGET = re.compile(r"budget \S+ kept|over budget \S+ by [\d.mhs]+[mhs]|(?:kept|over) \(\d+ %\)")
_ANY_LINES = "…"


class Block(NamedTuple):
    """One fenced block."""

    info: str
    text: str
    line: int
    start: int
    """Where its text starts in the page."""


class Call(NamedTuple):
    """One command of a block and what the page says that it prints."""

    command: str
    output: str


def blocks_of(page: str) -> list[Block]:
    """Return the fenced blocks that name a language, in order."""
    found = _FENCE.finditer(page)
    return [Block(m["info"].strip(), m["text"], page.count("\n", 0, m.start()) + 1, m.start("text")) for m in found]


def commands_of(text: str) -> list[Call]:
    """Return the commands of a console block; a line that ends in a backslash goes on in the next."""
    calls: list[Call] = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command = re.match(r"(?:.*\\\n)*.*", part)
        assert command is not None
        calls.append(Call(command[0], part[command.end() :].removeprefix("\n")))
    return calls


def matches(said: str, printed: str) -> bool:
    """Return whether `printed` is what the page says, figures and runs of spaces aside; an answer that is one number is compared."""
    if said.strip().isdigit():
        return said.strip() == printed.strip()
    lines = [_plain(line) for line in said.strip().splitlines()]
    pattern = "".join(r"(?:.*\n)*" if line == _ANY_LINES else f"{_open(line)}\n" for line in lines)
    return re.fullmatch(pattern, "".join(f"{_plain(line)}\n" for line in printed.strip().splitlines())) is not None


def mended(said: str, printed: str) -> str:
    """Return `printed` with the lines of the page that still hold, `…` among them."""
    if not said.strip():
        return _PROGRESS.sub(f"{_ANY_LINES}\n", printed)
    old, new = said.splitlines(), printed.splitlines()
    open_lines = {line: re.compile(_open(_plain(line))) for line in old if _ANY_LINES in line.strip(_ANY_LINES)}
    kept = [next((line for line, shape in open_lines.items() if shape.fullmatch(_plain(real))), real) for real in new]
    same = difflib.SequenceMatcher(
        None, [_plain(line) for line in old], [_plain(line) for line in kept], autojunk=False
    )
    lines: list[str] = []
    for _, a, b, c, d in same.get_opcodes():
        if _ANY_LINES in old[a:b]:
            before = old[a:b].index(_ANY_LINES)
            after = b - a - before - 1
            lines += [*kept[c : min(c + before, d)], _ANY_LINES, *kept[max(c + before, d - after) : d]]
        else:
            lines += kept[c:d]
    return "".join(f"{line}\n" for line in lines)


def _plain(line: str) -> str:
    return " ".join(_FIGURE.sub("0", _BUDGET.sub("budget", _ON_A_SLOW_MACHINE.sub("", line))).split())


def _open(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.split(_ANY_LINES))


class Shell:
    """One folder in which commands run, each with the exit code of the one before as `$?`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.code = 0
        here = str(Path(sys.executable).parent)
        self.environ = {
            **os.environ,
            "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
            "NO_COLOR": "1",
            "TERM": "dumb",
        }
        people = {
            f"GIT_{role}_{what}": "you@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        self.environ |= people | {"GIT_CEILING_DIRECTORIES": str(folder.parent), "GIT_CONFIG_GLOBAL": os.devnull}

    def run(self, command: str) -> str:
        """Run `command` and return what it prints on both streams, without paths of this machine and lines that come by chance."""
        done = subprocess.run(
            ["bash", "-c", f"(exit {self.code}); {command}"],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        self.code = done.returncode
        return _BY_CHANCE.sub("", done.stdout.replace(str(self.folder), "~/tally").replace(str(Path.home()), "~"))


def page_after(page: str, shell: Shell) -> str:
    """Return the page with what its commands really print, wherever that is not what it says."""
    pieces, end = [], 0
    for block in blocks_of(page):
        if block.info == "console":
            pieces += [page[end : block.start], *(_played(call, shell) for call in commands_of(block.text))]
            end = block.start + len(block.text)
    return "".join([*pieces, page[end:]])


def _played(call: Call, shell: Shell) -> str:
    printed = shell.run(call.command)
    if not matches(call.output, printed):
        text = f"{printed.rstrip()}\n" if printed.strip() else ""
        return f"$ {call.command}\n{mended(call.output, text)}"
    return f"$ {call.command}\n{call.output}"
