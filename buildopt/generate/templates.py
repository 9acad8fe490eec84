"""The templates that are shipped beside the package, and how they are filled in."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2

__all__ = ["engine", "template"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def template(name: str) -> str:
    """Return the text of a shipped template; `name` is its path below `templates/`."""
    shipped = os.path.join(_PACKAGE, "_data", "templates")
    folder = shipped if os.path.isdir(shipped) else os.path.join(os.path.dirname(_PACKAGE), "templates")
    return Path(folder, name).read_text(encoding="utf-8")


def engine(finalize: Callable[[object], str], filters: Mapping[str, Callable[[Any], str]]) -> jinja2.Environment:
    """Return what fills templates in, with signs that leave `${{ }}` alone; every value goes through `finalize`."""
    import jinja2  # noqa: PLC0415 - heavy, and only needed for files that few workspaces declare

    found = jinja2.Environment(  # noqa: S701 - no HTML: what may land in a file is up to `finalize`
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=finalize,
    )
    found.filters.update(filters)
    return found
