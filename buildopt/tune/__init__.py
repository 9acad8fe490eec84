"""Tuning: which settings pay on this workspace and this machine, found by a screening and held by a confirmation."""

from __future__ import annotations

__all__: list[str] = []
