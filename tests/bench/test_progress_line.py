"""The progress line: one line on a terminal, a line now and then in a log, nothing beside a JSON document."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from buildopt.bench.progress import Progress, about
from buildopt.show.measuring import ProgressLine
from buildopt.testing import ScriptedHost


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Return what makes stderr a terminal; pytest puts its own stderr there before each phase of a test."""

    def begin() -> Terminal:
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return begin


def test_a_terminal_has_one_line_that_is_gone_in_the_end(on_terminal: Callable[[], Terminal]) -> None:
    terminal = on_terminal()
    with ProgressLine(ScriptedHost({}), json=False) as line:
        line.consume(Progress("pair 1"))
        line.consume(Progress("pair 2", 130.0))
        line.note("decided")
        line.consume(Progress("pair 3"))
    clear = "\r\x1b[K"
    assert terminal.getvalue() == f"pair 1{clear}pair 2 (about 2m left){clear}decided\npair 3{clear}"


def test_a_line_never_wraps_and_steers_nothing(on_terminal: Callable[[], Terminal]) -> None:
    terminal = on_terminal()
    with ProgressLine(ScriptedHost({}), json=False) as line:
        line.consume(Progress("\x1b[31m" + "x" * 500))
    assert len(terminal.getvalue()) < 100
    assert "\x1b[31m" not in terminal.getvalue()


def test_an_interrupt_leaves_a_clean_line(on_terminal: Callable[[], Terminal]) -> None:
    terminal = on_terminal()

    def measure() -> None:
        with ProgressLine(ScriptedHost({}), json=False) as line:
            line.consume(Progress("pair 1"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure()
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize("terminal_type", ["dumb", None])
def test_a_log_has_a_line_every_half_minute(monkeypatch: pytest.MonkeyPatch, terminal_type: str | None) -> None:
    stream = Terminal() if terminal_type else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    host = ScriptedHost({}, environ={"TERM": terminal_type} if terminal_type else {})
    with ProgressLine(host, json=False) as line:
        for second in range(70):
            line.consume(Progress(f"at {second}"))
            host.time += 1
        line.note("decided")
    assert stream.getvalue() == "at 0\nat 30\nat 60\ndecided\n"


def test_beside_a_json_document_nothing_is_said(on_terminal: Callable[[], Terminal]) -> None:
    terminal = on_terminal()
    with ProgressLine(ScriptedHost({}), json=True) as line:
        line.consume(Progress("pair 1"))
        line.note("decided")
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "about 5s"),
        (23, "about 25s"),
        (54.9, "about 55s"),
        (61, "about 1m"),
        (3590, "about 1h"),
        (4900, "about 1h20m"),
    ],
)
def test_durations_are_as_rough_as_they_are_known(seconds: float, text: str) -> None:
    assert about(seconds) == text
