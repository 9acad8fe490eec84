"""Where sccache keeps compiled units: from the words of the profile to the variables of sccache, and nothing secret on the way out.

The names are those of sccache 0.8 and later (its docs/Configuration.md): before, each storage named its address differently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from buildopt.host.files import digest

if TYPE_CHECKING:
    from urllib.parse import SplitResult

__all__ = ["Address", "Storage", "StorageError", "address", "default_directory", "plan_storage", "redact"]

_FORMS = "local, redis://host:port, s3://bucket/prefix?region=…, memcached://host:port, gha or webdav+https://host/path"
_CHOICES = (
    "SCCACHE_BUCKET", "SCCACHE_REDIS", "SCCACHE_REDIS_ENDPOINT", "SCCACHE_REDIS_CLUSTER_ENDPOINTS", "SCCACHE_MEMCACHED",
    "SCCACHE_MEMCACHED_ENDPOINT", "SCCACHE_GCS_BUCKET", "SCCACHE_GCS_CREDENTIALS_URL", "SCCACHE_GCS_OAUTH_URL",
    "SCCACHE_GCS_KEY_PATH", "SCCACHE_GHA_ENABLED", "SCCACHE_GHA_VERSION", "SCCACHE_AZURE_BLOB_CONTAINER",
    "SCCACHE_AZURE_CONNECTION_STRING", "SCCACHE_WEBDAV_ENDPOINT", "SCCACHE_OSS_BUCKET", "SCCACHE_COS_BUCKET",
    "SCCACHE_MULTILEVEL_CHAIN",
)  # fmt: skip
"""Variables by which sccache chooses a storage other than the local one."""
_READ_BY_SERVER = {
    "local": ("SCCACHE_LOCAL_",),
    "redis": ("SCCACHE_REDIS_",),
    "memcached": ("SCCACHE_MEMCACHED_",),
    "s3": ("SCCACHE_S3_", "SCCACHE_REGION", "SCCACHE_ENDPOINT", "AWS_"),
    "gha": ("SCCACHE_GHA_", "ACTIONS_"),
    "webdav": ("SCCACHE_WEBDAV_",),
}
"""Beginnings of the variables, credentials among them, that the server reads once, when it starts."""
_PORTS = {"redis": 6379, "rediss": 6379, "tcp": 11211, "memcached": 11211, "http": 80, "https": 443}
_SECRET_NAME = re.compile(r"PASSWORD|TOKEN|SECRET|CREDENTIAL|ACCESS_KEY|CONNECTION_STRING|_KEY_ID")
_USER_INFO = re.compile(r"(?<=://)[^\s\"'<>]*@")


class StorageError(ValueError):
    """The storage that the profile names cannot be used; the text says why and what to write."""


class Address(NamedTuple):
    """Where a storage on the network listens."""

    host: str
    port: int


class Storage(NamedTuple):
    """What sccache is told about its storage."""

    kind: str | None
    """A word that sccache's own name for the location contains; None while the choice is left to sccache."""
    directory: str | None
    env: Mapping[str, str | None]


def plan_storage(
    storage: str, *, size: int | None, directory: str | None, root: Path, environ: Mapping[str, str]
) -> Storage:
    """Return the changes to `environ` that make sccache use what the profile says.

    A plain `local` leaves the choice to sccache, so that what a person configured for it stays as it is. Any other
    storage gets a server of its own, on a port that follows from the storage: a server that runs already would go on
    with the storage that it was started with. Raises StorageError.
    """
    limit = {} if size is None else {"SCCACHE_CACHE_SIZE": str(size)}
    if storage == "local":
        folder = _directory(directory, root, environ)
        if folder is None or folder == default_directory(environ):
            return Storage(None, None, limit)
        kind, chosen = "local", {"SCCACHE_DIR": folder, **limit}
    else:
        kind, chosen = _remote(storage, environ)
        folder = None
    others: dict[str, str | None] = {name: None for name in _CHOICES if name in environ and name not in chosen}
    if kind == "gha":
        others.pop("SCCACHE_GHA_VERSION", None)
    # A secret that a CI job does not have is an empty variable there, and sccache would take that for a credential.
    empty = {name: None for name, value in environ.items() if not value and name.startswith(_READ_BY_SERVER[kind])}
    env = {**empty, **others, **chosen}
    if "SCCACHE_SERVER_PORT" not in environ and "SCCACHE_SERVER_UDS" not in environ:
        env["SCCACHE_SERVER_PORT"] = str(_port(kind, chosen, environ))
    return Storage(kind, folder, env)


def default_directory(environ: Mapping[str, str]) -> str:
    """Return the folder that sccache takes when nobody names one (Linux; elsewhere a folder that no profile names)."""
    if environ.get("SCCACHE_DIR"):
        return environ["SCCACHE_DIR"]
    return str(Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "/")) / ".cache") / "sccache")


