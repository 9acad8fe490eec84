"""Profiles that are nearly right: documents and texts with a few things changed."""

from __future__ import annotations

import copy
import random
import tomllib
from typing import Any

from buildopt.profile import preset_names, read_preset

RICH = """
version = 1
extends = ["dev-fast"]
[requires]
cargo = ">=1.85"
python = "~=3.11"
[cargo]
jobs = -1
memory-per-job = "2GiB"
[cargo.linker]
prefer = ["mold", "default"]
[cargo.profile.dev]
debug = false
[cargo.profile.dev.package."*"]
opt-level = 1
[cargo.profile.dev.build-override]
opt-level = "s"
[cargo.profile.big]
inherits = "release"
lto = "thin"
panic = "abort"
codegen-units = 4
[cache]
wrapper = "sccache"
storage = "s3://bucket/prefix?region=eu"
size = "10GiB"
directory = "~/cache"
[incremental]
ci = true
[features.app]
gpu = ["dep:wgpu", "core/gpu", "ui?/gpu"]
[stages.quick-check]
run = ["check"]
features = "all"
timeout = "1h30m"
[stages.docs]
requires = ["quick-check"]
run = ["doc"]
features = ["app/gpu"]
cargo-profile = "big"
all-targets = true
budget = "90s"
[tests.slow]
packages = ["app", "lib-*"]
filter = "slow"
features = "none"
[budgets]
clean-build = "30s"
enforce = true
[affected]
base = "origin/main"
paths = { "docs/**" = [], "proto/**" = ["app"] }
[ide]
check = "clippy"
features = ["gpu"]
[record]
keep-runs = 10
[[override]]
when = { ci = true, os = "linux" }
set = { cache = { wrapper = "none" }, stages = { docs = { timeout = "5m" } } }
"""

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, 2, -1, 3, 256, 2**32, 2**70, 0.0, 1.0, 1.5, float("inf"), float("nan"), "", "none", "all", "s",
    "check", "2m", "0s", "9999h", "1h 2m", "5m\n", "10GiB", "0B", "2000TiB", ">=1.85", ">=1.85,", "==1.*", "dev", "line-tables-only",
    "\u0662m", "a" * 100, "../x", "/etc/passwd", "$(id)", "${{ x }}", "a\nb", "\0", "redis://u:p@h", [], ["check"], ["check", 1],
    [[]], [{}], {}, {"x": 1}, {"run": ["check"]}, {"debug": 0}, {"a": {"b": {"c": []}}}, [True], ["dev-fast"], "sccache",
)  # fmt: skip


def documents() -> list[dict[str, Any]]:
    """Return documents that are right: the presets, and one with every table."""
    return [tomllib.loads(RICH), *(tomllib.loads(read_preset(name).decode()) for name in preset_names())]


def spots(value: Any, found: list[tuple[Any, Any]] | None = None) -> list[tuple[Any, Any]]:
    """Return each (container, key) of a document."""
    found = [] if found is None else found
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        found.append((value, key))
        spots(item, found)
    return found


def mutate(document: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """Return the document with one to three things replaced, removed, renamed or added."""
    document = copy.deepcopy(document)
    for _ in range(chance.choice((1, 1, 2, 3))):
        places = spots(document)
        if not places:
            break
        container, key = chance.choice(places)
        what = chance.randrange(5)
        value = copy.deepcopy(chance.choice(VALUES))
        if what == 0:
            del container[key]
        elif what == 1 and isinstance(container, dict):
            container[
                chance.choice((key + "x", key[:-1], key.upper(), "inherits", "package", "lto", "version", "x"))
            ] = container.pop(key)
        elif what == 2 and isinstance(container[key], dict):
            container[key]["extra"] = "" if value is None else value
        elif value is None:
            del container[key]
        else:
            container[key] = value
    return document


def as_toml(value: Any) -> str:
    """Return a value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_toml(str(key))} = {as_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_toml(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08x}" for c in value) + '"'
    return str(value)


def document_text(document: dict[str, Any]) -> str:
    """Return a document as TOML."""
    return "".join(f"{as_toml(key)} = {as_toml(value)}\n" for key, value in document.items())


def damage(text: str, chance: random.Random) -> bytes:
    """Return the text with something cut out, put in, doubled or swapped."""
    what, at = chance.randrange(6), chance.randrange(len(text))
    lines = text.splitlines(keepends=True)
    line = chance.randrange(len(lines))
    if what == 0:
        return text[:at].encode()
    if what == 1:
        return (text[:at] + text[at + chance.randrange(1, 8) :]).encode()
    if what == 2:
        return (text[:at] + chance.choice("\"'[]{}=#.,\n\t\0\r\\é\u202e😀@") + text[at:]).encode()
    if what == 3:
        return "".join([*lines[:line], lines[line], *lines[line:]]).encode()
    if what == 4:
        return "".join([*lines[:line], *lines[line + 1 :]]).encode()
    return text.encode()[:at] + bytes([chance.randrange(256)]) + text.encode()[at:]
