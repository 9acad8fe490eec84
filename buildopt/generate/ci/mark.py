"""The head of a generated CI file: whose it is, and a digest that says whether somebody has changed it since.

Pins are left out of the digest: a bot that moves one does not make the file any less ours.
"""

from __future__ import annotations

import re

from buildopt.generate.cargo_config import MARK
from buildopt.generate.ci.pins import without_pins
from buildopt.host.files import digest

__all__ = ["is_ours", "is_unchanged", "marked"]

_DIGEST = re.compile(r"^# content: ([0-9a-f]{32})\n", re.MULTILINE)


def marked(body: str) -> str:
    """Return the whole file for the YAML in `body`."""
    return (
        f"{MARK} from buildopt.toml; `buildopt sync` writes it again, so edit buildopt.toml instead.\n"
        f"# content: {_digest(body)}\n"
        f"{body}"
    )


def is_ours(text: str) -> bool:
    """Whether buildopt wrote the file, edited since or not."""
    return text.startswith(MARK)


def is_unchanged(text: str) -> bool:
    """Whether the file is as buildopt wrote it, but for pins that moved and for line endings."""
    text = text.replace("\r\n", "\n")
    found = _DIGEST.search(text)
    return is_ours(text) and found is not None and found[1] == _digest(text[found.end() :])


def _digest(body: str) -> str:
    return digest(without_pins(body).encode())
