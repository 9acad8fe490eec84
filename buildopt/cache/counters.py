"""What sccache counted: read leniently out of `sccache --show-stats --stats-format json`, compared between two moments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from buildopt.cache.storage import redact

__all__ = ["CacheDelta", "Counters", "difference", "parse_counters", "reads_only"]

# Cargo asks rustc for its version and its settings before it builds: sccache counts that, and no unit stands behind it.
_NOT_A_UNIT = {"-", "missing input"}


class Counters(NamedTuple):
    """What a server has counted since it was started."""

    requests: int
    hits: int
    misses: int
    writes: int
    """Units that the storage took; sccache reports it since 0.4."""
    errors: int
    """Units that the storage could not be asked for, or could not take."""
    not_cached: Mapping[str, int]
    """Calls that sccache never caches, by its reason: `crate-type`, `incremental`, …"""
    location: str
    """Storage in sccache's words, without secrets."""
    size: int | None = None
    """Bytes that the storage may take."""


class CacheDelta(NamedTuple):
    """What the cache did between two readings."""

    hits: int
    misses: int
    errors: int
    not_cached: dict[str, int]
    location: str

    @property
    def complaint(self) -> str | None:
        """Return one line when most of what should have been kept was not, else None."""
        if self.errors == 0 or self.errors * 2 < self.misses:
            return None
        return f"sccache could not use its storage for {self.errors} units ({self.location}): is it writable, and not full?"


def parse_counters(text: bytes | str, environ: Mapping[str, str | None] | None = None) -> Counters | None:
    """Return the counters out of sccache's JSON (tried with 0.4, 0.8 to 0.17); None when it is something else.

    A counter that is absent or of another form counts as zero.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    refused_writes = "cache_write_errors" if not reads_only(environ or {}) else None
    stats = document.get("stats") if isinstance(document, dict) else None
    if not isinstance(stats, dict):
        return None
    reasons = stats.get("not_cached")
    not_cached = {str(reason): _number(n) for reason, n in reasons.items()} if isinstance(reasons, dict) else {}
    size = document.get("max_cache_size")
    return Counters(
        requests=_number(stats.get("compile_requests")),
        hits=_number(stats.get("cache_hits")),
        misses=_number(stats.get("cache_misses")),
        writes=_number(stats.get("cache_writes")),
        errors=max(  # one unit may be counted in several of them
            _number(stats.get("cache_errors")) + _number(stats.get("cache_timeouts")),
            _number(stats.get("cache_read_errors")),
            _number(stats.get(refused_writes)),
        ),
        not_cached={reason: n for reason, n in not_cached.items() if n and reason not in _NOT_A_UNIT},
        location=redact(str(document.get("cache_location") or ""), environ),
        size=size if isinstance(size, int) else None,
    )


def reads_only(environ: Mapping[str, str | None]) -> bool:
    """Whether sccache is told to write nothing into its storage: each unit that it then keeps to itself counts as an error."""
    return any(
        name.startswith("SCCACHE_") and name.endswith("_RW_MODE") and value == "READ_ONLY"
        for name, value in environ.items()
    )


def difference(before: Counters, after: Counters) -> CacheDelta:
    """Return what was counted between two readings.

    A server that was started anew in between counts from zero: then the later reading is the answer.
    """
    start = before if _continued(before, after) else Counters(0, 0, 0, 0, 0, {}, "")
    not_cached = {reason: n - start.not_cached.get(reason, 0) for reason, n in after.not_cached.items()}
    return CacheDelta(
        hits=after.hits - start.hits,
        misses=after.misses - start.misses,
        errors=max(0, after.errors - start.errors),
        not_cached={reason: n for reason, n in not_cached.items() if n > 0},
        location=after.location,
    )


def _continued(before: Counters, after: Counters) -> bool:
    return all(new >= old for new, old in zip(after[:5], before[:5], strict=True)) and all(
        after.not_cached.get(reason, 0) >= n for reason, n in before.not_cached.items()
    )


def _number(value: Any) -> int:
    """Return a count that is a number, or the sum over languages: `{"counts": {"Rust": 3}, "adv_counts": …}`."""
    if isinstance(value, dict):
        counts = value.get("counts", value)
        return sum(n for n in counts.values() if _is_count(n)) if isinstance(counts, dict) else 0
    return value if _is_count(value) else 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
