"""`.gitignore`: the state folder, and the file that belongs to one machine."""

from __future__ import annotations

from collections.abc import Sequence

from buildopt.generate.toml import decode, encode

__all__ = ["with_lines"]


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
