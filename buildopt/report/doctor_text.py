"""The doctor's findings as text for people. Pure."""

from __future__ import annotations

from buildopt.report.findings import Diagnosis, Finding, Severity
from buildopt.report.layout import advice, columns, heading, paint, wrapped
from buildopt.report.machine import Machine
from buildopt.units import format_size

__all__ = ["as_text"]

_STYLES: dict[Severity, str] = {"problem": "red", "warning": "yellow", "note": "dim", "ok": "green"}


def as_text(diagnosis: Diagnosis, width: int = 100, *, color: bool = False) -> str:
    """Return the diagnosis in lines of at most `width` characters, with colour only where `color` says so."""
    machine = diagnosis.machine
    rows = [
        (tool.name, tool.version or "missing", tool.detail or "" if tool.version else f"for {tool.purpose}")
        for tool in machine.tools
    ]
    styles = [None if tool.version else "yellow" for tool in machine.tools]
    lines = [heading("Tools", color), *columns(rows, width=width, styles=styles, color=color)]
    if machine.linkers:
        lines += ["", heading("Linkers", color)]
        linkers = [(linker.name, "works" if linker.works else "no", linker.why) for linker in machine.linkers]
        lines += columns(linkers, width=width)
    lines += ["", heading("Machine", color), *wrapped(_machine_words(machine), width), "", heading("Findings", color)]
    for finding in diagnosis.findings:
        lines += _finding_text(finding, width, color)
    if not any(finding.severity in ("problem", "warning") for finding in diagnosis.findings):
        lines.append("  nothing stands in the way of a build")
    return "\n".join(lines) + "\n"


def _machine_words(machine: Machine) -> str:
    memory = "" if machine.memory_bytes is None else f", {format_size(machine.memory_bytes)} of memory"
    free = "" if machine.free_bytes is None else f", {format_size(machine.free_bytes)} free on disk"
    cores = "1 processor" if machine.cores == 1 else f"{machine.cores} processors"
    return f"{machine.system}, {cores}{memory}{free}"


def _finding_text(finding: Finding, width: int, color: bool) -> list[str]:
    text = wrapped(f"{finding.about}: {finding.message}", width - 9, first="", rest="")
    label = paint(f"{finding.severity:<7}", _STYLES[finding.severity], color)
    lines = [f"  {label}  {text[0]}" if text else f"  {label}", *(f"           {line}" for line in text[1:])]
    return lines + ([f"         {line}" for line in advice(finding.todo, width - 9)] if finding.todo else [])
