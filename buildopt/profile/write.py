"""Write the two committed products of the model: `python -m buildopt.profile.write` in a checkout."""

from __future__ import annotations

import json
from pathlib import Path

from buildopt.profile.json_schema import schema
from buildopt.profile.reference_page import reference

__all__ = ["COMMAND", "products"]

COMMAND = "python -m buildopt.profile.write"


def products() -> dict[Path, str]:
    """Return each committed file and what it must hold."""
    here = Path(__file__).parent
    return {
        here / "schema.json": json.dumps(schema(), indent=2, ensure_ascii=False) + "\n",
        here.parents[1] / "docs" / "profile.md": reference(),
    }


if __name__ == "__main__":
    for path, text in products().items():
        path.write_text(text, encoding="utf-8")
