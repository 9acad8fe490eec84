"""Freshness: a restored build directory made good for a fresh checkout, by content and never by commit dates."""

from buildopt.cache.freshness.place import Place
from buildopt.cache.freshness.restore import Restored, restore
from buildopt.cache.freshness.save import Saved, save

__all__ = ["Place", "Restored", "Saved", "restore", "save"]
