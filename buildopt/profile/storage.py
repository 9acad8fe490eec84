"""Where a compiler cache may be kept: the forms of `cache.storage`, none of which may carry a credential."""

from __future__ import annotations

import re

from buildopt.profile.wording import did_you_mean

__all__ = ["STORAGE_SCHEMES", "storage_problem"]

STORAGE_SCHEMES = ("redis", "rediss", "s3", "memcached", "webdav+https", "webdav+http")
_WORDS = ("local", "gha")

_URL = r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?"
_AUTHORITY = r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?"
_REST = r"[A-Za-z0-9._~/%=&,:+-]*"
_CREDENTIAL = r"(?i)key|secret|token|pass|pwd|user|credential|auth|signature"


def storage_problem(storage: str) -> tuple[str, str] | None:
    """Return what is wrong with a storage and what to do, or None; the value itself is never repeated.

    `redis://host:port`, `s3://bucket/prefix?region=…`, `memcached://host:port`, `webdav+https://host/path`, `local`, `gha`.
    """
    if storage in _WORDS:
        return None
    forms = f"{', '.join(_WORDS)}, or a URL that starts with {', '.join(f'{scheme}://' for scheme in STORAGE_SCHEMES)}"
    if "@" in storage:
        return "a storage must not carry a user or password", "sccache takes them from the environment"
    found = re.fullmatch(_URL, storage)
    if found is None:
        near = did_you_mean(storage, _WORDS) if storage.isalpha() and len(storage) < 12 else None
        return "not a storage", near or f"expected {forms}"
    scheme, authority, rest, query = found.groups()
    if scheme not in STORAGE_SCHEMES:
        return "the kind of storage is not known", did_you_mean(scheme, STORAGE_SCHEMES) or f"expected {forms}"
    if any(re.search(_CREDENTIAL, pair.partition("=")[0]) for pair in (query or "").split("&")):
        return "a storage must not carry a key or token", "sccache takes them from the environment"
    place = re.fullmatch(_AUTHORITY, authority)
    if place is None or (place.group(2) and not 0 < int(place.group(2)) < 65536):
        return "host or port of the storage cannot be read", f"write it as {scheme}://host:port"
    if not re.fullmatch(_REST, rest) or not re.fullmatch(_REST, query or "") or ".." in rest.split("/"):
        return "the storage holds characters that a URL cannot", "encode them with %"
    return None
