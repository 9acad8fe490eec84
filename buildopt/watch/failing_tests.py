"""Which tests failed, read from what libtest (also of doctests) and cargo-nextest print. Pure."""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

__all__ = ["FailedTest", "FailedTests", "without_escapes"]

Place = tuple[str, int, int]

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
_RUNNING = re.compile(r"running \d+ tests?")
_SECTION = re.compile(r"---- (.+?) (?:stdout|stderr) ----")
_RESULT = re.compile(r"test result: ")
_NEXTEST = re.compile(r" *Nextest run ID ")
_NEXTEST_STATUS = re.compile(
    r" *(TRY \d+ )?([A-Z][A-Z0-9+-]*)(?: \d+/\d+)? +\[[ >]*[\d.]+s?\] +(?:\([^)]*\) +)?(\S+) +(\S.*)"
)
_NEXTEST_OUTPUT = re.compile(r"  (?:stdout|stderr|output) ─+|--- (?:STDOUT|STDERR): .*---")
_HEADING = re.compile(r"(?:stdout|stderr|output) ─+")
_FRAME = re.compile(r"running 1 test|test .+ \.\.\. FAILED|failures:|test result: FAILED\..*")
_NEXTEST_MARK = re.compile(r"─{4,}|-{12,}|  ?(?:Cancel(?:l)?ing|Canceling) |     Summary \[")
_FAILED = re.compile(r"FAIL|TIMEOUT|TMT|ABORT|ABRT|SIG[A-Z0-9]+|LEAK-FAIL|LKFAIL|FL\+LK|FLAKY-FAIL|XFAIL")
_PANIC = re.compile(r"thread '(.*)'(?: \(\d+\))? panicked at (?:'(.*)', )?([^:']+):(\d+):(\d+):?")
_ARROW = re.compile(r"--> (.+?):(\d+):(\d+)")
_AT = re.compile(r".* at ([^:]+):(\d+):(\d+)")
_DOCTEST = re.compile(r"(.+) - (?:.+ )?\(line (\d+)\)")
_COMPILER = re.compile(r"error(?:\[[^\]]*\])?: (.*)")
_WORDS = ("Error: ", "note: test did not panic", "(test ")
_HALF_OUTPUT = 500  # lines kept at either end of what a test printed


class FailedTest(NamedTuple):
    """A test that did not pass."""

    name: str
    message: str
    """Its name and, where it is known, why: `tests::adds: assertion failed`."""
    place: Place | None
    """Path, line and column of what failed."""
    rendered: bytes
    """What was printed of it, with its colours; under nextest without what libtest prints around every test."""


class _Printed:
    """What is printed of one test."""

    def __init__(self, name: str, how: str, *, last_try: bool, begun: bytes) -> None:
        self.name, self.how, self.last_try = name, how, last_try
        self.head, self.tail = [begun], deque[bytes](maxlen=_HALF_OUTPUT)
        self.has_output = False

    def add(self, raw: bytes) -> None:
        (self.head if len(self.head) < _HALF_OUTPUT else self.tail).append(raw)

    @property
    def lines(self) -> list[bytes]:
        return [*self.head, *self.tail]


