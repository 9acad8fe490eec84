"""What cargo-nextest says and is told: its list of tests, filtersets that name tests, and where it reports. Pure."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

__all__ = ["SLICES_SINCE", "filtersets", "own_report", "parse_listing", "report_config"]

SLICES_SINCE = (0, 9, 127)
"""The version that can run every n-th test over all binaries (`--partition slice:1/4`)."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:.<>-")
_EXPRESSION_BYTES = 100_000  # Linux takes no single argument over 128 KiB
_TOTAL_BYTES = 900_000  # macOS takes 1 MiB of arguments and environment together, Linux 2 MiB


def parse_listing(text: bytes) -> dict[str, tuple[str, ...]]:
    """Return the tests that a run would run, sorted, by binary id, out of `cargo nextest list --message-format json`.

    What is ignored or outside the default filter is left out, and so are binaries without anything else. Raises
    ValueError when the text is not of the form that nextest documents.
    """
    try:
        suites = json.loads(text)["rust-suites"]
        found = {name: tuple(sorted(_matching(suite["testcases"]))) for name, suite in sorted(suites.items())}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the list of tests is not of the form that nextest documents: {error!r}") from error
    return {name: tests for name, tests in found.items() if tests}


def filtersets(tests: Mapping[str, Iterable[str]], listed: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    """Return filtersets that together mean exactly `tests`, by binary id; None when no command line has room for them.

    A binary of which all tests are meant is named as a whole. `listed` is what `parse_listing` found: nextest refuses a
    binary that is not there.
    """
    found = []
    for binary, names in sorted(tests.items()):
        ordered = sorted(names)
        whole = tuple(ordered) == listed[binary]
        found += [f"binary_id(={_escaped(binary)})"] if whole else list(_named(binary, ordered))
    fits = (
        all(len(text) <= _EXPRESSION_BYTES for text in found) and sum(len(text) + 4 for text in found) <= _TOTAL_BYTES
    )
    return tuple(found) if fits else None


def report_config(report: PurePath) -> str:
    """Return a nextest configuration that asks for a JUnit report at `report`, an absolute path.

    Given by `--tool-config-file`, it ranks below the user's own configuration and leaves what that says.
    """
    path = json.dumps(str(report), ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[profile.default.junit]\npath = {path}\nstore-success-output = false\nstore-failure-output = false\n"


def own_report(config: bytes, profile: str) -> PurePath | None:
    """Return where the user's own `.config/nextest.toml` has nextest write its JUnit report; None when it does not say.

    The path is relative to the workspace root, or absolute. `profile` is that of nextest. A file that nextest would
    refuse says nothing here.
    """
    try:
        document = tomllib.loads(config.decode())
        path = _junit_path(document["profile"], profile)
        store = document.get("store", {}).get("dir", "target/nextest")
        return None if path is None else PurePath(store, profile, path)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _matching(cases: Mapping[str, Any]) -> Iterator[str]:
    return (name for name, case in cases.items() if case["filter-match"]["status"] == "matches")


def _named(binary: str, names: Iterable[str]) -> Iterator[str]:
    """Yield filtersets of a bounded length that mean these tests of one binary."""
    head = f"binary_id(={_escaped(binary)}) & ("
    terms: list[str] = []
    size = 0
    for name in names:
        term = f"test(={_escaped(name)})"
        if terms and size + len(term) > _EXPRESSION_BYTES - len(head):
            yield f"{head}{' | '.join(terms)})"
            terms, size = [], 0
        terms.append(term)
        size += len(term) + 3
    yield f"{head}{' | '.join(terms)})"


def _escaped(name: str) -> str:
    """Return a name as nextest's matchers for equal texts read it, which know Rust's own escape."""
    return "".join(sign if sign in _PLAIN else f"\\u{{{ord(sign):x}}}" for sign in name)


def _junit_path(profiles: Mapping[str, Any], profile: str) -> str | None:
    """Return what a nextest profile says, or those that it inherits from, in the end `default`."""
    seen: set[str] = set()
    name: str | None = profile
    while name is not None and name not in seen:
        seen.add(name)
        table = profiles.get(name, {})
        path = table.get("junit", {}).get("path")
        if path is not None:
            return str(path)
        name = table.get("inherits") or (None if name == "default" else "default")
    return None
