"""From bytes to parsed documents: TOML with errors that a person understands, and `extends` followed to its end.

Nothing here knows the model, so that `nox -l` can have an outline without the cost of it.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from buildopt.errors import MachineRefused, Problem, ProfileError
from buildopt.profile.presets import is_preset, read_preset
from buildopt.profile.wording import shown, unsafe_characters

__all__ = ["Document", "Resolved", "lay", "parse", "resolve"]

Read = Callable[[Path], bytes | None]
Note = Callable[[tuple[str, ...], Any], None]

_MOST_BYTES = 1 << 20
_MOST_LEVELS = 32
_MOST_DOCUMENTS = 64
_POSITION = r"(?s)(.*) \(at (?:line (\d+), column (\d+)|end of document)\)"
# tomllib needs quadratic time for a key of many segments; no key of a profile has more than ten.
_LONG_KEY = r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|\'[^\'\n]*\')[ \t]*\.[ \t]*){40}"""
_WHAT_TO_DO = (
    ("Invalid value", "text stands in quotes; true, false and numbers do not"),
    ("Cannot overwrite", "the same key stands twice: keep one"),
    ("Cannot declare", "the same table stands twice: join them"),
    ("Cannot mutate", "the same table stands twice: join them"),
    ("Expected '='", "write key = value; a table is [name]"),
    ("Expected newline", "one key = value a line; text stands in quotes"),
    ("Unterminated string", "the closing quote is missing"),
    ("Unclosed array", "the closing ] is missing"),
    ("Unclosed inline table", "the closing } is missing, or the table spans lines: use [name] then"),
    ("Unescaped '\\'", "write \\\\ for a backslash, or single quotes around the text"),
    ("Illegal character", "a line break or a control character stands inside the text"),
)


class Document(NamedTuple):
    """One file or preset that takes part."""

    file: str
    """As shown to people."""
    layer: Literal["preset", "file"]
    table: dict[str, Any]
    text: bytes


