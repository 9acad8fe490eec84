"""What each verb of `buildopt` does: it joins the rooms below and returns values; showing them is console's work."""

from __future__ import annotations

__all__: list[str] = []
