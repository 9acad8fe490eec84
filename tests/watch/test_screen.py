from __future__ import annotations

import io
import os
import pty
import re
import select
import struct
import sys
import termios
import time
import unicodedata
from collections.abc import Callable, Iterator
from fcntl import ioctl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.host import Host
from buildopt.pipeline.events import LockWait, Output, StageFinished, StageStarted, StepStarted
from buildopt.screen import PlainWatch, Screen
from buildopt.watch.cells import cut, rows, width_of
from buildopt.watch.events import Cancelled, Changed, Idle, Known, Paused, Ready, Trouble, Waiting

ERROR = (
    b"\x1b[1m\x1b[91merror[E0308]\x1b[0m\x1b[1m: mismatched types\x1b[0m\n"
    b" \x1b[1m\x1b[94m--> \x1b[0mcore/src/lib.rs:1:34\n"
    b"  \x1b[1m\x1b[94m|\x1b[0m\n"
    b'\x1b[1m\x1b[94m1\x1b[0m \x1b[1m\x1b[94m|\x1b[0m pub fn f() -> u32 { "x" }\n'
    b"  \x1b[1m\x1b[94m|\x1b[0m                     \x1b[1m\x1b[91m^^^\x1b[0m \x1b[1m\x1b[91mexpected `u32`\x1b[0m\n"
    b"\n"
)
WARNING = (
    b"\x1b[1m\x1b[33mwarning\x1b[0m\x1b[1m: unused variable: `y`\x1b[0m\n"
    b" \x1b[1m\x1b[94m--> \x1b[0mapi/src/lib.rs:7:9\n"
    b"  \x1b[1m\x1b[94m|\x1b[0m\n"
    b"\n"
)
SUMMARY = b"\x1b[1m\x1b[91merror\x1b[0m: could not compile `core` (lib) due to 1 previous error\n"
WHY = "2 of 41 packages: core (edited), api (depends on core)"
READY = Ready(41, 80, 312, ("quick-check", "core", "full"))
CHANGED = Changed(("core/src/lib.rs",), ("core", "api"), 41, WHY)


class Terminal:
    """The little of a terminal that the screen uses: a grid of cells, the cursor, clearing."""

    TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|(\r)|(\n)|([^\x1b])", re.DOTALL)

    def __init__(self, columns: int, lines: int) -> None:
        self.columns, self.lines = columns, lines
        self.grid = [[" "] * columns for _ in range(lines)]
        self.row = self.column = 0
        self.cursor_shown = True
        self.scrolled: list[str] = []
        self.clears = 0

    def feed(self, text: str) -> None:
        for found in self.TOKEN.finditer(text):
            argument, command, carriage, newline, character = found.groups()
            if command:
                self.steer(argument, command)
            elif carriage:
                self.column = 0
            elif newline:
                self.newline()
            else:
                self.put(character)

    def steer(self, argument: str, command: str) -> None:
        match command:
            case "H":
                row, _, column = argument.partition(";")
                self.row, self.column = min(int(row or 1), self.lines) - 1, int(column or 1) - 1
            case "K":
                self.grid[self.row][self.column :] = [" "] * (self.columns - self.column)
            case "J":
                first = 0 if argument == "2" else self.row
                self.clears += argument == "2"
                if argument != "2":
                    self.grid[self.row][self.column :] = [" "] * (self.columns - self.column)
                    first += 1
                self.grid[first:] = [[" "] * self.columns for _ in range(self.lines - first)]
            case "l" | "h":
                assert argument == "?25", "only the cursor is hidden and shown: no other screen, no other mode"
                self.cursor_shown = command == "h"
            case "m":
                pass
            case _:
                raise AssertionError(f"unexpected: CSI {argument}{command}")

    def newline(self) -> None:
        if self.row == self.lines - 1:
            self.scrolled.append("".join(self.grid.pop(0)).rstrip())
            self.grid.append([" "] * self.columns)
        else:
            self.row += 1

    def put(self, character: str) -> None:
        wide = unicodedata.east_asian_width(character) in ("W", "F")
        if self.column + 1 + wide > self.columns:
            self.column = 0
            self.newline()
        self.grid[self.row][self.column] = character
        if wide:
            self.grid[self.row][self.column + 1] = ""
        self.column += 1 + wide

    @property
    def text(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self.grid).rstrip("\n")