class Resolved(NamedTuple):
    """All documents, lowest layer first, and what kept others from being read."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]


def parse(content: bytes, file: str) -> dict[str, Any]:
    """Return the TOML table in `content`.

    Raises ProfileError with `file:line:column` when it is not TOML, not UTF-8, larger than 1 MiB or nested too deep.
    """
    if len(content) > _MOST_BYTES:
        raise _refusal(
            f"larger than {_MOST_BYTES >> 20} MiB", file, "a profile is a few hundred lines; is this the right file?"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refusal("not UTF-8", f"{file}:{line}", "save the file with the encoding UTF-8") from None
    if re.search(_LONG_KEY, text):
        raise _refusal("a key has too many segments", file, "no key of a profile has more than ten")
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise _refusal("nested too deep", file, "no profile needs this many brackets") from None
    except ValueError as error:  # TOMLDecodeError is one; an integer with thousands of digits raises a plain one
        raise _syntax(error, text, file) from None
    if _deeper_than(table, _MOST_LEVELS):
        raise _refusal("nested too deep", file, f"no profile needs more than {_MOST_LEVELS} levels")
    return table


def resolve(path: Path, *, root: Path, read: Read) -> Resolved:
    """Read the profile at `path` and, depth first, everything that it extends; each document takes part once.

    Raises ProfileError when `path` itself is not there. Any other problem is returned with the others.
    """
    resolver = _Resolver(root, read)
    file = _as_shown(path, root)
    content = read(path)
    if content is None:
        problem = Problem("no such file", file=file, hint="`buildopt init` writes one for this workspace")
        raise ProfileError("there is no profile", problems=(problem,))
    resolver.follow(content, file, "file", ())
    return Resolved(tuple(resolver.documents), tuple(resolver.problems))


class _Resolver:
    """Follows `extends`."""

    def __init__(self, root: Path, read: Read) -> None:
        self.root = root
        self.read = read
        self.documents: list[Document] = []
        self.problems: list[Problem] = []
        self.seen: set[str] = set()

    def follow(self, content: bytes, file: str, layer: Literal["preset", "file"], chain: tuple[str, ...]) -> None:
        """Add what this document extends, then the document."""
        self.seen.add(file)
        try:
            table = parse(content, file)
        except ProfileError as error:
            self.problems.extend(error.problems)
            return
        extends = table.get("extends", [])
        for entry in extends if isinstance(extends, list) else []:  # any other type is told by the reader
            if isinstance(entry, str):
                self._extend(entry, (*chain, file))
        self.documents.append(Document(file, layer, table, content))

    def _extend(self, entry: str, chain: tuple[str, ...]) -> None:
        preset = is_preset(entry)
        name = f"preset {entry}" if preset else os.path.normpath(entry).replace(os.sep, "/")
        if name in chain:
            circle = " → ".join([*chain[chain.index(name) :], name])
            self._say(chain, f"extends itself: {circle}", "remove one of these")
        elif name in self.seen:
            return
        elif len(self.seen) >= _MOST_DOCUMENTS:
            self._say(chain, f"more than {_MOST_DOCUMENTS} profiles extend each other", None)
        else:
            content = self._preset(entry, chain) if preset else self._file(entry, chain)
            if content is not None:
                self.follow(content, name, "preset", chain)

    def _preset(self, entry: str, chain: tuple[str, ...]) -> bytes | None:
        try:
            return read_preset(entry)
        except ProfileError as error:
            self._say(chain, error.message, error.problems[0].hint)
            return None

    def _file(self, entry: str, chain: tuple[str, ...]) -> bytes | None:
        if os.path.isabs(entry) or ".." in re.split(r"[/\\]", entry) or "\\" in entry or unsafe_characters(entry):
            hint = "write the path from the workspace root, with /"
            self._say(chain, f"{shown(entry)} is not a path inside the workspace", hint)
            return None
        path = self.root / entry
        # A link inside the root is followed; one that leads out of it is not.
        if not os.path.realpath(path).startswith(os.path.join(os.path.realpath(self.root), "")):
            self._say(chain, f"{shown(entry)} leads out of the workspace through a symlink", "copy the file instead")
            return None
        try:
            content = self.read(path)
        except MachineRefused as error:  # a directory, no permission
            self._say(chain, error.message, "name a file that can be read")
            return None
        if content is None:
            hint = "a path counts from the workspace root; a preset is named without .toml"
            self._say(chain, f"no such file: {shown(entry)}", hint)
        return content

    def _say(self, chain: tuple[str, ...], message: str, hint: str | None) -> None:
        self.problems.append(Problem(message, file=chain[-1], key="extends", hint=hint))


def lay(tree: dict[str, Any], over: dict[str, Any], note: Note, path: tuple[str, ...] = ()) -> None:
    """Put `over` on top of `tree`: tables merge, anything else replaces. `note` is told each leaf that was laid."""
    for key, value in over.items():
        here = (*path, key)
        if isinstance(value, dict):
            if not isinstance(tree.get(key), dict):
                tree[key] = {}
            if not value:
                note(here, value)
            lay(tree[key], value, note, here)
        else:
            tree[key] = value
            note(here, value)


def _as_shown(path: Path, root: Path) -> str:
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return str(path)


def _refusal(message: str, file: str, hint: str | None) -> ProfileError:
    return ProfileError("the profile cannot be read", problems=(Problem(message, file=file, hint=hint),))


def _syntax(error: ValueError, text: str, file: str) -> ProfileError:
    found = re.fullmatch(_POSITION, str(error))
    message = found.group(1) if found else "a number is too long"
    if found and found.group(2):
        file = f"{file}:{found.group(2)}:{found.group(3)}"
    else:
        lines = text.splitlines() or [""]
        file = f"{file}:{len(lines)}:{len(lines[-1]) + 1}" if found else file
    hint = next((advice for start, advice in _WHAT_TO_DO if message.startswith(start)), None)
    return _refusal(f"not TOML: {message[:1].lower()}{message[1:120]}", file, hint)


def _deeper_than(table: dict[str, Any], most: int) -> bool:
    """Whether values nest deeper than `most` levels; asked level by level, because recursion is what must not happen."""
    level: list[Any] = [table]
    for _ in range(most):
        level = [
            child
            for value in level
            for child in (value.values() if isinstance(value, dict) else value)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True
