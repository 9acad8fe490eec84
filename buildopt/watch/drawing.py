"""The drawn screen of a watch: a calm status block, below it what is wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from buildopt.colour import paint
from buildopt.measure import plain_duration
from buildopt.units import format_duration
from buildopt.watch.board import Board, StageView, edited
from buildopt.watch.cells import cut, rows, width_of

__all__ = ["ASCII", "HELP", "KEYS", "UNICODE", "Look", "Marks", "body", "frame", "status"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
KEYS = "r rerun  n next stage now  p pause  f full  a all output  q quit  ? help"
HELP = (
    "r, Enter   run the stages again",
    "n          start the next stage now, without its quiet time",
    "p, Space   pause: edits start nothing until the next p",
    "f          run the full stage now",
    "a          all output of the last stage, and back",
    "?          these lines, and back",
    "q          quit; Ctrl-C does it too",
)


class Marks(NamedTuple):
    """The signs of a screen."""

    passed: str
    failed: str
    running: str
    pending: str
    more: str
    arrow: str


UNICODE = Marks("✓", "✗", "▶", "·", "…", "→")
ASCII = Marks("ok", "FAILED", ">", ".", "...", "->")


class Look(NamedTuple):
    """How a screen is drawn: its size in cells, its colours, its signs."""

    columns: int
    lines: int
    colour: bool
    marks: Marks


def frame(board: Board, look: Look, *, help_shown: bool = False, clock: str = "") -> list[str]:
    """Return the rows of the whole screen, at most `look.lines` less one.

    `clock` is the time of the last edit, as people read it.
    """
    height = max(look.lines - 1, 1)
    top = status(board, look, clock=clock, keys=height >= 10)[:height]
    left = height - len(top) - 1
    if left < 1:
        return top
    below = list(HELP)[:left] if help_shown else body(board, look, left)
    return [*top, "", *below] if below else top


def status(board: Board, look: Look, *, clock: str = "", keys: bool = True) -> list[str]:
    """Return the status block: stages, packages, last result, what should be mended, and the keys."""
    found = [_stage_line(board, look)]
    if packages := _packages(board, look.marks, clock):
        found.append(_fit([(packages, None)], look))
    if said := _result(board):
        found.append(_fit(said, look))
    if board.troubles:
        others = len(board.troubles) - 1
        more = f" (and {others} more)" if others else ""
        text = cut(_plain(board.troubles[0]), look.columns - len(more), look.marks.more)
        found.append(_fit([(text + more, "yellow")], look))
    if keys:
        found.append(_fit([(KEYS, "dim")], look))
    return found


def body(board: Board, look: Look, height: int) -> list[str]:
    """Return what is wrong in at most `height` rows: what does not fit is counted in the last one."""
    found: list[str] = []
    left_out = 0
    for diagnostic in board.diagnostics():
        if len(found) > height:
            left_out += 1 + diagnostic.rendered.count(b"\n")
            continue
        if found:
            found.append("")
        found += rows(diagnostic.rendered, look.columns, colour=look.colour)
    if len(found) <= height:
        return found
    left_out += len(found) - height + 1
    tail = f"{look.marks.more} {left_out} more line{'' if left_out == 1 else 's'}: press a"
    return [*found[: height - 1], _fit([(tail, "dim")], look)]


def _stage_line(board: Board, look: Look) -> str:
    pieces: list[tuple[str, str | None]] = []
    for stage in board.stages.values():
        if pieces:
            pieces.append(("  ", None))
        pieces += _stage(board, stage, look.marks)
    return _fit(pieces, look)


def _stage(board: Board, stage: StageView, marks: Marks) -> Iterator[tuple[str, str | None]]:
    seconds = "" if stage.seconds is None else f" {format_duration(stage.seconds)}"
    match stage.state:
        case "running":
            usual = "" if stage.usual is None else f" of usually {format_duration(stage.usual)}"
            yield f"{stage.name} {marks.running} {format_duration(board.elapsed(stage))}", "bold"
            yield usual, "dim"
        case "passed":
            yield f"{stage.name} {marks.passed}", "green"
            yield seconds, "dim"
        case "known":
            yield f"{stage.name} {marks.passed}", "green"
            yield " known", "dim"
        case "failed" | "timeout":
            late = " timed out" if stage.state == "timeout" else ""
            yield f"{stage.name} {marks.failed}{late}", "red"
            yield seconds, "dim"
        case "waiting":
            quiet = "" if stage.seconds is None else f" after {plain_duration(stage.seconds)} of quiet"
            yield f"{stage.name} {marks.pending}{quiet}", "dim"
        case "pending" | "cancelled" | "skipped":
            more = "" if stage.state == "pending" else f" {stage.state}"
            yield f"{stage.name} {marks.pending}{more}", "dim"


def _packages(board: Board, marks: Marks, clock: str) -> str:
    if board.changed is not None:
        when = f"{clock} " if clock else ""
        return _plain(f"{when}{edited(board.changed.paths)} {marks.arrow} {board.why}")
    if board.why:
        return _plain(board.why)
    ready = board.ready
    if ready is None:
        return ""
    return f"watching {_many(ready.packages, 'package')}: {_many(ready.files, 'file')} in {_many(ready.directories, 'directory')}"


def _result(board: Board) -> list[tuple[str, str | None]]:
    """Return the line that says how it stands: what holds it up, else the last result, and budgets that were not kept."""
    said: list[tuple[str, str | None]] = []
    if board.paused:
        said.append(("paused: edits start nothing until the next p", "yellow"))
    if board.running and board.lock is not None:
        said.append(
            (f"{'; ' if said else ''}waits for a lock that another cargo holds ({_plain(board.lock)})", "yellow")
        )
    text, colour = board.result
    if text and not said:
        said.append((f"last: {_plain(text)}", "dim") if board.running else (_plain(text), colour))
    for stage, over in board.over.items():
        same = len(said) == 1 and text.startswith(f"{stage} ")
        said.append((f", {over}" if same else f"; {stage} {over}" if said else f"{stage} {over}", "yellow"))
    return said


def _fit(pieces: Sequence[tuple[str, str | None]], look: Look) -> str:
    """Return painted pieces as one row that fits the width."""
    left, row = look.columns, []
    for text, style in pieces:
        shown = cut(text, left, look.marks.more)
        left -= width_of(shown)
        row.append(paint(shown, style) if style and shown and look.colour else shown)
        if shown != text:
            break
    return "".join(row)


def _plain(text: str) -> str:
    """Return `text` on one line and without what steers a terminal: names come from outside."""
    return _CONTROL.sub(" ", text).strip()


def _many(count: int, word: str) -> str:
    plural = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"{count} {word if count == 1 else plural}"