class Live:
    """A screen on a pseudo-terminal, with a clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, columns: int = 100, lines: int = 30) -> None:
        self.primary, self.secondary = pty.openpty()
        self.writes: list[str] = []
        self.resize(columns, lines)
        self.monkeypatch = monkeypatch
        self.stream = os.fdopen(os.dup(self.secondary), "w", encoding="utf-8")
        self.host = ClockHost()

    def resize(self, columns: int, lines: int) -> None:
        ioctl(self.secondary, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.terminal = Terminal(columns, lines)

    def screen(self, **options: object) -> Screen:
        self.monkeypatch.setattr(sys, "stderr", self.stream)
        self.monkeypatch.setattr(sys, "stdout", self.stream)
        usual = {"quick-check": 2.0, "core": 8.0}.get
        return Screen(self.host, ("quick-check", "core", "full"), **{"clear": True, "usual": usual, **options})

    @property
    def text(self) -> str:
        self.read()
        return self.terminal.text

    def read(self) -> str:
        """Return what was written since the last call, as the terminal gets it."""
        self.stream.flush()
        content = b""
        while select.select([self.primary], [], [], 0.05)[0]:
            content += os.read(self.primary, 1 << 16)
        text = content.decode()
        self.terminal.feed(text)
        return text

    def close(self) -> None:
        self.stream.close()
        os.close(self.primary)
        os.close(self.secondary)


class ClockHost(Host):
    """A host whose clock stands still until the test moves it."""

    def __init__(self, **environ: str) -> None:
        super().__init__({"TERM": "xterm", **environ})
        self.time = 1000.0

    def monotonic(self) -> float:
        return self.time

    def now(self) -> float:
        return 45_001.0


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    live = Live(monkeypatch)
    yield live
    live.close()


def started(stage: str, why: str = WHY) -> StageStarted:
    return StageStarted(stage, ("core", "api"), 41, why, None, 5.0)


def ended(stage: str, result: str = "success", wall: float = 0.8, **more: object) -> StageFinished:
    values = {"budget_seconds": None, "timeout_seconds": None, "lock_wait": False, **more}
    return StageFinished(stage, result, wall, 1.0, 0, ("core", "api"), 3, 2, **values)


def failing(screen: Screen, *outputs: bytes) -> None:
    for event in (READY, CHANGED, started("quick-check")):
        screen.consume(event)
    for output in (*outputs, SUMMARY):
        screen.consume(Output("stderr", output))
    screen.consume(ended("quick-check", "failure", detail="check: exit code 101"))
    screen.consume(Idle("failure", "quick-check", None))


def test_the_screen_of_a_run_from_start_to_failure(live, snapshot):
    shown = {}
    with live.screen() as screen:
        screen.consume(READY)
        shown["ready"] = live.text
        screen.consume(CHANGED)
        screen.consume(started("quick-check"))
        live.host.time += 1.2
        screen.tick()
        shown["running"] = live.text
        screen.consume(Output("stderr", WARNING + ERROR))
        shown["diagnostics while it runs"] = live.text
        screen.consume(ended("quick-check", wall=6.0, budget_seconds=5.0))
        screen.consume(Waiting("core", 1.0))
        shown["passed, over its budget"] = live.text
        screen.consume(started("core"))
        live.host.time += 3.2
        screen.tick()
        shown["the second stage"] = live.text
        screen.consume(Output("stderr", ERROR + SUMMARY))
        screen.consume(ended("core", "failure", wall=4.4, detail="test: exit code 101"))
        screen.consume(Idle("failure", "core", None))
        shown["failed"] = live.text
    assert shown == snapshot


def test_all_is_well(live, snapshot):
    with live.screen() as screen:
        for event in (READY, CHANGED, Known("quick-check", ("core", "api")), started("core"), ended("core")):
            screen.consume(event)
        screen.consume(Idle("success", None, 2.3))
        assert live.text == snapshot


def test_errors_come_first_and_what_two_stages_say_is_said_once(live):
    with live.screen() as screen:
        screen.consume(READY)
        screen.consume(started("quick-check"))
        screen.consume(Output("stderr", WARNING))
        screen.consume(ended("quick-check"))
        screen.consume(started("core"))
        screen.consume(Output("stderr", WARNING + ERROR))
        screen.consume(ended("core", "failure", detail="check: exit code 101"))
        text = live.text
    assert text.index("mismatched types") < text.index("unused variable")
    assert text.count("unused variable") == 1


def test_diagnostics_stay_until_the_stage_passes(live):
    with live.screen() as screen:
        failing(screen, ERROR)
        screen.consume(CHANGED)
        screen.consume(started("quick-check"))
        assert "mismatched types" in live.text
        screen.consume(Cancelled("quick-check", "edit", 0.4))
        assert "mismatched types" in live.text
        screen.consume(started("quick-check"))
        live.host.time += 1
        screen.consume(Output("stderr", WARNING))
        assert "mismatched types" not in live.text
        assert "unused variable" in live.text
        screen.consume(ended("quick-check"))
        assert "unused variable" in live.text
        screen.consume(Known("quick-check", ("core",)))
        assert "unused variable" not in live.text


def test_an_error_of_a_repeated_step_is_gone_when_the_stage_passes(live):
    with live.screen() as screen:
        screen.consume(started("quick-check"))
        screen.consume(Output("stderr", ERROR + WARNING))
        screen.consume(ended("quick-check"))
        assert "mismatched types" not in live.text
        assert "unused variable" in live.text


def test_a_failure_that_nobody_can_read_shows_the_end_of_the_output(live):
    with live.screen() as screen:
        screen.consume(started("core"))
        screen.consume(Output("stdout", b"".join(b"check number %d\n" % n for n in range(100)) + b"BAD THING\n"))
        screen.consume(ended("core", "failure", detail="test: exit code 3"))
        text = live.text
    assert "core failed after 0.80s: test: exit code 3" in text
    assert "check number 61\n" in text


def test_what_does_not_fit_is_counted_and_a_shows_it(live):
    live.resize(80, 14)
    many = b"".join(ERROR.replace(b":1:34", b":%d:1" % n) for n in range(1, 30))
    with live.screen() as screen:
        failing(screen, many)
        text = live.text
        assert len(text.splitlines()) == 13
        assert re.fullmatch(r"… \d+ more lines: press a", text.splitlines()[-1])
        assert screen.key("a") is None
        live.read()
        everything = "\n".join([*live.terminal.scrolled, live.terminal.text])
        assert all(f"core/src/lib.rs:{n}:1\n" in everything for n in range(1, 30))
        assert "press a to go back" in everything
        screen.consume(started("core"))
        screen.consume(Output("stderr", b"still told\n"))
        assert "still told" in live.text
        assert screen.key("a") is None
        assert live.text.startswith("quick-check ✗ 0.80s  core ▶")


def test_an_edit_leads_back_from_all_output(live):
    with live.screen() as screen:
        failing(screen, ERROR)
        screen.key("a")
        assert not live.text.startswith("quick-check")
        screen.consume(CHANGED)
        assert live.text.startswith("quick-check ·  core ·")


def test_keys_have_a_meaning_and_help_comes_and_goes(live):
    with live.screen() as screen:
        meanings = [screen.key(name) for name in ("r", "enter", "n", "p", "space", "f", "q", "hangup", "x", "escape")]
        assert meanings == ["rerun", "rerun", "next", "pause", "pause", "full", "quit", "quit", None, None]
        assert screen.key("?") is None
        assert "start the next stage now" in live.text
        assert screen.key("?") is None
        assert "start the next stage now" not in live.text


def test_waits_pauses_and_troubles_are_said_and_go(live):
    with live.screen() as screen:
        screen.consume(READY)
        screen.consume(started("quick-check"))
        screen.consume(LockWait("quick-check", "build directory"))
        assert "waits for a lock that another cargo holds (build directory)" in live.text
        live.host.time += 1
        screen.consume(Output("stderr", b"    Checking core v0.1.0\n"))
        assert "waits for" not in live.text
        screen.consume(Paused(on=True))
        assert "paused" in live.text
        screen.consume(Paused(on=False))
        assert "paused" not in live.text
        screen.consume(Trouble("core/Cargo.toml:3: expected `=`"))
        screen.consume(Trouble("the kernel watches\nno more\x1b[2J directories"))
        assert "the kernel watches no more [2J directories (and 1 more)" in live.text
        screen.consume(CHANGED)
        screen.consume(READY)
        assert "the kernel" not in live.text


def test_a_tick_writes_little_and_never_clears(live):
    with live.screen() as screen:
        failing(screen, ERROR)
        screen.consume(CHANGED)
        screen.consume(started("quick-check"))
        live.read()
        clears = live.terminal.clears
        for _ in range(4):
            live.host.time += 0.25
            screen.tick()
            assert 0 < len(live.read()) < 200
        assert live.terminal.clears == clears
        screen.consume(ended("quick-check"))
        live.read()
        live.host.time += 10
        screen.tick()
        assert live.read() == ""


def test_every_redraw_is_one_write(live, monkeypatch):
    writes = []
    real = os.write

    def write(descriptor: int, content: bytes) -> int:
        writes.append(content)
        return real(descriptor, content)

    with live.screen() as screen:
        monkeypatch.setattr(os, "write", write)
        failing(screen, WARNING, ERROR)
        monkeypatch.undo()
    assert (
        len(writes) == 5
    )  # ready, edit, start, first diagnostic, end: the second comes with the end, and idle says nothing new


def test_another_size_draws_anew(live):
    with live.screen() as screen:
        failing(screen, ERROR)
        live.read()
        live.resize(40, 12)
        screen.redraw()
        lines = live.text.splitlines()
        assert max(map(len, lines)) < 40
        assert lines[1].endswith("…")
        live.resize(120, 20)
        live.host.time += 1
        screen.tick()
        assert "depends on core" in live.text


@pytest.mark.parametrize(("columns", "lines"), [(1, 1), (8, 2), (20, 3), (30, 6), (300, 4)])
def test_a_small_terminal_is_never_overfilled(live, columns, lines):
    live.resize(columns, lines)
    with live.screen() as screen:
        live.read()
        scrolled = len(live.terminal.scrolled)
        failing(screen, ERROR, WARNING)
        live.read()
        if columns > 10:
            assert len(live.terminal.scrolled) == scrolled


def test_leaving_keeps_the_last_state_and_shows_the_cursor_below_it(live):
    with live.screen() as screen:
        failing(screen, ERROR)
        live.read()
        assert not live.terminal.cursor_shown
        before = live.text
    assert live.text == before
    assert live.terminal.cursor_shown
    assert (live.terminal.row, live.terminal.column) == (len(before.splitlines()), 0)
    screen.close()
    assert live.read() == ""


def test_an_exception_leaves_the_terminal_as_it_was(live):
    with pytest.raises(KeyboardInterrupt), live.screen():
        raise KeyboardInterrupt
    live.read()
    assert live.terminal.cursor_shown


def test_what_was_on_the_screen_before_can_be_scrolled_to(live):
    os.write(live.secondary, b"$ buildopt watch\n")
    with live.screen():
        live.read()
    assert "$ buildopt watch" in live.terminal.scrolled


def test_wide_characters_and_control_sequences_keep_the_rows_apart(live):
    live.resize(30, 20)
    message = "\x1b[2J漢字がとても長いエラーメッセージです\tend\r".encode()
    with live.screen() as screen:
        failing(screen, ERROR.replace(b"mismatched types", message))
        lines = live.text.splitlines()
    assert lines[0].startswith("quick-check ✗")
    start = next(n for n, line in enumerate(lines) if line.startswith("error[E0308]"))
    assert (
        "".join(lines[start : start + 2]).replace(" ", "").startswith("error[E0308]:漢字がとても長いエラーメッセージ")
    )


def test_without_colour_there_is_none(live):
    live.host = ClockHost(NO_COLOR="1")
    with live.screen() as screen:
        failing(screen, ERROR)
        text = live.read()
    assert re.search(r"\x1b\[[0-9;]+m", text.replace("\x1b[0m", "")) is None
    assert "mismatched types" in text


@pytest.mark.parametrize(("environ", "clear"), [({"TERM": "dumb"}, True), ({}, False)])
def test_plain_lines_where_nothing_is_cleared(live, environ, clear):
    live.host = ClockHost(**environ)
    with live.screen(clear=clear) as screen:
        assert not screen.live
        failing(screen, ERROR)
        screen.tick()
        screen.key("?")
        text = re.sub(r"\x1b\[[0-9;]*m", "", live.read())
    assert "\x1b" not in text
    assert "12:30:01 edit: core/src/lib.rs → " + WHY in text
    assert "mismatched types" in text
    assert "idle: quick-check failed" in text
    assert "start the next stage now" in text


def test_a_terminal_that_goes_away_is_no_traceback(monkeypatch):
    live = Live(monkeypatch)
    with live.screen() as screen:
        os.close(live.primary)
        failing(screen, ERROR)
    live.primary = os.dup(live.secondary)
    live.close()


class Encoded(io.TextIOWrapper):
    def __init__(self, encoding: str) -> None:
        self.content = io.BytesIO()
        super().__init__(self.content, encoding=encoding, errors="backslashreplace")

    @property
    def text(self) -> str:
        self.flush()
        return self.content.getvalue().decode()


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return what `PlainWatch` writes to a stream that is no terminal."""

    def written(*events: object, encoding: str = "utf-8") -> str:
        stream = Encoded(encoding)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", stream)
            patch.setattr(sys, "stdout", stream)
            plain = PlainWatch(ClockHost())
            for event in events:
                plain.consume(event)
        return stream.text

    return written


