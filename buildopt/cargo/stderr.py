"""Cargo's standard error under `-v`: what `-v` adds is taken out and kept as values, all else goes through as it is.

`-v` is the only stable source of the reasons for a rebuild. What a person sees is what Cargo prints without it.
One thing `-v` replaces and cannot be restored: `cargo test` names each test binary it runs by its path alone, and that line is shown.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["StderrReader"]

_STYLE = rb"(?:\x1b\[[\d;]*[mK])*"
_INTERESTING = re.compile(rb"Fresh|Dirty|Running|Timing|Blocking|Generated|could not ")
# Cargo right-aligns the first word of a status in 12 columns.
_STATUS = re.compile(
    _STYLE + rb"( {7}Fresh| {7}Dirty| {5}Running| {6}Timing| {4}Blocking)" + _STYLE + rb" (.*)", re.DOTALL
)
_GENERATED = re.compile(_STYLE + rb" {3}Generated" + _STYLE + rb" ")
_HEADS = (b"       Fresh ", b"       Dirty ", b"     Running `", b"      Timing report saved to ", b"   Generated ")
_FAILED = re.compile(_STYLE + rb"error" + _STYLE + rb": could not (?:compile .* due to \d|document )")
_LENGTHS_NOTE = re.compile(_STYLE + rb"note" + _STYLE + rb": this could happen because of added/removed ")
_NEW_MESSAGE = re.compile(_STYLE + rb"(?: +[A-Z][a-z]+" + _STYLE + rb" |error|warning)")
_COMPILER = re.compile(rb" --crate-name |^`git fetch |[/\\]build[-_]script[-_][^/\\]*`\s*$")
_EXIT = re.compile(rb"\(exit (?:status|code): (\d+)\)\s*$")
_ESCAPE = re.compile(rb"\x1b\[[\d;]*[A-Za-z]|\x1b\].*?(?:\x1b\\|\x07)", re.DOTALL)
_CUT_ESCAPE = re.compile(rb"\x1b(?:\[[\d;]*|\][^\x07\x1b]*\x1b?)?$")
_PACKAGE = re.compile(r"(\S+) v(\d[^\s:]*)(?: \(.*?\))?(?:: (.*))?", re.DOTALL)
_LONGEST_LINE = 1 << 14
_TIMES = re.compile(r" \([\d.]+s, .* after last build at [\d.]+s\)$")


class StderrReader:
    """Reads Cargo's standard error piece by piece."""

    def __init__(self, root: Path | None = None) -> None:
        self.reasons: dict[tuple[str, str], str] = {}
        """By name and version of the package, why Cargo rebuilds it, in its words; paths under `root` are relative to it."""
        self.lock_waits: list[str] = []
        """What Cargo waited for: `build directory`, `package cache`, …"""
        self.timings_path: Path | None = None
        """The report that Cargo said it saved."""
        self._prefix = None if root is None else f"{root}/"
        self._held = b""  # the beginning of a line that may have to be hidden
        self._begun = b""  # the beginning of a line that was shown already
        self._hiding = False  # inside a command of several lines
        self._lengths = False  # the line before gave the reason that Cargo explains in a note
        self._generated: list[bytes] = []  # pages of documentation, which Cargo sums up without -v
        self._cause: list[bytes] | None = None  # lines since `could not compile`, while they may be its hidden cause

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes and return those to show; an incomplete line is held back only while it may be one to hide."""
        data = self._held + chunk
        end = data.rfind(b"\n") + 1
        rest = data[end:]
        shown = []
        if end and (self._begun or self._in_state() or _INTERESTING.search(data, 0, end)):
            shown = [self._line(line + b"\n") for line in data[: end - 1].split(b"\n")]
        elif end:
            shown = [data[:end]]
        if not self._in_state():
            bar = rest.rfind(b"\r") + 1  # what follows a progress bar begins a line of its own
            if bar:
                shown.append(rest[:bar])
                rest, self._begun = rest[bar:], b""
            if rest and (self._begun or not _may_be_hidden(rest)):
                shown.append(rest)
                self._begun += rest[: _LONGEST_LINE - len(self._begun)]
                rest = b""
        self._held = rest
        return b"".join(shown)

    def flush(self) -> bytes:
        """Return what is still held back; to be called when Cargo has ended."""
        held, self._held = self._held, b""
        return (self._line(held) if held else b"") + self._release()

    def _in_state(self) -> bool:
        return self._hiding or self._lengths or self._cause is not None or bool(self._generated)

    def _line(self, line: bytes) -> bytes:
        """Return what to show for a whole line."""
        if self._begun:
            begun, self._begun = self._begun, b""
            self._line(begun + line)  # such a line is never hidden, but may be the one before those that are
            return line
        if self._hiding:
            self._hiding = not line.rstrip().endswith(b"`")
            if not self._hiding or not _NEW_MESSAGE.match(line):
                return b""
            self._hiding = False
        if self._cause is not None:
            return self._cause_line(line)
        if _GENERATED.match(line):
            self._generated.append(line)
            return b""
        if self._generated:
            return self._release() + self._line(line)
        if self._lengths:
            self._lengths = False
            if _LENGTHS_NOTE.match(line):
                return b""
        if _FAILED.match(line):
            self._cause = []
            return line
        return self._status_line(line)

    def _status_line(self, line: bytes) -> bytes:
        start = line.rfind(b"\r", 0, -2) + 1  # a progress bar stands before it on the same line
        found = _STATUS.match(line, start)
        if found is None:
            return line
        word, content = found.group(1).lstrip(), found.group(2)
        if word == b"Running":
            if content[:1] != b"`" or not _COMPILER.search(content):
                return line
            self._hiding = not content.rstrip().endswith(b"`")
            return line[:start]
        text = _ESCAPE.sub(b"", content).decode("utf-8", "replace").rstrip()
        if word == b"Blocking":
            self.lock_waits.append(text.removeprefix("waiting for file lock on "))
            return line
        if word == b"Timing":
            if not text.startswith("report saved to "):
                return line
            self.timings_path = Path(text.removeprefix("report saved to "))
            return line[:start]
        package = _PACKAGE.fullmatch(text)
        if package is None:
            return line
        if word == b"Dirty" and package.group(3):
            self._keep_reason(package.group(1), package.group(2), package.group(3))
        return line[:start]

    def _keep_reason(self, name: str, version: str, reason: str) -> None:
        reason = _TIMES.sub("", reason)
        if self._prefix is not None:
            reason = reason.replace(self._prefix, "")
        self.reasons.setdefault((name, version), reason)
        self._lengths = reason == "the local lengths changed"

    def _cause_line(self, line: bytes) -> bytes:
        """Hold back what may be the cause that only `-v` prints: a blank line, `Caused by:`, the command with its exit code.

        A compiler that a signal ended is different: Cargo always prints that cause.
        """
        assert self._cause is not None
        expected = (b"\n", b"Caused by:\n", b"  process didn't exit successfully: `", b"  ")
        if not line.startswith(expected[min(len(self._cause), 3)]):
            return self._release() + self._line(line)
        self._cause.append(line)
        found = _EXIT.search(line) if len(self._cause) > 2 else None
        if found is None:
            return b""
        if int(found.group(1)) > 127:
            return self._release()
        self._cause = None
        return b""

    def _release(self) -> bytes:
        """Return the lines held back."""
        cause, self._cause = self._cause or [], None
        generated, self._generated = self._generated, []
        if len(generated) > 1:
            others = len(generated) - 1
            summary = b" and %d other file%s\n" % (others, b"" if others == 1 else b"s")
            generated = [generated[0].rstrip(b"\n") + summary]
        return b"".join(cause + generated)


def _may_be_hidden(partial: bytes) -> bool:
    """Return whether an incomplete line can still become one to hide."""
    text = _ESCAPE.sub(b"", _CUT_ESCAPE.sub(b"", partial[:400]))
    return any(text.startswith(head) or head.startswith(text) for head in _HEADS)
