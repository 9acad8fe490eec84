from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildopt.cache.storage import Address, StorageError, address, plan_storage, redact

ROOT = Path("/project")
HOME = {"HOME": "/home/ann"}


def planned(storage: str, environ: dict[str, str] | None = None, **settings: object) -> dict[str, str | None]:
    arguments = {"size": None, "directory": None, **settings}
    return dict(plan_storage(storage, root=ROOT, environ={**HOME, **(environ or {})}, **arguments).env)  # type: ignore[arg-type]


def without_port(env: dict[str, str | None]) -> dict[str, str | None]:
    return {name: value for name, value in env.items() if name != "SCCACHE_SERVER_PORT"}


def test_a_plain_local_storage_is_what_the_person_configured() -> None:
    assert planned("local", {"SCCACHE_REDIS_ENDPOINT": "redis://theirs"}) == {}


def test_a_size_alone_stays_with_the_server_of_that_folder() -> None:
    assert planned("local", size=1 << 30) == {"SCCACHE_CACHE_SIZE": "1073741824"}


@pytest.mark.parametrize(
    ("directory", "expected"),
    [("~/rust-cache", "/home/ann/rust-cache"), ("cache", "/project/cache"), ("/var/c/", "/var/c"), ("~", "/home/ann")],
)
def test_a_folder_gets_a_server_of_its_own(directory: str, expected: str) -> None:
    env = planned("local", directory=directory)

    assert env["SCCACHE_DIR"] == expected
    assert 20_000 <= int(env["SCCACHE_SERVER_PORT"] or 0) < 30_000


@pytest.mark.parametrize("environ", [{}, {"SCCACHE_DIR": "/mine"}, {"XDG_CACHE_HOME": "/x"}])
def test_the_folder_that_sccache_takes_anyway_gets_no_second_server(environ: dict[str, str]) -> None:
    usual = {"SCCACHE_DIR": "/mine", "XDG_CACHE_HOME": "/x/sccache"}
    directory = next((usual[name] for name in environ), "~/.cache/sccache")

    assert planned("local", environ, directory=directory) == {}


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        ("redis://cache:6380", {"SCCACHE_REDIS_ENDPOINT": "redis://cache:6380"}),
        ("rediss://cache/3", {"SCCACHE_REDIS_ENDPOINT": "rediss://cache", "SCCACHE_REDIS_DB": "3"}),
        ("memcached://cache", {"SCCACHE_MEMCACHED_ENDPOINT": "tcp://cache:11211"}),
        (
            "s3://bucket/team/x?region=eu-west-1",
            {"SCCACHE_BUCKET": "bucket", "SCCACHE_S3_KEY_PREFIX": "team/x", "SCCACHE_REGION": "eu-west-1"},
        ),
        (
            "s3://bucket?endpoint=http://minio:9000",
            {
                "SCCACHE_BUCKET": "bucket",
                "SCCACHE_ENDPOINT": "minio:9000",
                "SCCACHE_S3_USE_SSL": "false",
                "SCCACHE_REGION": "auto",
            },
        ),
        ("webdav+https://dav.example/rust", {"SCCACHE_WEBDAV_ENDPOINT": "https://dav.example/rust"}),
        ("redis://[::1]:6379", {"SCCACHE_REDIS_ENDPOINT": "redis://[::1]:6379"}),
    ],
)
def test_storages_on_the_network(storage: str, expected: dict[str, str]) -> None:
    env = planned(storage)

    assert without_port(env) == expected
    assert "SCCACHE_SERVER_PORT" in env


def test_github_actions_only_inside_of_a_job() -> None:
    with pytest.raises(StorageError, match="inside of its jobs"):
        planned("gha")
    env = planned("gha", {"ACTIONS_RESULTS_URL": "https://x", "SCCACHE_GHA_VERSION": "7"})
    assert without_port(env) == {"SCCACHE_GHA_ENABLED": "true"}


def test_another_storage_in_the_environment_does_not_win_over_the_profile() -> None:
    environ = {"SCCACHE_BUCKET": "theirs", "SCCACHE_REDIS": "redis://old", "SCCACHE_GCS_KEY_PATH": "/k"}

    env = planned("redis://cache", environ)

    assert env["SCCACHE_BUCKET"] is None
    assert env["SCCACHE_REDIS"] is None
    assert env["SCCACHE_GCS_KEY_PATH"] is None
    assert env["SCCACHE_REDIS_ENDPOINT"] == "redis://cache"


def test_a_secret_that_a_job_does_not_have_is_no_credential() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_REGION": "eu-1", "SCCACHE_REDIS_PASSWORD": ""}
    env = planned("s3://bucket", environ)
    assert {name for name, value in env.items() if value is None} == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert planned("redis://host", environ)["SCCACHE_REDIS_PASSWORD"] is None


