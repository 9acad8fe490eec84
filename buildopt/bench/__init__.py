"""Measuring builds: scenarios, the ways to build that are compared, and the scratch copy in which all of it is done."""

from __future__ import annotations

__all__: list[str] = []
