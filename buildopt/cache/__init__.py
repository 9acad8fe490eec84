"""The compiler cache: sccache, probed before it is used, set for one run through the environment, counted by differences."""

from buildopt.cache.counters import CacheDelta, Counters, difference
from buildopt.cache.failure import is_wrapper_failure
from buildopt.cache.programs import installed_version
from buildopt.cache.wrapper import Wrapper, prepare, snapshot, storage_alive

__all__ = [
    "CacheDelta",
    "Counters",
    "Wrapper",
    "difference",
    "installed_version",
    "is_wrapper_failure",
    "prepare",
    "snapshot",
    "storage_alive",
]
