"""Values as YAML scalars: nothing of a profile reaches a CI file but through here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from buildopt.errors import Bug

__all__ = ["Expression", "equals_any", "expression", "scalar"]

_HARMLESS = r"[A-Za-z_/][A-Za-z0-9_./=-]*(?: [A-Za-z0-9_./=-]+)*"
_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "y", "n", "null"))
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}"
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


class Expression:
    """Text that stands in the file as it is: written in this package, with no more of a profile in it than names."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def expression(form: str, *names: str) -> Expression:
    """Return the constant `form` with each `%s` replaced by a name; Bug for a name that could be more than one."""
    for name in names:
        if re.fullmatch(_NAME, name, re.ASCII) is None:
            raise Bug(f"{name!r} is no name that can stand in an expression of a CI file")
    return Expression(form % names if names else form)


def equals_any(context: str, names: Iterable[str]) -> str:
    """Return the part of a condition that holds when `context` is one of `names`; `false` without names."""
    return " || ".join(expression(f"{context} == '%s'", name).text for name in names) or "false"


def scalar(value: object) -> str:
    """Return a value as YAML on one line; Bug for a text that the host would read as more than a text.

    `${{ … }}` is an expression for GitHub in every value, and `$NAME` a variable for GitLab in most.
    """
    if isinstance(value, Expression):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str) or "$" in value or any(sign in value for sign in "\n\r\0"):
        raise Bug(f"a value that cannot be a YAML scalar would land in a CI file: {value!r}")
    if re.fullmatch(_HARMLESS, value, re.ASCII) and value.lower() not in _WORDS:
        return value
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", json.dumps(value, ensure_ascii=False))
