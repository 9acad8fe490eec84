"""Pins: which commit an action is taken at. They are data beside the workflow, reviewed by people and moved by bots."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from buildopt.errors import ManifestError, Problem
from buildopt.generate.templates import template
from buildopt.generate.toml import key_text, parse, quoted, splice, statements

__all__ = [
    "PINS_FILE",
    "Pin",
    "Pins",
    "Use",
    "missing_pins",
    "only_pins_differ",
    "pins_in",
    "read_pins",
    "render_pins",
    "shipped_pins",
    "uses_in",
    "with_pins",
    "without_pins",
]

PINS_FILE = ".github/buildopt.pins.toml"
_LARGEST = 1 << 20  # bytes; a hundred actions take 12 kB

_ACTION = r"[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9_.-]{1,100}"
_SHA = r"[0-9a-f]{40}"
_VERSION = r"v?[0-9][0-9A-Za-z.+-]{0,63}"
_TOOL = r"[a-z][a-z0-9-]{0,63}"
_TOOL_VERSION = r"[0-9][0-9A-Za-z.-]{0,63}"
_USES = re.compile(
    r"^(?P<lead>[ \t]*(?:- )?uses:[ \t]*)(?P<what>[^\s@#]+)@(?P<at>[^\s#]+)(?P<note>[ \t]+#[^\n]*)?$", re.MULTILINE
)
_NOTED_VERSION = re.compile(rf"#\s*(?:tag=)?({_VERSION})\s*$", re.ASCII)


class Pin(NamedTuple):
    """The commit of an action."""

    version: str
    """The tag that people know it by, such as `v4.2.1`."""
    sha: str


class Pins(NamedTuple):
    """What stands in a file of pins."""

    actions: Mapping[str, Pin]
    """By `owner/repository`."""
    tools: Mapping[str, str]
    """Versions of programs that a job installs."""


class Use(NamedTuple):
    """One `uses:` of a workflow."""

    line: int
    action: str
    """`owner/repository`, without the folder in it."""
    at: str
    """What stands after the `@`."""
    version: str | None
    """What the comment behind it says."""


def shipped_pins() -> Pins:
    """Return the pins that come with buildopt."""
    return read_pins(template("ci/pins.toml"), "templates/ci/pins.toml")


def read_pins(text: str, file: str = PINS_FILE) -> Pins:
    """Return the pins in a file; ManifestError names each that cannot be one."""
    if len(text) > _LARGEST:
        raise ManifestError(f"{file} is larger than {_LARGEST >> 20} MiB", hint="remove it, and run buildopt sync")
    document = parse(text, file)
    hint = "there are actions and tools"
    unknown = sorted(document.keys() - {"actions", "tools"})
    problems = [Problem("is no table of this file", file=file, key=key_text(key), hint=hint) for key in unknown]
    actions, tools = (_table(document, name, file, problems) for name in ("actions", "tools"))
    pins = Pins(dict(_actions(actions, file, problems)), dict(_tools(tools, file, problems)))
    if problems:
        raise ManifestError("the pins cannot be used", problems=tuple(problems))
    return pins


def render_pins(pins: Pins) -> str:
    """Return the text of a new file of pins."""
    head = template("ci/pins.toml").partition("[actions]")[0]
    return with_pins(f"{head}[actions]\n", pins)


def with_pins(text: str, pins: Pins) -> str:
    """Return the text of a file of pins in which each of `pins` stands; every other line, and its comments, stay.

    Raises ManifestError for a file that is written in a form which a line cannot be added to.
    """
    wanted: dict[tuple[str, ...], str] = {("actions", name): _pin_text(pin) for name, pin in pins.actions.items()}
    wanted |= {("tools", name): quoted(version) for name, version in pins.tools.items()}
    newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    there = {each.path: each for each in statements(text) if each.kind == "pair"}
    for name, pin in pins.actions.items():  # a table of its own, or keys with dots
        if ("actions", name, "sha") in there:
            del wanted["actions", name]
            wanted |= {("actions", name, part): quoted(value) for part, value in pin._asdict().items()}
    ends = {each.table: each.end for each in statements(text) if each.kind != "blank"}
    edits = [(*there[path].value, value) for path, value in wanted.items() if path in there]
    added: dict[str, list[str]] = {}
    for path, value in sorted(wanted.items(), key=lambda item: item[0][1].lower()):
        if path not in there:
            added.setdefault(path[0], []).append(f"{key_text(*path[1:])} = {value}{newline}")
    for table, lines in sorted(added.items()):
        end = ends.get((table,), len(text))
        head = [] if (table,) in ends else [newline, f"[{table}]{newline}"]
        lead = newline if not text[:end].endswith("\n") else ""
        edits.append((end, end, lead + "".join((*head, *lines))))
    result = splice(text, edits)
    if not _has(result, pins):
        hint = "write the tables as [actions] and [tools], with a line for each action and tool"
        raise ManifestError(f"no pin can be written into {PINS_FILE}", hint=hint)
    return result


def missing_pins(pins: Pins, actions: Iterable[str], tools: Iterable[str], shipped: Pins) -> Pins:
    """Return those of `shipped` that are used and that `pins` does not have."""
    return Pins(
        {name: shipped.actions[name] for name in actions if name not in pins.actions},
        {name: shipped.tools[name] for name in tools if name not in pins.tools},
    )


def uses_in(workflow: str) -> tuple[Use, ...]:
    """Return every `uses:` of a workflow, in order, pinned or not."""
    found = []
    for match in _USES.finditer(workflow.replace("\r\n", "\n")):
        noted = _NOTED_VERSION.search(match["note"] or "")
        action = "/".join(match["what"].split("/")[:2])
        line = workflow.count("\n", 0, match.start("what")) + 1
        found.append(Use(line, action, match["at"], noted[1] if noted else None))
    return tuple(found)


def pins_in(workflow: str, file: str) -> Mapping[str, Pin]:
    """Return the pin of each action that a workflow uses.

    Raises ManifestError for one that is not at a full commit id with its version as a comment, or at two commits.
    """
    found: dict[str, Pin] = {}
    problems = []
    for use in uses_in(workflow):
        where = f"{file}:{use.line}"
        if not _is(_SHA, use.at):
            problems.append(Problem(f"{use.action} is at {use.at!r}, not at a commit", file=where, hint="40 digits"))
        elif use.version is None:
            hint = f"write # and the tag behind {use.at[:7]}…"
            problems.append(Problem(f"{use.action} does not say which version it is", file=where, hint=hint))
        elif found.setdefault(use.action, Pin(use.version, use.at)) != Pin(use.version, use.at):
            problems.append(Problem(f"{use.action} is at two commits", file=where, hint="move both to one"))
    if problems:
        raise ManifestError(f"the pins in {file} cannot be taken over", problems=tuple(problems))
    return found


def without_pins(workflow: str) -> str:
    """Return the text of a workflow without what a moved pin changes: commits, and the comments behind them."""
    return _USES.sub(r"\g<lead>\g<what>@", workflow)


def only_pins_differ(one: str, other: str) -> bool:
    """Whether two workflows differ, and in nothing but their pins and line endings."""
    one, other = one.replace("\r\n", "\n"), other.replace("\r\n", "\n")
    return one != other and without_pins(one) == without_pins(other)


def _has(text: str, pins: Pins) -> bool:
    try:
        found = read_pins(text)
    except ManifestError:
        return False
    return pins.actions.items() <= found.actions.items() and pins.tools.items() <= found.tools.items()


def _table(document: Mapping[str, object], name: str, file: str, problems: list[Problem]) -> Mapping[str, object]:
    table = document.get(name, {})
    if isinstance(table, dict):
        return table
    problems.append(Problem("is no table", file=file, key=name))
    return {}


def _actions(table: Mapping[str, object], file: str, problems: list[Problem]) -> Iterator[tuple[str, Pin]]:
    for name, value in table.items():
        here = f"actions.{key_text(name)}"
        if not _is(_ACTION, name):
            problems.append(Problem("is no action", file=file, key=here, hint="owner/repository"))
        elif not isinstance(value, dict) or set(value) != {"version", "sha"}:
            problems.append(Problem("has version and sha, and nothing else", file=file, key=here))
        elif not isinstance(value["sha"], str) or not _is(_SHA, value["sha"]):
            problems.append(Problem("is no commit", file=file, key=f"{here}.sha", hint="40 lowercase digits, a to f"))
        elif not isinstance(value["version"], str) or not _is(_VERSION, value["version"]):
            problems.append(Problem("is no version", file=file, key=f"{here}.version", hint="such as v4.2.1"))
        else:
            yield name, Pin(value["version"], value["sha"])


def _tools(table: Mapping[str, object], file: str, problems: list[Problem]) -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if _is(_TOOL, name) and isinstance(value, str) and _is(_TOOL_VERSION, value):
            yield name, value
        else:
            hint = 'such as nextest = "0.9.143"'
            problems.append(Problem("is no tool with a version", file=file, key=f"tools.{key_text(name)}", hint=hint))


def _pin_text(pin: Pin) -> str:
    return f"{{ version = {quoted(pin.version)}, sha = {quoted(pin.sha)} }}"


def _is(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text, re.ASCII) is not None