class FailedTests:
    """Reads lines; between the beginning of a test run and its result, every line is its own."""

    def __init__(self) -> None:
        self._runner: str | None = None
        self._listing = False
        self._printed: _Printed | None = None
        self._waiting: dict[str, _Printed] = {}
        """Failures that were named without saying more, by name; told at the end unless more is said."""
        self._told: set[str] = set()
        self._panics: dict[str, list[bytes]] = {}
        self._panicked: list[bytes] | None = None

    def begins(self, plain: str) -> bool:
        """Return whether a line begins a test run."""
        return _RUNNING.fullmatch(plain) is not None or _NEXTEST.match(plain) is not None

    def ends(self, plain: str) -> bool:
        """Return whether a line comes after a run of nextest, which says nothing when it ends."""
        if self._runner != "nextest" or not self._listing:
            return False
        return plain[:1] not in {"", " "} and _NEXTEST_MARK.match(plain) is None

    def line(self, raw: bytes, plain: str) -> list[FailedTest] | None:
        """Take a line and return the failures that it completes; None when the line is no part of a test run."""
        if self.begins(plain):
            found = self.end()
            self._runner = "nextest" if _NEXTEST.match(plain) else "libtest"
            return found
        if self._runner == "libtest":
            return self._libtest(raw, plain)
        if self._runner == "nextest":
            return self._nextest(raw, plain)
        return None

    def end(self) -> list[FailedTest]:
        """Return what is left of a test run that ends here."""
        found = self._end_section()
        found += [self._tell(printed) for printed in self._waiting.values() if printed.last_try]
        self._runner, self._listing, self._panicked = None, False, None
        self._waiting.clear()
        self._told.clear()
        self._panics.clear()
        return found

    def _libtest(self, raw: bytes, plain: str) -> list[FailedTest]:
        if begun := _SECTION.fullmatch(plain):
            found = self._end_section()
            self._printed = _Printed(begun[1], "FAIL", last_try=True, begun=raw)
            self._printed.has_output = True
            return found
        if plain == "failures:":
            self._listing = True
            return self._end_section()
        if _RESULT.match(plain):
            return self.end()
        if self._printed is not None:
            self._printed.add(raw)
        elif self._listing and plain.startswith("    "):
            name = plain.strip()
            if name not in self._told:
                printed = _Printed(name, "FAIL", last_try=True, begun=raw)
                for line in self._panics.get(name, ()):
                    printed.add(line)
                self._waiting[name] = printed
        else:
            self._uncaptured(raw, plain)
        return []

    def _uncaptured(self, raw: bytes, plain: str) -> None:
        """Keep the beginning of a panic that was printed outside of a section (`--nocapture`)."""
        if found := _PANIC.fullmatch(plain):
            self._panicked = self._panics.setdefault(found[1], [])
        if self._panicked is not None:
            self._panicked.append(raw)
            if len(self._panicked) == 3:
                self._panicked = None

    def _nextest(self, raw: bytes, plain: str) -> list[FailedTest]:
        if status := _NEXTEST_STATUS.fullmatch(plain):
            found = self._end_section()
            if _FAILED.fullmatch(status[2]):
                self._printed = _Printed(
                    f"{status[3]} {status[4]}", status[2], last_try=self._listing or not status[1], begun=raw
                )
            return found
        if _NEXTEST_MARK.match(plain):
            self._listing = self._listing or "Summary" in plain
            return self._end_section()
        if self._printed is not None:
            self._printed.has_output = self._printed.has_output or _NEXTEST_OUTPUT.match(plain) is not None
            self._printed.add(raw)
        return []

    def _end_section(self) -> list[FailedTest]:
        printed, self._printed = self._printed, None
        if printed is None or printed.name in self._told:
            return []
        before = self._waiting.get(printed.name)
        if before is not None and before.has_output and not printed.has_output:
            before.last_try = before.last_try or printed.last_try
            return []
        if printed.has_output and printed.last_try:
            self._waiting.pop(printed.name, None)
            return [self._tell(printed)]
        self._waiting[printed.name] = printed
        return []

    def _tell(self, printed: _Printed) -> FailedTest:
        self._told.add(printed.name)
        return _failed(printed, self._runner == "nextest")


def without_escapes(content: bytes) -> str:
    """Return the text of `content` without what only steers a terminal."""
    text = content.decode("utf-8", "replace")
    return _ESCAPE.sub("", text) if "\x1b" in text else text


def _failed(printed: _Printed, nextest: bool) -> FailedTest:
    lines = [without_escapes(line).strip() for line in printed.lines]
    name = printed.name.partition(" ")[2] if nextest else printed.name
    place, why = _reason(name, lines)
    if not why and printed.how != "FAIL":
        why = printed.how
    message = f"{name}: {why}" if why else name
    kept = _without_frame(printed.lines, lines, name) if nextest else printed.lines
    return FailedTest(name, message, place, b"\n".join(kept).rstrip() + b"\n")


def _without_frame(raw: list[bytes], plain: list[str], name: str) -> list[bytes]:
    """Return the lines that a test printed under nextest without libtest's own, and without headings that head nothing."""
    kept: list[tuple[bytes, str]] = []
    for line, text in zip(raw, plain, strict=True):
        if _FRAME.fullmatch(text) or text == name or (not text and kept and not kept[-1][1]):
            continue
        if _HEADING.fullmatch(text):
            while len(kept) > 1 and (not kept[-1][1] or _HEADING.fullmatch(kept[-1][1])):
                kept.pop()
        kept.append((line, text))
    while len(kept) > 1 and (not kept[-1][1] or _HEADING.fullmatch(kept[-1][1])):
        kept.pop()
    return [line for line, _ in kept]


def _reason(name: str, lines: list[str]) -> tuple[Place | None, str]:
    """Return where and why a test failed: the panic of its own thread, else the first, else what the compiler said."""
    doctest = _DOCTEST.fullmatch(name)
    panics = []
    for number, line in enumerate(lines):
        if found := _PANIC.fullmatch(line):
            why = found[2] or next((after for after in lines[number + 1 : number + 2] if after), "")
            panics.append((found[1] != name, (found[3], int(found[4]), int(found[5])), why))
    panics.sort(key=lambda panic: panic[0] + 2 * panic[1][0].startswith("/rustc/"))
    arrow = next((found for line in lines if (found := _ARROW.fullmatch(line))), None)
    at = next((found for line in lines if "did not panic" in line and (found := _AT.fullmatch(line))), None)
    place: Place | None = None
    if found := arrow or (None if panics or doctest else at):
        place = (found[1], int(found[2]), int(found[3]))
    if doctest is not None:
        place = place or (doctest[1], int(doctest[2]), 1)
    elif panics:
        place = panics[0][1]
    if panics:
        return place, panics[0][2]
    said = next((found[1] for line in lines if (found := _COMPILER.fullmatch(line))), "")
    words = said or next((line for line in lines if line.startswith(_WORDS)), "")
    return place, words.removeprefix("note: ")