def test_the_server_belongs_to_the_storage_its_credentials_and_its_user() -> None:
    ports = {
        planned("redis://a")["SCCACHE_SERVER_PORT"],
        planned("redis://b")["SCCACHE_SERVER_PORT"],
        planned("redis://a", {"SCCACHE_REDIS_PASSWORD": "other"})["SCCACHE_SERVER_PORT"],
        planned("redis://a", {"HOME": "/home/bob"})["SCCACHE_SERVER_PORT"],
        planned("local", directory="/a")["SCCACHE_SERVER_PORT"],
    }

    assert len(ports) == 5
    assert planned("redis://a")["SCCACHE_SERVER_PORT"] in ports
    assert planned("local", directory="/a", size=5)["SCCACHE_SERVER_PORT"] in ports  # one server to a folder


@pytest.mark.parametrize("name", ["SCCACHE_SERVER_PORT", "SCCACHE_SERVER_UDS"])
def test_a_place_of_the_server_that_the_person_chose_is_kept(name: str) -> None:
    assert "SCCACHE_SERVER_PORT" not in planned("redis://a", {name: "4300"})


@pytest.mark.parametrize(
    "storage",
    [
        "", "Local", "/etc", "redis:", "redis://", "redis://:1", "redis://a:port", "redis://a:99999", "redis://a:0", "redis://a\n",
        "redis://a b", "redis://a/../x", "redis://a?password=x", "redis://a#insecure", "file:///etc/passwd", "http://a",
        "s3://", "s3://b?key=AKIA", "s3://b?endpoint=http://u:p@h", "s3://b?endpoint=h%0a", "memcached://a/b", "webdav+ftp://a",
        "redis://$(id)\0", "redis://ä", "gcs://b", "redis://[::1", "javascript:alert(1)", "--help",
    ],
)  # fmt: skip
def test_what_is_no_storage_is_refused(storage: str) -> None:
    with pytest.raises(StorageError):
        planned(storage)


@pytest.mark.parametrize(
    "storage", ["redis://:hush@a", "redis://u:hush@a:1/0", "webdav+https://u:hush@a/x", "s3://hush@b"]
)
def test_credentials_in_the_profile_are_refused_and_not_repeated(storage: str) -> None:
    with pytest.raises(StorageError) as refused:
        planned(storage)
    assert "hush" not in str(refused.value)


@given(st.text() | st.text(alphabet="abc:/?@#[]%=&.\n\0 1", max_size=30).map(lambda rest: f"redis://{rest}") | st.from_regex(
    r"(redis|s3|memcached|webdav\+https)://[ -~]{0,20}", fullmatch=True
))  # fmt: skip
def test_any_text_is_planned_or_refused(storage: str) -> None:
    try:
        env = planned(storage)
    except StorageError:
        return
    for name, value in env.items():
        assert name.startswith("SCCACHE_")
        assert value is None or (value.isprintable() and "@" not in value)


@given(st.text())
def test_any_folder_is_planned_or_refused(directory: str) -> None:
    try:
        env = planned("local", directory=directory)
    except StorageError:
        return
    assert all(value is None or value.isprintable() for value in env.values())


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"SCCACHE_REDIS_ENDPOINT": "redis://:pw@h:1"}, Address("h", 1)),
        ({"SCCACHE_REDIS": "rediss://h"}, Address("h", 6379)),
        ({"SCCACHE_REDIS_ENDPOINT": "127.0.0.1:7"}, Address("127.0.0.1", 7)),
        ({"SCCACHE_REDIS_ENDPOINT": "unix:///run/redis"}, None),
        ({"SCCACHE_REDIS_ENDPOINT": "redis://h:port"}, None),
        ({"SCCACHE_MEMCACHED_ENDPOINT": "tcp://h:2"}, Address("h", 2)),
        ({"SCCACHE_WEBDAV_ENDPOINT": "https://h/x"}, Address("h", 443)),
        ({"SCCACHE_WEBDAV_ENDPOINT": "https://h/x", "HTTPS_PROXY": "http://p"}, None),
        ({"SCCACHE_BUCKET": "b", "SCCACHE_ENDPOINT": "minio:9000"}, Address("minio", 9000)),
        ({"SCCACHE_ENDPOINT": "minio:9000"}, None),
        ({"SCCACHE_BUCKET": "b"}, None),
    ],
)
def test_where_a_storage_listens(environ: dict[str, str], expected: Address | None) -> None:
    assert address(environ) == expected


def test_redact_takes_out_what_looks_like_a_secret() -> None:
    environ = {"SCCACHE_REDIS_PASSWORD": "p4ssw0rd", "AWS_SECRET_ACCESS_KEY": "kkkk1", "HOME": "/home", "X_TOKEN": "t"}

    text = redact("redis://u:p@ss@h p4ssw0rd kkkk1 /home t", environ)

    assert text == "redis://…@h … … /home t"