def test_plain_lines_of_a_cycle(lines, snapshot):
    events = (
        READY, CHANGED, started("quick-check"), StepStarted("quick-check", "check", ("cargo", "check")),
        LockWait("quick-check", "build directory"), Output("stderr", re.sub(rb"\x1b\[[0-9;]*m", b"", ERROR)),
        ended("quick-check", "failure", detail="check: exit code 101"), Idle("failure", "quick-check", None),
        CHANGED, started("quick-check"), ended("quick-check", "cancelled"), Cancelled("quick-check", "edit", 1.2),
        Known("quick-check", ("core",)), Waiting("core", 1.0), Waiting("core", 0.0), Paused(True), Paused(False),
        Trouble("Cargo.toml does not parse"), started("core"), ended("core"), Idle("success", None, 2.3),
    )  # fmt: skip
    assert lines(*events) == snapshot


def test_signs_that_the_encoding_lacks_are_written_in_others(lines):
    text = lines(READY, CHANGED, encoding="ascii")
    assert f"edit: core/src/lib.rs -> {WHY}" in text


def test_ascii_terminals_get_an_ascii_screen(live):
    live.stream.reconfigure(encoding="ascii")
    with live.screen() as screen:
        failing(screen, ERROR)
        text = live.text
    assert text.startswith("quick-check FAILED 0.80s  core .  full .")
    assert f"core/src/lib.rs -> {WHY}" in text


