"""Cargo's platform expressions: whether `cfg(all(unix, target_arch = "x86_64"))` holds for a target triple."""

from __future__ import annotations

import re

__all__ = ["matches"]

_TOKEN = re.compile(r'\s*(?:([A-Za-z_][\w.-]*)|"([^"]*)"|([(),=]))')
_OS = {"darwin": "macos"}


def matches(expression: str, triple: str) -> bool:
    """Whether a `cfg(…)` holds for `triple`. What the triple does not say (`debug_assertions`, a feature) does not hold."""
    tokens = [next(part for part in match.groups() if part is not None) for match in _TOKEN.finditer(expression)]
    try:
        return _holds(tokens, _facts(triple))
    except LookupError:
        return False


def _facts(triple: str) -> set[tuple[str, str]]:
    arch, _, rest = triple.partition("-")
    parts = rest.split("-")
    system = next((part for part in parts if part in _SYSTEMS), parts[-1])
    family = "windows" if system == "windows" else "unix" if system in _UNIX else ""
    arch = {"i686": "x86", "i586": "x86", "arm64": "aarch64"}.get(arch, arch)
    return {
        ("target_arch", arch),
        ("target_os", _OS.get(system, system)),
        ("target_vendor", parts[0]),
        ("target_env", re.sub(r"eabi.*", "", parts[-1]) if parts[-1] != system else ""),
        ("target_family", family),
        ("target_pointer_width", "64" if "64" in arch else "32"),
        (family, ""),
        ("true", ""),
    }


_UNIX = frozenset(
    {"linux", "darwin", "freebsd", "netbsd", "openbsd", "dragonfly", "illumos", "solaris", "android", "ios"}
)
_SYSTEMS = _UNIX | {"windows"}


def _holds(tokens: list[str], facts: set[tuple[str, str]]) -> bool:
    """Take one predicate off the front of `tokens` and judge it."""
    name = tokens.pop(0)
    if tokens and tokens[0] == "(":
        tokens.pop(0)
        inner = []
        while tokens[0] != ")":
            if tokens[0] == ",":
                tokens.pop(0)
            else:
                inner.append(_holds(tokens, facts))
        tokens.pop(0)
        return {"all": all, "any": any, "cfg": all}[name](inner) if name != "not" else not any(inner)
    if tokens and tokens[0] == "=":
        tokens.pop(0)
        return (name, tokens.pop(0)) in facts
    return (name, "") in facts
