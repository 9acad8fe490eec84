"""Watching: what is edited, what that affects, which stages run, and the end of what is stale."""

from __future__ import annotations

__all__ = ["engine", "events", "watcher"]
