"""Cargo's JSON messages (`--message-format=json-render-diagnostics`): which units there were, and which were fresh.

Format: https://doc.rust-lang.org/cargo/reference/external-tools.html#json-messages
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

__all__ = ["ArtifactMessage", "MessageStream", "Messages", "describe_target", "parse_messages", "parse_package_id"]

_HEAD = b'{"reason":"'
_LIBRARIES = frozenset(("lib", "rlib", "dylib", "cdylib", "staticlib", "proc-macro"))


class ArtifactMessage(NamedTuple):
    """One unit that Cargo finished, or found fresh."""

    package_id: str
    package: str
    version: str
    kind: str
    """First kind of the target, as Cargo names it: `lib`, `proc-macro`, `bin`, `custom-build`, …"""
    name: str
    """Name of the target."""
    target: str
    """Kind and name as people read them: `lib`, `bin "app"`, `build-script`."""
    mode: str
    """`build`, `check`, `test`, `doc` or `run-custom-build`."""
    features: tuple[str, ...]
    fresh: bool | None
    """None for a run of a build script, of which Cargo does not say it."""
    executable: str | None


class Messages(NamedTuple):
    """What came out of a piece of Cargo's standard output."""

    artifacts: tuple[ArtifactMessage, ...]
    text: bytes
    """All that is not a message of Cargo (the output of tests), to be shown as it is."""


class MessageStream:
    """Reads Cargo's standard output piece by piece."""

    def __init__(self) -> None:
        self.artifacts: list[ArtifactMessage] = []
        """All units so far, in Cargo's order."""
        self.success: bool | None = None
        """What Cargo said at the end of the build; None while it has not."""
        self._held = b""
        self._inside_text = False

    def feed(self, chunk: bytes) -> Messages:
        """Take the next bytes and return what they completed; text goes through at once, even in mid-line."""
        first = len(self.artifacts)
        shown: list[bytes] = []
        for line in (self._held + chunk).splitlines(keepends=True) if self.success is None else [chunk]:
            self._take(line, shown)
        return Messages(tuple(self.artifacts[first:]), b"".join(shown))

    def flush(self) -> Messages:
        """Return what a last line without an end still holds back."""
        held, self._held = self._held, b""
        message = _decode(held)
        if message is None:
            return Messages((), held)
        return Messages((), self._read(message))

    def _take(self, line: bytes, shown: list[bytes]) -> None:
        self._held = b""
        complete = line.endswith(b"\n")
        # After the end of the build, what looks like a message is the output of a test.
        if self.success is not None or self._inside_text or not line.startswith(_HEAD[: len(line)]):
            shown.append(line)
            self._inside_text = not complete
            return
        if not complete:
            self._held = line
            return
        message = _decode(line)
        shown.append(line if message is None else self._read(message))

    def _read(self, message: dict[str, Any]) -> bytes:
        """Keep what a message says and return what of it is to be shown."""
        reason = message["reason"]
        if reason in ("compiler-artifact", "build-script-executed"):
            artifact = _artifact(message)
            if artifact is not None:
                self.artifacts.append(artifact)
        elif reason == "build-finished":
            self.success = message.get("success") is True
        elif reason == "compiler-message":
            body = message.get("message")
            rendered = body.get("rendered") if isinstance(body, dict) else None
            return rendered.encode() if isinstance(rendered, str) else b""
        return b""


def parse_messages(content: bytes) -> Messages:
    """Return the units and the other text of a whole standard output."""
    stream = MessageStream()
    text = stream.feed(content).text + stream.flush().text
    return Messages(tuple(stream.artifacts), text)


def parse_package_id(text: str) -> tuple[str, str]:
    """Return name and version of a package id, in the form before Cargo 1.77 (`base 0.1.0 (path+…)`) or since."""
    if "#" not in text or " (" in text:
        name, _, rest = text.partition(" ")
        return name, rest.partition(" ")[0]
    url, _, fragment = text.rpartition("#")
    name, separator, version = fragment.rpartition("@")
    if separator:
        return name, version
    if not fragment[:1].isdigit():  # a fragment can be a name alone
        return fragment, ""
    name = url.partition("?")[0].rstrip("/").rpartition("/")[2]
    if "%" in name:
        from urllib.parse import unquote  # noqa: PLC0415 - 3 ms, and no name of a package needs it

        name = unquote(name)
    return name, fragment


def describe_target(kind: str, name: str) -> str:
    """Return kind and name of a target as people read them: `lib`, `bin "app"`, `build-script`."""
    if kind in _LIBRARIES:
        return "lib"
    return "build-script" if kind == "custom-build" else f'{kind} "{name}"'


def _decode(line: bytes) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and isinstance(message.get("reason"), str) else None


def _artifact(message: dict[str, Any]) -> ArtifactMessage | None:
    package_id = message.get("package_id")
    if not isinstance(package_id, str):
        return None
    package, version = parse_package_id(package_id)
    if message["reason"] == "build-script-executed":
        return ArtifactMessage(
            package_id, package, version, "custom-build", "build-script-build", "build-script", "run-custom-build", (), None, None
        )  # fmt: skip
    target = _table(message.get("target"))
    kinds = _texts(target.get("kind"))
    kind, name = kinds[0] if kinds else "lib", str(target.get("name", package))
    executable = message.get("executable")
    return ArtifactMessage(
        package_id=package_id,
        package=package,
        version=version,
        kind=kind,
        name=name,
        target=describe_target(kind, name),
        mode=_mode(kind, _table(message.get("profile")), _texts(message.get("filenames"))),
        features=tuple(sorted(_texts(message.get("features")))),
        fresh=message.get("fresh") is True,
        executable=executable if isinstance(executable, str) else None,
    )


def _mode(kind: str, profile: dict[str, Any], filenames: tuple[str, ...]) -> str:
    """Return the mode, which no message says: a check leaves nothing but metadata, documentation leaves pages."""
    if profile.get("test") is True:
        return "test"
    if kind == "custom-build" or not filenames:
        return "build"
    if all(name.endswith(".rmeta") for name in filenames):
        return "check"
    return "doc" if all(name.endswith((".html", ".json")) for name in filenames) else "build"


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