def plain(row: str) -> str:
    return re.sub(r"\x1b\[[0-9;:]*m", "", row)


PIECES = st.sampled_from(
    [
        "a",
        "word ",
        "漢",
        "é",
        "e\u0301",
        "\t",
        "\n",
        "\r",
        "\x1b[1m",
        "\x1b[91m",
        "\x1b[0m",
        "\x1b[2J",
        "\x1b]8;;x\x07",
        "\x07",
        "\x1b(B",
        "\x9b",
        "\x1b",
    ]
)


@given(st.lists(PIECES, max_size=60).map("".join), st.integers(2, 20), st.booleans())
def test_rows_fit_and_each_can_be_drawn_alone(text, width, colour):
    found = rows(text.encode(), width, colour=colour)
    for row in found:
        assert not re.search(r"[\x00-\x1a\x1c-\x1f\x7f-\x9f]", row)
        assert "\x1b" not in plain(row)
        assert width_of(plain(row)) <= width
        assert "\x1b" not in row or (colour and row.endswith("\x1b[0m")) or re.search(r"\x1b\[0m[^\x1b]*$", row)
    letters = re.compile("[awordé漢]")
    steering = re.sub(r"\x1b\[[0-9;:]*m|\x1b\[2J|\x1b\]8;;x\x07|\x1b\(B", "", text)
    if "\x1b" not in steering:
        assert letters.findall("".join(map(plain, found))) == letters.findall(steering)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"))), st.integers(1, 30))
def test_what_is_cut_fits(text, width):
    assert width_of(cut(text, width, "…")) <= width
    if width_of(text) <= width:
        assert cut(text, width, "…") == text
