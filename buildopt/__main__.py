"""`python -m buildopt`."""

from __future__ import annotations

from buildopt.cli import run

run()
