"""Stages and steps: which ones, in which order, what they run; the runner, and the events that it tells."""

from __future__ import annotations

__all__ = ["events", "graph", "plan", "recording", "runner"]
