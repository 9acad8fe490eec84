"""buildopt: declare how a Cargo workspace is built; generate, run, record and prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from buildopt.api import load, run
    from buildopt.sessions import sessions

__all__ = ["__version__", "load", "run", "sessions"]

__version__ = "0.1.0"

_HOMES = {"load": "buildopt.api", "run": "buildopt.api", "sessions": "buildopt.sessions"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - `import buildopt` stays free of cost

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value  # else `buildopt.sessions` would be the module from here on
    return value


def __dir__() -> list[str]:
    return __all__
