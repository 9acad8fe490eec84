"""How keys and values are shown to people: quoted where needed, shortened, and without anything secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["did_you_mean", "dotted", "listed", "shown", "unsafe_characters"]

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SHOWN_CHARACTERS = 60
# Control characters, line and paragraph separators, bidirectional overrides, surrogates, byte order marks:
# none has a place in a name or a path, and each can make a terminal or a diff show something that is not there.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")
_SECRET = re.compile(r"(?<=://).+|\S+(?=@)", re.DOTALL)


def unsafe_characters(text: str) -> str | None:
    """Return the first character of `text` that must not stand in a profile, as `U+000A`; None when there is none."""
    found = _UNSAFE.search(text)
    return f"U+{ord(found.group()):04X}" if found else None


def dotted(path: Sequence[str | int]) -> str:
    """Return a key as it would stand in TOML: `stages."my stage".run`, with `[2]` for the third item of a list."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f"{'.' if text else ''}{part if _BARE.fullmatch(part) else _quoted(part)}"
    return text


def shown(value: object) -> str:
    """Return a TOML value for a message: at most some 60 characters, on one line.

    Whatever follows `://` or stands before an `@` is left out: it may be a password.
    """
    if isinstance(value, str):
        return _quoted(_SECRET.sub("…", value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() < 128 else "a very large number"
    if isinstance(value, dict):
        return "a table" if value else "an empty table"
    if isinstance(value, (list, tuple)):
        items = ", ".join(shown(item) if not isinstance(item, (list, tuple)) else "[…]" for item in value[:3])
        return f"[{items}{', …' if len(value) > 3 else ''}]"
    return str(value)[:_SHOWN_CHARACTERS]


def listed(choices: Iterable[object], last: str = "or") -> str:
    """Return `"a", "b" or "c"`."""
    texts = [shown(choice) for choice in choices]
    return f"{', '.join(texts[:-1])} {last} {texts[-1]}" if len(texts) > 1 else "".join(texts)


def did_you_mean(word: str, choices: Iterable[str]) -> str | None:
    """Return `did you mean "x"?` for the nearest of `choices`, or None when nothing is near."""
    import difflib  # noqa: PLC0415 - only while an error is told

    near = difflib.get_close_matches(word[:_SHOWN_CHARACTERS], list(choices), n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else None


def _quoted(text: str) -> str:
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[: _SHOWN_CHARACTERS - 1]}…"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
