"""What Cargo, rustc, clippy, rustfmt and tests complain about, taken out of what they print. Pure."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from buildopt.watch.failing_tests import FailedTest, FailedTests, without_escapes

__all__ = ["Diagnostic", "DiagnosticReader"]

Level = Literal["error", "warning", "test"]

_START = re.compile(r"(error|warning)(?:\[[^\]]*\])?: (.*)")
_SUMMARY = re.compile(
    r"could not (?:compile|document) .* due to \d|aborting due to |\d+ (?:errors?|warnings?) emitted"
    r"|`.+?`(?: \(.+\))? generated \d+ (?:error|warning)|build failed, waiting for other jobs|test run failed"
    r"|(?:test|doctest|bench)(?: run)? failed, to rerun pass|\d+ targets? failed:"
)
_ARROW = re.compile(r" *--> (.+?):(\d+):(\d+)")
_GUTTER = re.compile(r" *(?:-->|\||=) ?")
_PANIC = re.compile(r" *thread .* panicked at (.+?):(\d+):(\d+):$")
_UNFORMATTED = re.compile(r"Diff in (.+?)(?::| at line )(\d+):$")
_STATUS = re.compile(
    r" *(?:Adding|Blocking|Building|Checking|Compiling|Dirty|Doc-tests|Documenting|Downgrading|Downloaded|Downloading|Executable"
    r"|Finished|Fresh|Generated|Locking|Removing|Running|Scraping|Timing|Updating|Upgrading) "
)
_LONGEST_LINE = 1 << 16
_HALF_BLOCK = 1000  # lines kept at either end of a block
_REST_LINES = 10_000


class Diagnostic(NamedTuple):
    """One complaint: an error or a warning of the compiler, or a test that failed."""

    level: Level
    message: str
    """Its first line, without `error[E0308]: `; of a test its name and why: `tests::adds: assertion failed`."""
    path: str | None
    """As the compiler names it: relative to the workspace root, or absolute outside of it."""
    line: int | None
    column: int | None
    rendered: bytes
    """The whole block as it was printed, with its colours."""


class _Block:
    """The lines of a diagnostic that is not complete yet."""

    def __init__(self, level: Level, message: str, *, summary: bool, unformatted: bool = False) -> None:
        self.level: Level = level
        self.message = message
        self.summary = summary
        self.unformatted = unformatted
        self.drawn = False  # rustc has drawn a margin: an empty line is the end
        self.caused = False
        self.place: tuple[str, int, int] | None = None
        self.blank = False  # the line before was empty
        self.head: list[bytes] = []
        self.tail: deque[bytes] = deque(maxlen=_HALF_BLOCK)

    def add(self, raw: bytes, plain: str) -> None:
        (self.head if len(self.head) < _HALF_BLOCK else self.tail).append(raw)
        self.blank = not plain
        self.drawn = self.drawn or _GUTTER.match(plain) is not None
        if self.place is None and (found := _ARROW.fullmatch(plain) or _PANIC.fullmatch(plain)):
            self.place = (found[1], int(found[2]), int(found[3]))
        if plain == "Caused by:":
            self.caused = True
        elif self.caused and self.summary and plain.strip():
            self.message, self.summary, self.level = f"{self.message}: {plain.strip()}", False, "test"

    def goes_on(self, plain: str) -> bool:
        """Return whether a line that starts no diagnostic belongs to this one."""
        if self.unformatted:
            return plain[:1] in {"+", "-", " ", ""}
        if self.drawn:
            return True
        if _is_status(plain):
            return False
        return not plain or plain[0] == " " or plain == "Caused by:" or not self.blank

    @property
    def rendered(self) -> bytes:
        return b"\n".join([*self.head, *self.tail]).rstrip() + b"\n"


class DiagnosticReader:
    """Reads standard output and standard error piece by piece; the pieces may end anywhere.

    Identical diagnostics (of several targets) are told once. `root` is taken off paths that lie in it.
    """

    def __init__(self, root: str | None = None) -> None:
        self._prefix = None if root is None else f"{root.rstrip('/')}/"
        self._streams: dict[str, _Stream] = {}
        self._seen: set[tuple[object, ...]] = set()

    def feed(self, chunk: bytes, stream: Literal["stdout", "stderr"] = "stderr") -> tuple[Diagnostic, ...]:
        """Take the next bytes of a stream and return the diagnostics that they complete."""
        if stream not in self._streams:
            self._streams[stream] = _Stream()
        return self._new(self._streams[stream].feed(chunk))

    def flush(self) -> tuple[Diagnostic, ...]:
        """Return what the end of a program completes; another one may be read after it."""
        return self._new([each for stream in self._streams.values() for each in stream.flush()])

    def rest(self) -> tuple[bytes, ...]:
        """Return the lines since the last call that belong to no diagnostic or test, without their ends; the last 10,000."""
        return tuple(line for stream in self._streams.values() for line in stream.take_rest())

    def _new(self, found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
        new = []
        for diagnostic in found:
            path = diagnostic.path
            if self._prefix and path is not None and path.startswith(self._prefix):
                path = path[len(self._prefix) :]
            what = without_escapes(diagnostic.rendered) if path is None else None
            key = (diagnostic.level, diagnostic.message, path, diagnostic.line, diagnostic.column, what)
            if key not in self._seen:
                self._seen.add(key)
                new.append(diagnostic._replace(path=path))
        return tuple(new)


class _Stream:
    """Reads one stream, line by line."""

    def __init__(self) -> None:
        self._held = b""
        self._block: _Block | None = None
        self._tests = FailedTests()
        self._rest: deque[bytes] = deque(maxlen=_REST_LINES)

    def feed(self, chunk: bytes) -> list[Diagnostic]:
        if b"\n" not in chunk:
            self._held = (self._held + chunk)[:_LONGEST_LINE]
            return []
        first, *middle = chunk.split(b"\n")
        lines = [(self._held + first)[:_LONGEST_LINE], *middle]
        self._held = lines.pop()[:_LONGEST_LINE]
        return [found for line in lines for found in self._line(line[:_LONGEST_LINE])]

    def flush(self) -> list[Diagnostic]:
        held, self._held = self._held, b""
        found = [*self._line(held)] if held else []
        return [*found, *self._end_block(), *map(_of_test, self._tests.end())]

    def take_rest(self) -> list[bytes]:
        lines = [*self._rest]
        self._rest.clear()
        return lines

    def _line(self, line: bytes) -> Iterator[Diagnostic]:
        raw, plain = line, without_escapes(line)
        if b"\r" in line:  # what stands before is a progress bar
            raw = next((part for part in reversed(line.split(b"\r")) if without_escapes(part).strip()), b"")
            plain = without_escapes(raw)
        if self._block is not None and self._goes_on(self._block, plain):
            self._block.add(raw, plain)
            if self._block.drawn and not plain:
                yield from self._end_block()
            return
        yield from self._end_block()
        if self._tests.ends(plain):
            yield from map(_of_test, self._tests.end())
        taken = self._tests.line(raw, plain)
        if taken is not None:
            yield from map(_of_test, taken)
            return
        self._block = _begun(plain)
        if self._block is not None:
            self._block.add(raw, plain)
            self._block.drawn = False
        else:
            self._rest.append(raw)

    def _goes_on(self, block: _Block, plain: str) -> bool:
        begins_another = _START.match(plain) or _UNFORMATTED.match(plain) or self._tests.begins(plain)
        return not begins_another and block.goes_on(plain)

    def _end_block(self) -> Iterator[Diagnostic]:
        block, self._block = self._block, None
        if block is None:
            return
        if block.summary:
            self._rest.extend(block.head)
            return
        path, line, column = block.place or (None, None, None)
        yield Diagnostic(block.level, block.message, path, line, column, block.rendered)


def _begun(plain: str) -> _Block | None:
    """Return the block that a line begins."""
    if found := _START.fullmatch(plain):
        level: Level = "error" if found[1] == "error" else "warning"
        return _Block(level, found[2].strip() or found[1], summary=_SUMMARY.match(found[2]) is not None)
    if found := _UNFORMATTED.fullmatch(plain):
        block = _Block("error", "not formatted as rustfmt formats it", summary=False, unformatted=True)
        block.place = (found[1], int(found[2]), 1)
        return block
    return None


def _is_status(plain: str) -> bool:
    """Return whether Cargo tells what it does; it right-aligns the first word in 12 columns."""
    return plain[12:13] == " " and _STATUS.fullmatch(plain[:13]) is not None


def _of_test(failed: FailedTest) -> Diagnostic:
    path, line, column = failed.place or (None, None, None)
    return Diagnostic("test", failed.message, path, line, column, failed.rendered)
