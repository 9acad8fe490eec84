"""The report of `cargo --timings`: when each unit ran and for how long.

The page is meant for people and its data have no promised form, so everything here is lenient: read from Cargo 1.63 to 1.100.
Times are rounded by Cargo to 0.01 s.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

__all__ = ["TimedUnit", "parse_target", "parse_timings"]

_MARK = "UNIT_DATA = "
_MODES = {
    "check": "check",
    "check-test": "test",
    "test": "test",
    "bench": "test",
    "doc": "doc",
    "doc test": "doctest",
    "doc scrape": "docscrape",
    "run": "run-custom-build",
}
_MODE = re.compile(r"\((check-test|check|test|bench|doc test|doc scrape|doc|run)\)$")
_KIND = r"lib|bin|test|bench|example|integration-test|build-script"
_NAME_FIRST = re.compile(rf'(.+) "({_KIND})"')  # newer Cargo; 1.91 and older write the kind first
_KIND_FIRST = re.compile(rf'({_KIND}) "(.+)"')


class TimedUnit(NamedTuple):
    """One unit that ran."""

    package: str
    version: str
    target: str
    """Kind and name, as `lib`, `bin "app"`, `build-script`."""
    mode: str
    """`build`, `check`, `test`, `doc`, `run-custom-build`, `doctest` or `docscrape`."""
    features: tuple[str, ...] | None
    """None where the page does not tell them (Cargo 1.91 and older)."""
    start_seconds: float
    """Since Cargo was invoked."""
    duration_seconds: float
    frontend_seconds: float | None
    """Until the metadata was there, so that dependents could start."""
    codegen_seconds: float | None
    """From there on. In a check it is only the end of the compiler's work, not code generation."""


def parse_timings(html: str) -> tuple[TimedUnit, ...]:
    """Return the units that ran, in the order of the page; empty when the page cannot be read. Raises nothing.

    Cargo 1.95 to 1.98 also list fresh units, and units that a failed build never reached, with zero start and duration: these are left out.
    """
    at = html.find(_MARK)
    if at < 0:
        return ()
    try:
        rows, _ = json.JSONDecoder().raw_decode(html, at + len(_MARK))
    except (ValueError, RecursionError):
        return ()
    if not isinstance(rows, list):
        return ()
    return tuple(unit for unit in map(_unit, rows) if unit is not None)


def parse_target(text: str, mode: str = "todo") -> tuple[str, str]:
    """Return target and mode of the text in the page: ` app "bin" (check)` gives `bin "app"` and `check`."""
    text = text.strip()
    found = _MODE.search(text)
    if found:
        text = text[: found.start()].rstrip()
    mode = _MODES[found.group(1)] if found else mode if mode == "run-custom-build" else "build"
    if mode == "run-custom-build" or text in ("build-script", "build script"):
        return "build-script", mode
    named = _NAME_FIRST.fullmatch(text)
    name, kind = named.groups() if named else ("", "")
    if not named and (named := _KIND_FIRST.fullmatch(text)):
        kind, name = named.groups()
    if kind in ("", "lib"):
        return ("lib" if text in ("", "lib") or kind else text), mode
    return f'{"test" if kind == "integration-test" else kind} "{name}"', mode


def _unit(row: Any) -> TimedUnit | None:
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        return None
    start, duration = _number(row.get("start")), _number(row.get("duration"))
    if start is None or duration is None or (start == 0 and duration == 0):
        return None
    target, mode = parse_target(str(row.get("target", "")), str(row.get("mode", "")))
    features = row.get("features")
    frontend, codegen = _sections(row, duration)
    return TimedUnit(
        package=row["name"],
        version=str(row.get("version", "")),
        target=target,
        mode=mode,
        features=tuple(sorted(map(str, features))) if isinstance(features, list) else None,
        start_seconds=start,
        duration_seconds=duration,
        frontend_seconds=frontend,
        codegen_seconds=codegen,
    )


def _sections(row: dict[str, Any], duration: float) -> tuple[float | None, float | None]:
    """Return frontend and codegen seconds: `sections` since Cargo 1.91, `rmeta_time` before."""
    rmeta = _number(row.get("rmeta_time"))
    if rmeta is not None:
        return rmeta, max(0.0, round(duration - rmeta, 3))
    lengths: dict[str, float] = {}
    sections = row.get("sections")
    for section in sections if isinstance(sections, list) else ():
        if isinstance(section, list) and len(section) == 2 and isinstance(section[1], dict):
            start, end = _number(section[1].get("start")), _number(section[1].get("end"))
            if isinstance(section[0], str) and start is not None and end is not None:
                lengths[section[0].lower()] = max(0.0, round(end - start, 3))
    return lengths.get("frontend"), lengths.get("codegen")


def _number(value: object) -> float | None:
    """Return a finite number that is not negative, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e9 else None
