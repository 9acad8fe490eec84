"""A notification on the desktop of the person."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path

from buildopt.errors import BuildoptError
from buildopt.host import Command, Host

__all__ = ["notify"]

_TIMEOUT_SECONDS = 2.0
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
# The text is an argument of the script, never a part of it.
_SCRIPT = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)


def notify(host: Host, title: str, text: str) -> str | None:
    """Show `title` and `text` on the desktop and return None, or why that could not be done, in one line.

    Takes at most two seconds and never raises. On Linux notify-send does it, on macOS osascript.
    """
    title, text = _plain(title, 100), _plain(text, 300)
    if host.system == "linux":
        program = "notify-send"
        # The body is markup for most desktops.
        arguments: tuple[str, ...] = ("--app-name=buildopt", "--", title, html.escape(text, quote=False))
    elif host.system == "macos":
        program = "osascript"
        arguments = (*(word for line in _SCRIPT for word in ("-e", line)), "--", title, text)
    else:
        return f"notifications are not supported on {host.system}"
    path = host.which(program)
    if path is None:
        more = " (package libnotify-bin or libnotify)" if program == "notify-send" else ""
        return f"no notification: {program} is not found{more}"
    try:
        ended = host.run(Command((str(path), *arguments), Path(os.sep), timeout_seconds=_TIMEOUT_SECONDS))
    except BuildoptError as error:
        return f"no notification: {error.message}"
    if ended.timed_out:
        return f"no notification: {program} did not answer within {_TIMEOUT_SECONDS:.0f}s"
    if ended.returncode == 0:
        return None
    said = _plain((ended.stderr or ended.stdout).decode(errors="replace"), 200)
    return f"no notification: {program} failed: {said or f'exit code {ended.returncode}'}"


def _plain(text: str, longest: int) -> str:
    text = _CONTROL.sub(" ", text).strip()
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