def address(environ: Mapping[str, str | None]) -> Address | None:
    """Return where the storage chosen in `environ` listens; None for a local one, and behind a proxy."""
    names = ["SCCACHE_REDIS_ENDPOINT", "SCCACHE_REDIS", "SCCACHE_MEMCACHED_ENDPOINT", "SCCACHE_MEMCACHED"]
    if not any(environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY")):
        names += ["SCCACHE_WEBDAV_ENDPOINT", *(["SCCACHE_ENDPOINT"] if environ.get("SCCACHE_BUCKET") else [])]
    for name in names:
        text = environ.get(name)
        if text:
            return _address(text, _default_port(name, environ))
    return None


def redact(text: str, environ: Mapping[str, str | None] | None = None) -> str:
    """Return `text` without the user part of URLs and without the values of variables that are named like secrets.

    sccache prints a Redis address with its password in it.
    """
    text = _USER_INFO.sub("…@", text)
    for name, value in (environ or {}).items():
        if value and len(value) >= 4 and _SECRET_NAME.search(name):
            text = text.replace(value, "…")
    return text


def _directory(directory: str | None, root: Path, environ: Mapping[str, str]) -> str | None:
    if not directory:
        return None
    if not directory.isprintable():
        raise StorageError("cache.directory has a control character in it")
    if directory == "~" or directory.startswith("~/"):
        directory = environ.get("HOME", "~") + directory[1:]
    return str(root / directory).rstrip("/") or "/"


def _remote(storage: str, environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    if not storage.isascii() or not storage.isprintable() or " " in storage:
        raise StorageError(f"cache.storage has a character that no address has; expected {_FORMS}")
    if storage == "gha":
        if not any(environ.get(name) for name in ("ACTIONS_RESULTS_URL", "ACTIONS_CACHE_URL")):
            raise StorageError(
                "the cache of GitHub Actions is only there inside of its jobs (ACTIONS_RESULTS_URL is not set)"
            )
        return "gha", {"SCCACHE_GHA_ENABLED": "true"}
    from urllib.parse import urlsplit  # noqa: PLC0415 - 3 ms, needed only for a storage on the network

    try:
        url = urlsplit(storage)
        port = url.port
    except ValueError:
        raise StorageError(f"cache.storage is not an address; expected {_FORMS}") from None
    if "@" in storage:
        raise StorageError(
            "cache.storage has credentials in it, which a file under version control must not have; "
            "give them to sccache by its own variables, as SCCACHE_REDIS_USERNAME and SCCACHE_REDIS_PASSWORD"
        )
    if url.scheme not in _SCHEMES or not url.hostname or url.fragment or port == 0:
        raise StorageError(f"cache.storage {storage!r} is not one of the forms that it can take: {_FORMS}")
    if url.query and url.scheme != "s3":
        raise StorageError(f"cache.storage {storage!r}: only s3:// takes settings after a question mark")
    return _SCHEMES[url.scheme](url)


def _redis(url: SplitResult) -> tuple[str, dict[str, str]]:
    env = {"SCCACHE_REDIS_ENDPOINT": f"{url.scheme}://{url.netloc}"}
    number = url.path.strip("/")
    if number and not number.isdecimal():
        raise StorageError(f"cache.storage: after the address of Redis comes the number of a database, not {number!r}")
    return "redis", {**env, "SCCACHE_REDIS_DB": number} if number else env


def _memcached(url: SplitResult) -> tuple[str, dict[str, str]]:
    if url.path.strip("/"):
        raise StorageError("cache.storage: after the address of Memcached comes nothing")
    return "memcached", {"SCCACHE_MEMCACHED_ENDPOINT": f"tcp://{url.hostname}:{url.port or 11211}"}


def _webdav(url: SplitResult) -> tuple[str, dict[str, str]]:
    return "webdav", {"SCCACHE_WEBDAV_ENDPOINT": f"{url.scheme.partition('+')[2]}://{url.netloc}{url.path}"}


def _s3(url: SplitResult) -> tuple[str, dict[str, str]]:
    from urllib.parse import parse_qsl  # noqa: PLC0415 - as above

    settings = dict(parse_qsl(url.query, keep_blank_values=True))
    unknown = sorted(set(settings) - {"region", "endpoint"})
    if unknown:
        raise StorageError(f"cache.storage: s3:// takes region and endpoint, not {', '.join(unknown)}")
    env = {"SCCACHE_BUCKET": url.netloc}
    if url.path.strip("/"):
        env["SCCACHE_S3_KEY_PREFIX"] = url.path.strip("/")
    if settings.get("region"):
        env["SCCACHE_REGION"] = settings["region"]
    endpoint = settings.get("endpoint", "")
    if "@" in endpoint or not endpoint.isprintable():
        raise StorageError("cache.storage: the endpoint of s3:// is the address of a server, without credentials")
    if endpoint:
        scheme, _, rest = endpoint.rpartition("://")
        env |= {"SCCACHE_ENDPOINT": rest, "SCCACHE_S3_USE_SSL": "false" if scheme == "http" else "true"}
        env.setdefault("SCCACHE_REGION", "auto")
    return "s3", env


_SCHEMES = {
    "redis": _redis,
    "rediss": _redis,
    "memcached": _memcached,
    "s3": _s3,
    "webdav+http": _webdav,
    "webdav+https": _webdav,
}


def _port(kind: str, chosen: Mapping[str, str], environ: Mapping[str, str]) -> int:
    """Return a port between the registered ones and those that systems hand out (from 32768 on Linux).

    Not the size, for there may only be one server to a folder; but the user, for a server compiles as who started it.
    """
    parts = [kind, *(environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "HOME"))]
    parts += sorted(f"{name}={value}" for name, value in chosen.items() if name != "SCCACHE_CACHE_SIZE")
    parts += sorted(f"{name}={environ[name]}" for name in environ if name.startswith(_READ_BY_SERVER[kind]))
    return 20_000 + int(digest("\n".join(parts).encode(errors="surrogateescape")), 16) % 10_000


def _default_port(name: str, environ: Mapping[str, str | None]) -> int:
    if name == "SCCACHE_ENDPOINT":
        return 443 if (environ.get("SCCACHE_S3_USE_SSL") or "").lower() in ("true", "1", "on") else 80
    return 11211 if "MEMCACHED" in name else 6379


def _address(text: str, default_port: int) -> Address | None:
    from urllib.parse import urlsplit  # noqa: PLC0415 - as above

    try:
        url = urlsplit(text if "://" in text else f"//{text}")
        port = url.port or _PORTS.get(url.scheme, default_port)
        return Address(url.hostname, port) if url.hostname else None
    except ValueError:
        return None
