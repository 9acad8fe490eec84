"""Whether something listens at an address on the network."""

from __future__ import annotations

import threading
from contextlib import suppress

from buildopt.cache.storage import Address

__all__ = ["reachable"]


def reachable(address: Address, seconds: float) -> bool:
    """Return whether a connection to `address` can be made within `seconds`; the look-up of the name included."""
    import socket  # noqa: PLC0415 - 2 ms, needed only for a storage on the network

    connected = threading.Event()

    def connect() -> None:
        with suppress(OSError, UnicodeError), socket.create_connection(address, timeout=seconds):
            connected.set()

    # A thread, because the look-up of a name knows no timeout.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return connected.is_set()
