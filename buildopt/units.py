"""Durations (seconds) and sizes (bytes) as people write them: `"90s"`, `"2m"`, `"10GiB"`."""

from __future__ import annotations

import re

__all__ = ["format_duration", "format_size", "parse_duration", "parse_size"]

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)", re.ASCII)
_SIZE_UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)", re.ASCII)


def parse_duration(text: str) -> float:
    """Return seconds for `"500ms"`, `"90s"`, `"2m"`, `"1h30m"`.

    Raises ValueError for anything else, for zero, and for more than 30 days.
    """
    matches = list(_DURATION.finditer(text))
    if not matches or "".join(match.group(0) for match in matches) != text:
        raise ValueError(f'expected a duration such as "90s", "2m" or "1h30m", found {text!r}')
    seconds = sum(float(match.group(1)) * _DURATION_UNITS[match.group(2)] for match in matches)
    if not 0 < seconds <= 30 * 24 * 3600:
        raise ValueError(f"expected a duration above zero and of at most 30 days, found {text!r}")
    return seconds


def format_duration(seconds: float) -> str:
    """Return a short text for seconds: `0.04s`, `4.2s`, `2m05s`, `1h02m`."""
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    if seconds < 0.95:
        return f"{seconds:.2f}s"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def parse_size(text: str) -> int:
    """Return bytes for `"512MiB"`, `"10GiB"`, `"1.5 GB"`.

    Raises ValueError for anything else, for zero, and for more than 1024 TiB.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f'expected a size such as "512MiB" or "10GiB", found {text!r}')
    size = float(match.group(1)) * _SIZE_UNITS[match.group(2)]
    if not 0.5 < size <= 1024 * 2**40:
        raise ValueError(f"expected a size above zero and of at most 1024TiB, found {text!r}")
    return round(size)


def format_size(size: int) -> str:
    """Return a short text for bytes: `512 B`, `4.2 MiB`, `10 GiB`."""
    if size < 1024:
        return f"{size} B"
    steps = next((steps for steps in (1, 2, 3) if size < 1024 ** (steps + 1)), 4)
    value, unit = size / 1024**steps, ("KiB", "MiB", "GiB", "TiB")[steps - 1]
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
