"""Views for people and scripts: the report on past runs, the doctor, the closing line of a run."""

from __future__ import annotations

__all__ = ["closing", "doctor", "runs"]
