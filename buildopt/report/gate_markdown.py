"""What a gate found, as Markdown for a pull request. Pure.

Names of stages, crates and files are untrusted: every character that Markdown or HTML could read is written as a number.
"""

from __future__ import annotations

from buildopt.report.ci_summary import escaped
from buildopt.report.gate import closing_line, explained, verdict_words
from buildopt.report.gate_view import GateLine, GateView

__all__ = ["as_markdown"]

_LARGEST = 60_000  # bytes; GitHub takes no comment above 64 KiB
_LONGEST = 300
_OTHERS = 100


def as_markdown(view: GateView) -> str:
    """Return the gate as Markdown below 64 KiB: what fails or warns as a table with its reasons, the rest folded."""
    failures, warnings = view.failures, view.warnings
    lines = [
        f"### buildopt gate: {'failed' if view.failed else 'passed'}",
        "",
        escaped(closing_line(view), _LONGEST),
        "",
    ]
    lines += [f"- **{escaped(name)} cannot be measured**: {escaped(why, _LONGEST)}" for name, why in view.broken]
    loud = [*failures, *warnings, *(line for line in view.lines if line.accepted is not None)]
    quiet = [line for line in view.lines if line not in loud]
    if loud:
        lines += ["", *_table(loud[:_OTHERS], failures)]
    if quiet:
        lines += [
            "",
            f"<details><summary>{len(quiet)} more</summary>",
            "",
            *_table(quiet[:_OTHERS], ()),
            "",
            "</details>",
        ]
    lines += ["", *(f"- {escaped(note, _LONGEST)}" for note in view.notes)]
    return _cut("\n".join(lines).rstrip() + "\n")


def _table(lines: list[GateLine], failures: tuple[GateLine, ...]) -> list[str]:
    rows = ["| verdict | what | measured |", "| --- | --- | --- |"]
    for line in lines:
        verdict = escaped(verdict_words(line.answer))
        words = [line.answer.words, *explained(line)]
        cells = (
            f"**{verdict}**" if line in failures else verdict,
            escaped(line.subject),
            "<br>".join(escaped(text, _LONGEST) for text in words),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _cut(text: str) -> str:
    """Return `text` with as many whole lines as fit."""
    if len(text.encode()) <= _LARGEST:
        return text
    kept: list[str] = []
    size = 0
    for line in text.split("\n"):
        size += len(line.encode()) + 1
        if size > _LARGEST:
            break
        kept.append(line)
    return "\n".join([*kept, "", "The rest is left out: it is too long.", ""])
