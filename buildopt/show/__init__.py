"""Verbs as people and scripts see them: text or one JSON document, and an exit code."""

from __future__ import annotations

__all__: list[str] = []
