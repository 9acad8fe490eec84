"""The JUnit report of a test run: how long each test took. Pure; the text is not trusted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["MOST_BYTES", "TimedTest", "joined_reports", "parse_report"]

MOST_BYTES = 64 * 2**20
"""A report beyond this is not read."""

_MOST_TESTS = 200_000
_NOT_A_TIME = frozenset(("failure", "error", "skipped"))


class TimedTest(NamedTuple):
    """How long one test took."""

    binary: str
    """nextest's binary id."""
    test: str
    seconds: float
    """Wall time of its process; CPU time where it stands for many tests."""


class _Reader:
    """Gathers the test cases; a failed test may have ended early, so that its time says nothing."""

    def __init__(self) -> None:
        self.times: list[TimedTest] = []
        self._case: TimedTest | None = None

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "testcase":
            self._case = _case(attributes)
        elif name in _NOT_A_TIME:
            self._case = None

    def end(self, name: str) -> None:
        if name == "testcase" and self._case is not None and len(self.times) < _MOST_TESTS:
            self.times.append(self._case)

    def refuse(self, *_: object) -> None:
        raise ValueError("a report of tests declares no document type")


def parse_report(text: bytes) -> tuple[TimedTest, ...]:
    """Return the tests that passed, in the order of the report.

    Raises ValueError when it is too large, not well-formed, or has a document type (and so perhaps entities).
    """
    from xml.parsers import expat  # noqa: PLC0415 - only after a run of tests

    if len(text) > MOST_BYTES:
        raise ValueError(f"the report has more than {MOST_BYTES // 2**20} MiB")
    reader, parser = _Reader(), expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise ValueError(f"the report is not well-formed XML: {error}") from error
    return tuple(reader.times)


def joined_reports(texts: Iterable[bytes]) -> bytes:
    """Return reports of nextest as one; the totals that nextest gives for each are left out."""
    suites = (text[text.find(b">", text.find(b"<testsuites")) + 1 : text.rfind(b"</testsuites>")] for text in texts)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="nextest-run">%s</testsuites>\n' % b"".join(
        suites
    )


def _case(attributes: Mapping[str, str]) -> TimedTest | None:
    try:
        time = TimedTest(attributes["classname"], attributes["name"], float(attributes["time"]))
    except (KeyError, ValueError):
        return None
    return time if math.isfinite(time.seconds) and time.seconds >= 0 else None
