"""`.gitignore`: the state folder, and the file that belongs to one machine."""

from __future__ import annotations

from collections.abc import Sequence

from buildopt.generate.toml import decode, encode

__all__ = ["line_for", "with_lines"]


def line_for(path: str) -> str:
    """Return the line that ignores this one path of the workspace root, whatever signs it holds."""
    escaped = "".join(f"\\{sign}" if sign in "*?[\\" else sign for sign in path.removeprefix("./"))
    return f"/{escaped[:-1]}\\ " if escaped.endswith(" ") else f"/{escaped}"


def with_lines(content: bytes | None, lines: Sequence[str]) -> bytes:
    """Return the content of `.gitignore` with those of `lines` added that it does not have.

    Raises ManifestError when the file is not UTF-8.
    """
    source = decode(content, ".gitignore")
    have = {line.strip() for line in source.text.splitlines()}
    missing = [line for line in lines if line not in have]
    if not missing:
        return content or b""
    between = source.newline if source.text and not source.text.endswith("\n") else ""
    return encode(source.text + between + "".join(line + source.newline for line in missing), source)
