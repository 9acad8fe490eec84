"""What `prepare` decides, with scripted programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from buildopt.cache import Wrapper, installed_version, prepare, snapshot
from buildopt.host import Command, Finished
from buildopt.profile.model import Cache
from buildopt.testing import ScriptedHost, finished

SCCACHE = Cache(wrapper="sccache")
NO_PYTHON = Path("/nowhere/bin/python")
TIMED_OUT = finished()._replace(timed_out=True, returncode=-9)


class Sccache:
    """A scripted sccache: a server that counts what it compiles."""

    def __init__(
        self,
        version: str = "sccache 0.16.0",
        location: str = 'Local disk: "/c"',
        answers: Mapping[str, Finished] | None = None,
    ) -> None:
        self.version = version
        self.location = location
        self.answers = answers or {}
        self.compiled = 0

    def __call__(self, command: Command) -> Finished:
        word = command.argv[1].removeprefix("--").replace("-", "_")
        if word in self.answers:
            return self.answers[word]
        if word == "version":
            return finished(self.version)
        if word == "show_stats":
            stats = {"compile_requests": self.compiled, "cache_writes": self.compiled}
            return finished(json.dumps({"stats": stats, "cache_location": self.location, "max_cache_size": 10 << 30}))
        self.compiled += word == "rustc"
        return finished()


def scripted(
    program: Callable[[Command], Finished] | None, tmp_path: Path, environ: Mapping[str, str] | None = None
) -> ScriptedHost:
    programs = {} if program is None else {"sccache": program}
    return ScriptedHost(programs, environ={"HOME": str(tmp_path), **(environ or {})})


def prepared(host: ScriptedHost, tmp_path: Path, settings: Cache | None = SCCACHE, **more: object) -> Wrapper:
    arguments = {"ci": False, "python": NO_PYTHON, **more}
    return prepare(host, settings, tmp_path, tmp_path / ".buildopt", **arguments)  # type: ignore[arg-type]


def words(host: ScriptedHost) -> list[str]:
    return [command.argv[1] for command in host.commands]


@pytest.mark.parametrize("settings", [None, Cache()])
def test_no_cache_asked_for_is_silence(tmp_path: Path, settings: Cache | None) -> None:
    host = scripted(None, tmp_path)

    wrapper = prepared(host, tmp_path, settings)

    assert (wrapper.active, wrapper.env, wrapper.why) == (False, {}, "")
    assert host.commands == []


def test_a_cache_that_works(tmp_path: Path) -> None:
    host = scripted(Sccache(), tmp_path)

    wrapper = prepared(host, tmp_path)

    assert wrapper.active
    assert wrapper.env == {"RUSTC_WRAPPER": "/scripted/sccache"}
    assert wrapper.why == ""
    assert wrapper.version == "0.16.0"
    assert wrapper.counters is not None
    assert wrapper.counters.requests == 1
    assert words(host) == ["--version", "--show-stats", "--dist-status", "--show-stats", "--show-stats", "rustc", "--show-stats"]  # fmt: skip
    assert [name.name for name in (tmp_path / ".buildopt" / "cache").iterdir()] == ["sccache.json"]


def test_the_second_time_costs_one_call(tmp_path: Path) -> None:
    program = Sccache()
    prepared(scripted(program, tmp_path), tmp_path)
    host = scripted(program, tmp_path)

    wrapper = prepared(host, tmp_path)

    assert wrapper.active
    assert words(host) == ["--show-stats"]


@pytest.mark.parametrize(
    "environ", [{"SCCACHE_DIR": "/other"}, {"RUSTUP_TOOLCHAIN": "nightly"}, {"SCCACHE_CONF": "/c"}]
)
def test_another_surrounding_is_tried_anew(tmp_path: Path, environ: dict[str, str]) -> None:
    program = Sccache()
    prepared(scripted(program, tmp_path), tmp_path)
    host = scripted(program, tmp_path, environ)

    prepared(host, tmp_path)

    assert "rustc" in words(host)


def test_a_server_that_ended_is_started_and_not_tried_again(tmp_path: Path) -> None:
    program = Sccache()
    prepared(scripted(program, tmp_path), tmp_path)
    program.compiled = 0
    host = scripted(program, tmp_path)

    prepared(host, tmp_path)

    assert words(host) == ["--show-stats", "--dist-status", "--show-stats"]


def test_missing(tmp_path: Path) -> None:
    wrapper = prepared(scripted(None, tmp_path), tmp_path)

    assert not wrapper.active
    assert wrapper.env == {}
    assert "not found" in wrapper.why
    assert "pip install" in wrapper.why
    assert "the build goes on without the cache" in wrapper.why


@pytest.mark.parametrize("version", ["sccache 0.4.0-pre.6", "sccache 0.7.7", "sccache 0.2.15"])
def test_too_old(tmp_path: Path, version: str) -> None:
    wrapper = prepared(scripted(Sccache(version), tmp_path), tmp_path)

    assert not wrapper.active
    assert version.removeprefix("sccache ") in wrapper.why
    assert "0.8.0" in wrapper.why


@pytest.mark.parametrize("version", ["sccache 0.8.0", "sccache 0.17.1-dev", "sccache 1.0.0", "sccache 0.10.0"])
def test_new_enough(tmp_path: Path, version: str) -> None:
    assert prepared(scripted(Sccache(version), tmp_path), tmp_path).active


BROKEN = [
    ({"version": finished("ccache 4.8")}, "does not answer as sccache does"),
    ({"version": finished("sccache 0.16.0", returncode=1)}, "does not answer as sccache does"),
    ({"version": TIMED_OUT}, "does not answer as sccache does"),
    ({"show_stats": TIMED_OUT}, "port 4226 is taken by something else"),
    ({"show_stats": finished(returncode=2, stderr="sccache: error: no. Mismatch of client/server versions?")}, "--stop-server ends a server"),
    ({"show_stats": finished("no JSON")}, "cannot be asked: no JSON"),
    ({"dist_status": TIMED_OUT}, "did not answer"),
    ({"dist_status": finished(returncode=2, stderr="sccache: error: Server startup failed: no\n  0: <unknown>\n")}, "none starts: Server startup failed: no;"),
    ({"rustc": TIMED_OUT}, "a trial compile took more than"),
    ({"rustc": finished(returncode=2, stderr="sccache: error: no space left")}, "a trial compile failed"),
]  # fmt: skip


@pytest.mark.parametrize(("answers", "expected"), BROKEN)
def test_whatever_is_wrong_is_one_line(tmp_path: Path, answers: dict[str, Finished], expected: str) -> None:
    host = scripted(Sccache(answers=answers), tmp_path)

    wrapper = prepared(host, tmp_path)

    assert not wrapper.active
    assert wrapper.env == {}
    assert expected in wrapper.why
    assert "\n" not in wrapper.why
    assert snapshot(host, wrapper) is None


@pytest.mark.parametrize(("answers", "expected"), BROKEN)
def test_a_failure_is_not_kept(tmp_path: Path, answers: dict[str, Finished], expected: str) -> None:
    prepared(scripted(Sccache(answers=answers), tmp_path), tmp_path)

    assert prepared(scripted(Sccache(), tmp_path), tmp_path).active


def test_a_storage_that_refuses_the_trial(tmp_path: Path) -> None:
    program = Sccache()

    def refusing(command: Command) -> Finished:
        answer = program(command)
        if command.argv[1] == "--show-stats":
            stats = {"compile_requests": program.compiled, "cache_write_errors": program.compiled}
            return finished(json.dumps({"stats": stats, "cache_location": "Local disk: /c"}))
        return answer

    wrapper = prepared(scripted(refusing, tmp_path), tmp_path)

    assert not wrapper.active
    assert "cannot write to its storage (Local disk: /c)" in wrapper.why


def test_every_call_has_a_timeout(tmp_path: Path) -> None:
    host = scripted(Sccache(), tmp_path)

    prepared(host, tmp_path)

    assert all(command.timeout_seconds for command in host.commands)


@pytest.mark.parametrize("name", ["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"])
def test_a_wrapper_of_the_user_wins(tmp_path: Path, name: str) -> None:
    host = scripted(Sccache(), tmp_path, {name: "/opt/kache"})

    wrapper = prepared(host, tmp_path)

    assert (wrapper.active, wrapper.env) == (False, {})
    assert name in wrapper.why
    assert "/opt/kache" in wrapper.why
    assert host.commands == []


def test_a_wrapper_of_the_cargo_configuration_wins(tmp_path: Path) -> None:
    wrapper = prepared(scripted(Sccache(), tmp_path), tmp_path, configured="kache")

    assert (wrapper.active, wrapper.env) == (False, {})
    assert "kache" in wrapper.why


def test_no_wrapper_is_a_choice_of_the_user_too(tmp_path: Path) -> None:
    wrapper = prepared(scripted(Sccache(), tmp_path, {"RUSTC_WRAPPER": ""}), tmp_path, configured="sccache")

    assert (wrapper.active, wrapper.env) == (False, {})
    assert "no wrapper" in wrapper.why


def test_sccache_of_the_user_keeps_its_own_storage(tmp_path: Path) -> None:
    host = scripted(Sccache(), tmp_path, {"RUSTC_WRAPPER": "sccache"})

    wrapper = prepared(host, tmp_path, Cache(wrapper="sccache", storage="redis://127.0.0.1:1"))

    assert wrapper.active
    assert wrapper.env == {}
    assert "win over the profile" in wrapper.why


def test_sccache_of_the_user_without_a_conflict_is_silence(tmp_path: Path) -> None:
    wrapper = prepared(scripted(Sccache(), tmp_path, {"RUSTC_WRAPPER": "sccache"}), tmp_path)

    assert (wrapper.active, wrapper.env, wrapper.why) == (True, {}, "")


def test_sccache_of_the_user_that_is_broken_is_kept_away(tmp_path: Path) -> None:
    host = scripted(Sccache(answers={"dist_status": finished(returncode=2)}), tmp_path)

    wrapper = prepared(host, tmp_path, configured="sccache")

    assert not wrapper.active
    assert wrapper.env == {"RUSTC_WRAPPER": ""}


def test_sccache_of_the_user_that_is_missing_is_kept_away(tmp_path: Path) -> None:
    wrapper = prepared(scripted(None, tmp_path), tmp_path, configured="/gone/sccache")

    assert wrapper.env == {"RUSTC_WRAPPER": ""}
    assert "/gone/sccache" in wrapper.why


def test_the_incremental_variable_is_removed_beside_a_wrapper(tmp_path: Path) -> None:
    wrapper = prepared(scripted(Sccache(), tmp_path, {"CARGO_INCREMENTAL": "1"}), tmp_path)

    assert wrapper.env["CARGO_INCREMENTAL"] is None
    assert "CARGO_INCREMENTAL" in wrapper.why


@pytest.mark.parametrize("value", ["0", None])
def test_incremental_is_otherwise_left_alone(tmp_path: Path, value: str | None) -> None:
    environ = {} if value is None else {"CARGO_INCREMENTAL": value}
    wrapper = prepared(scripted(Sccache(), tmp_path, environ), tmp_path)

    assert "CARGO_INCREMENTAL" not in wrapper.env


def test_in_ci_the_server_does_not_end_in_a_pause(tmp_path: Path) -> None:
    assert prepared(scripted(Sccache(), tmp_path), tmp_path, ci=True).env["SCCACHE_IDLE_TIMEOUT"] == "0"
    theirs = scripted(Sccache(), tmp_path, {"SCCACHE_IDLE_TIMEOUT": "60"})
    assert "SCCACHE_IDLE_TIMEOUT" not in prepared(theirs, tmp_path, ci=True).env
    assert "SCCACHE_IDLE_TIMEOUT" not in prepared(scripted(Sccache(), tmp_path), tmp_path).env


def test_a_server_with_another_storage_is_not_taken(tmp_path: Path) -> None:
    elsewhere = Cache(wrapper="sccache", directory=str(tmp_path / "cache"))

    wrapper = prepared(scripted(Sccache(), tmp_path), tmp_path, elsewhere)

    assert not wrapper.active
    assert 'Local disk: "/c"' in wrapper.why


def test_a_server_with_that_storage_is_taken(tmp_path: Path) -> None:
    location = f'Local disk: "{tmp_path}/cache"'

    wrapper = prepared(
        scripted(Sccache(location=location), tmp_path), tmp_path, Cache(wrapper="sccache", directory="cache")
    )

    assert wrapper.active
    assert wrapper.env["SCCACHE_DIR"] == str(tmp_path / "cache")


def test_another_limit_of_a_running_server_is_said(tmp_path: Path) -> None:
    wrapper = prepared(scripted(Sccache(), tmp_path), tmp_path, Cache(wrapper="sccache", size=1 << 30))

    assert wrapper.active
    assert "10 GiB" in wrapper.why


def test_a_storage_that_is_none_starts_nothing(tmp_path: Path) -> None:
    host = scripted(Sccache(), tmp_path)

    wrapper = prepared(host, tmp_path, Cache(wrapper="sccache", storage="redis://$(id)@x\n"))

    assert not wrapper.active
    assert host.commands == []


def test_no_secret_is_said(tmp_path: Path) -> None:
    said = "sccache: error: cannot reach redis://:hush-hush@h with hush-hush and AKIAVERYSECRET"
    environ = {"SCCACHE_REDIS_PASSWORD": "hush-hush", "AWS_SECRET_ACCESS_KEY": "AKIAVERYSECRET"}
    host = scripted(Sccache(answers={"dist_status": finished(returncode=2, stderr=said)}), tmp_path, environ)

    wrapper = prepared(host, tmp_path)

    assert "cannot reach" in wrapper.why
    assert "hush" not in wrapper.why
    assert "AKIA" not in wrapper.why


def test_installed_version(tmp_path: Path) -> None:
    assert installed_version(scripted(Sccache(), tmp_path), NO_PYTHON) == "0.16.0"
    assert installed_version(scripted(Sccache("sccache 0.4.0-pre.6"), tmp_path), NO_PYTHON) == "0.4.0-pre.6"
    assert installed_version(scripted(None, tmp_path), NO_PYTHON) is None


def test_a_storage_that_is_only_read_from_is_fine(tmp_path: Path) -> None:
    program = Sccache()

    def keeping_nothing(command: Command) -> Finished:
        if command.argv[1] == "--show-stats":
            return finished(
                json.dumps({"stats": {"compile_requests": program.compiled}, "cache_location": "Local disk: /c"})
            )
        return program(command)

    assert prepared(scripted(keeping_nothing, tmp_path), tmp_path).active
