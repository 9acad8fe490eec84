"""What really happens, with the real sccache and the real cargo on tiny crates."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buildopt.cache import difference, installed_version, is_wrapper_failure, storage_alive
from buildopt.host import Host
from buildopt.profile.model import Cache

SCCACHE = Cache(wrapper="sccache")
Benches = Callable[..., Any]
Crates = Callable[..., dict[str, str]]


@contextlib.contextmanager
def mute_listener(port: int) -> Iterator[None]:
    """Take connections on a port, and say nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen(20)
        yield


def test_misses_and_then_hits(benches: Benches, crates: Crates) -> None:
    bench = benches(crates(3))
    wrapper = bench.prepare()
    assert wrapper.active
    assert wrapper.why == ""

    first = bench.cargo({**wrapper.env, "CARGO_INCREMENTAL": "0"})
    between = bench.count(wrapper)
    shutil.rmtree(bench.root / "target")
    second = bench.cargo({**wrapper.env, "CARGO_INCREMENTAL": "0"})
    after = bench.count(wrapper)

    assert (first.returncode, second.returncode) == (0, 0)
    cold, warm = difference(wrapper.counters, between), difference(between, after)
    assert (cold.hits, cold.misses, cold.errors, cold.not_cached) == (0, 3, 0, {})
    assert (warm.hits, warm.misses, warm.errors, warm.not_cached) == (3, 0, 0, {})
    assert str(bench.host.environ["SCCACHE_DIR"]) in warm.location


def test_a_storage_that_may_only_be_read_is_used_and_no_complaint(benches: Benches, crates: Crates) -> None:
    files = crates(3)
    writer = benches(files)
    filled = writer.cargo({**writer.prepare().env, "CARGO_INCREMENTAL": "0"})
    assert filled.returncode == 0
    reader = benches(files, SCCACHE_LOCAL_RW_MODE="READ_ONLY")
    wrapper = reader.prepare()
    assert (wrapper.active, wrapper.why) == (True, "")
    (name,) = [path for path in files if path.endswith("src/lib.rs")][-1:]
    (reader.root / name).write_text(files[name] + "pub fn other() {}\n")
    shutil.rmtree(reader.root / "target")
    assert reader.cargo({**wrapper.env, "CARGO_INCREMENTAL": "0"}).returncode == 0
    use = difference(wrapper.counters, reader.count(wrapper))
    assert use.hits > 0
    assert use.misses > 0
    assert use.complaint is None


def test_warm_prepare_is_one_call_of_a_few_milliseconds(benches: Benches) -> None:
    bench = benches()
    assert bench.prepare().active

    seconds = []
    for _ in range(7):
        started = time.perf_counter()
        assert bench.prepare().active
        seconds.append(time.perf_counter() - started)

    assert min(seconds) < 0.05  # 7 ms on a quiet machine


def test_incremental_of_the_profile_works_beside_the_wrapper(benches: Benches, crates: Crates) -> None:
    bench = benches(crates(2, extra="[profile.dev]\nincremental = true\n"))
    wrapper = bench.prepare()

    built = bench.cargo(wrapper.env)

    assert built.returncode == 0
    assert difference(wrapper.counters, bench.count(wrapper)).not_cached == {"incremental": 2}


def test_the_incremental_variable_would_fail_the_build_and_is_removed(benches: Benches, crates: Crates) -> None:
    bench = benches(crates(1), CARGO_INCREMENTAL="1")
    wrapper = bench.prepare()
    assert wrapper.active
    assert "CARGO_INCREMENTAL=1 is removed" in wrapper.why

    with_it = bench.cargo({**wrapper.env, "CARGO_INCREMENTAL": "1"})
    without_it = bench.cargo(wrapper.env)

    assert with_it.returncode != 0
    assert is_wrapper_failure((with_it.stderr + with_it.stdout).encode())
    assert without_it.returncode == 0


def test_a_refused_variable_is_seen_on_stdout_once_cargo_knows_the_compiler(benches: Benches, crates: Crates) -> None:
    bench = benches(crates(1))
    wrapper = bench.prepare()
    assert bench.cargo(wrapper.env).returncode == 0
    (bench.root / "c0/src/lib.rs").write_text("pub fn changed() {}\n")

    built = bench.cargo({**wrapper.env, "CARGO_INCREMENTAL": "1"}, "check", "--message-format=json-render-diagnostics")

    assert built.returncode != 0
    assert "prohibited" not in built.stderr
    assert is_wrapper_failure((built.stderr + built.stdout).encode())


def test_missing(benches: Benches, crates: Crates, without_sccache: str) -> None:
    bench = benches(crates(2), PATH=without_sccache)

    wrapper = bench.prepare(python=Path("/nowhere/bin/python"))

    assert not wrapper.active
    assert "not found" in wrapper.why
    assert bench.cargo(wrapper.env).returncode == 0


def test_a_script_that_says_it_is_old(benches: Benches, crates: Crates, without_sccache: str) -> None:
    fake = Path(without_sccache) / "sccache"
    fake.write_text("#!/bin/sh\necho sccache 0.3.3\n")
    fake.chmod(0o755)
    bench = benches(crates(1), PATH=without_sccache)

    wrapper = bench.prepare(python=Path("/nowhere/bin/python"))

    assert not wrapper.active
    assert "0.3.3" in wrapper.why
    assert bench.cargo(wrapper.env).returncode == 0


def test_an_old_one_on_the_path_does_not_hide_the_new_one(
    benches: Benches, without_sccache: str, sccache: Path
) -> None:
    fake = Path(without_sccache) / "sccache"
    fake.write_text("#!/bin/sh\necho sccache 0.3.3\n")
    fake.chmod(0o755)
    bench = benches(PATH=without_sccache)

    wrapper = bench.prepare()

    assert wrapper.active
    assert wrapper.program == sccache
    assert installed_version(bench.host, sccache) == wrapper.version


@pytest.mark.parametrize(
    "text",
    ["not a program", "#!/bin/sh\nkill -9 $$\n", pytest.param("#!/bin/sh\nexec sleep 60\n", marks=pytest.mark.slow)],
)
def test_something_else_of_that_name(benches: Benches, without_sccache: str, text: str) -> None:
    fake = Path(without_sccache) / "sccache"
    fake.write_text(text)
    fake.chmod(0o755)
    bench = benches(PATH=f"{without_sccache}:/usr/bin:/bin")

    started = time.monotonic()
    wrapper = bench.prepare(python=Path("/nowhere/bin/python"))

    assert not wrapper.active
    assert "sccache is not used" in wrapper.why
    assert time.monotonic() - started < 10


def test_port_taken_by_something_that_says_nothing(benches: Benches, crates: Crates, port: int) -> None:
    bench = benches(crates(1), SCCACHE_SERVER_PORT=str(port))
    with mute_listener(port):
        started = time.monotonic()
        wrapper = bench.prepare()

        assert time.monotonic() - started < 10
        assert not wrapper.active
        assert f"port {port} is taken" in wrapper.why
        assert bench.cargo(wrapper.env).returncode == 0


@pytest.mark.parametrize("below", ["", "/cache"])
def test_unwritable_folder(benches: Benches, crates: Crates, tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("in place of the folder")
    bench = benches(crates(2), SCCACHE_DIR=f"{tmp_path}/file{below}")

    wrapper = bench.prepare()

    assert not wrapper.active
    assert "cannot write to its storage" in wrapper.why
    assert f"{tmp_path}/file" in wrapper.why
    assert bench.cargo(wrapper.env).returncode == 0


def test_a_folder_that_becomes_unwritable_costs_speed_and_a_line(
    benches: Benches, crates: Crates, tmp_path: Path
) -> None:
    bench = benches(crates(3))
    wrapper = bench.prepare()
    shutil.rmtree(tmp_path / "sccache")
    (tmp_path / "sccache").write_text("in place of the folder")

    built = bench.cargo({**wrapper.env, "CARGO_INCREMENTAL": "0"})

    assert built.returncode == 0
    delta = difference(wrapper.counters, bench.count(wrapper))
    assert (delta.misses, delta.errors) == (3, 3)
    assert delta.complaint is not None


def test_a_configuration_file_that_is_broken(benches: Benches, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[cache\n")
    bench = benches(SCCACHE_CONF=str(tmp_path / "config"))

    wrapper = bench.prepare()

    assert not wrapper.active
    assert "Failed to load config file" in wrapper.why


def test_a_folder_of_the_profile_gets_its_own_server(benches: Benches, tmp_path: Path) -> None:
    ours = Cache(wrapper="sccache", directory=str(tmp_path / "ours"), size=1 << 30)
    bench = benches()
    environ = {name: value for name, value in bench.host.environ.items() if name != "SCCACHE_SERVER_PORT"}
    bench = bench._replace(host=Host(environ))

    wrapper = bench.prepare(ours)
    try:
        assert wrapper.active, wrapper.why
        assert wrapper.counters is not None
        assert str(tmp_path / "ours") in wrapper.counters.location
        assert wrapper.counters.size == 1 << 30
    finally:
        bench._replace(port=int(wrapper.env["SCCACHE_SERVER_PORT"] or 0)).kill_servers()


def test_a_server_that_works_with_another_folder_is_not_taken(benches: Benches, tmp_path: Path) -> None:
    bench = benches()
    assert bench.prepare().active

    wrapper = bench.prepare(Cache(wrapper="sccache", directory=str(tmp_path / "elsewhere")))

    assert not wrapper.active
    assert "names another storage" in wrapper.why


def test_the_server_ended_between_two_runs(benches: Benches, crates: Crates) -> None:
    bench = benches(crates(2))
    bench.prepare()
    assert bench.kill_servers() == 1

    wrapper = bench.prepare()

    assert wrapper.active
    assert wrapper.counters is not None
    assert wrapper.counters.requests == 0
    assert bench.cargo({**wrapper.env, "CARGO_INCREMENTAL": "0"}).returncode == 0
    assert difference(wrapper.counters, bench.count(wrapper)).misses == 2


def test_a_reading_starts_no_server(benches: Benches) -> None:
    bench = benches()
    wrapper = bench.prepare()
    bench.kill_servers()

    assert bench.count(wrapper).requests == 0
    assert bench.kill_servers() == 0


def test_the_wrapper_goes_away_in_mid_build(benches: Benches, crates: Crates, tmp_path: Path, sccache: Path) -> None:
    bench = benches(crates(2))
    (tmp_path / "bin").mkdir()
    copy = tmp_path / "bin" / "sccache"
    copy.symlink_to(sccache)
    env = {"RUSTC_WRAPPER": str(copy)}
    assert bench.cargo(env).returncode == 0
    copy.unlink()
    (bench.root / "c1/src/lib.rs").write_text("pub fn changed() {}\n")

    built = bench.cargo(env)

    assert built.returncode != 0
    assert is_wrapper_failure(built.stderr.encode())


def test_an_error_in_the_code_is_no_failure_of_the_cache(benches: Benches, crates: Crates) -> None:
    files = crates(1)
    files["c0/src/lib.rs"] = 'compile_error!("x\nsccache: error: failed to execute compile\nsccache: caused by: me");\n'
    bench = benches(files)
    wrapper = bench.prepare()

    for more in ((), ("-v",), ("--color=always",)):
        built = bench.cargo(wrapper.env, "check", *more)
        assert built.returncode != 0
        assert "sccache: error" in built.stderr
        assert not is_wrapper_failure((built.stderr + built.stdout).encode())


def test_a_build_script_that_prints_the_words_is_no_failure_of_the_cache(benches: Benches, crates: Crates) -> None:
    files = crates(1)
    files["c0/build.rs"] = 'fn main() {\n    eprintln!("sccache: error: failed");\n    std::process::exit(2);\n}\n'
    bench = benches(files)
    wrapper = bench.prepare()

    built = bench.cargo(wrapper.env, "check", "-v")

    assert built.returncode != 0
    assert "sccache: error: failed" in built.stderr
    assert not is_wrapper_failure(built.stderr.encode())


@pytest.mark.parametrize("configured", ["config", "variable"])
def test_the_repeat_without_the_wrapper_wins_over_every_configuration(
    benches: Benches, crates: Crates, configured: str
) -> None:
    files = crates(1)
    environ = {"CARGO_BUILD_RUSTC_WRAPPER": "/gone/sccache"} if configured == "variable" else {}
    if configured == "config":
        files[".cargo/config.toml"] = '[build]\nrustc-wrapper = "/gone/sccache"\n'
    bench = benches(files, **environ)

    wrapper = bench.prepare(configured="/gone/sccache" if configured == "config" else None)

    assert not wrapper.active
    assert "/gone/sccache, which is not found" in wrapper.why
    assert bench.cargo({}).returncode != 0
    assert bench.cargo(wrapper.env).returncode == 0
    assert bench.cargo(wrapper.without).returncode == 0


def test_toggling_the_wrapper_rebuilds_nothing(benches: Benches, crates: Crates) -> None:
    bench = benches(crates(3))
    wrapper = bench.prepare()
    assert bench.cargo(wrapper.env).stderr.count("Checking") == 3

    for env in (wrapper.without, wrapper.env, wrapper.without):
        assert bench.cargo(env).stderr.count("Checking") == 0


def kill_repeatedly(bench: Any, process: subprocess.Popen[str], pause: float) -> tuple[int, str, str]:
    killed = 0
    stop = threading.Event()

    def kill() -> None:
        nonlocal killed
        while not stop.wait(pause):
            killed += bench.kill_servers()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        stdout, stderr = process.communicate(timeout=120)
    finally:
        stop.set()
        thread.join()
    return killed, stdout, stderr


@pytest.mark.slow
def test_the_server_is_killed_once_in_mid_build(benches: Benches, crates: Crates) -> None:
    bench = benches(crates(30, body=20))
    wrapper = bench.prepare()
    process = bench.start({**wrapper.env, "CARGO_INCREMENTAL": "0"}, "build")
    time.sleep(0.7)
    killed = bench.kill_servers()
    _, stderr = process.communicate(timeout=120)

    # Those who waited compile by themselves, the next one starts a new server; only the one just connecting can fail.
    assert killed == 1
    assert process.returncode == 0 or is_wrapper_failure(stderr.encode()), stderr


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.3, 0.05])
def test_the_server_is_killed_again_and_again_in_mid_build(benches: Benches, crates: Crates, pause: float) -> None:
    bench = benches(crates(30, body=20))
    wrapper = bench.prepare()

    process = bench.start({**wrapper.env, "CARGO_INCREMENTAL": "0"}, "build")
    killed, stdout, stderr = kill_repeatedly(bench, process, pause)

    assert killed
    assert process.returncode == 0 or is_wrapper_failure((stderr + stdout).encode()), stderr
    assert bench.cargo({**wrapper.without, "CARGO_INCREMENTAL": "0"}, "build").returncode == 0


def on_redis(bench: Any, port: int) -> Any:
    """Return the bench without a port of its own: then the profile's storage has one."""
    environ = {name: value for name, value in bench.host.environ.items() if name != "SCCACHE_SERVER_PORT"}
    return bench._replace(host=Host({**environ, "SCCACHE_REDIS_PASSWORD": "hush-hush"})), Cache(
        wrapper="sccache", storage=f"redis://127.0.0.1:{port}"
    )


def test_redis_up_and_then_down(benches: Benches, crates: Crates, redis: Any, port: int) -> None:
    bench, settings = on_redis(benches(crates(2)), port)
    server = redis(port)

    wrapper = bench.prepare(settings)
    bench = bench._replace(port=int(wrapper.env["SCCACHE_SERVER_PORT"] or 0))
    try:
        assert wrapper.active, wrapper.why
        assert storage_alive(wrapper)
        assert bench.cargo({**wrapper.env, "CARGO_INCREMENTAL": "0"}).returncode == 0
        delta = difference(wrapper.counters, bench.count(wrapper))
        assert (delta.misses, delta.errors) == (2, 0)
        assert "redis" in delta.location
        assert "hush" not in f"{delta}{wrapper}"

        server.kill()
        server.wait()
        started = time.monotonic()
        again = bench.prepare(settings)

        assert not storage_alive(wrapper)
        assert not again.active
        assert f"127.0.0.1:{port}" in again.why
        assert again.env == {}
        assert time.monotonic() - started < 5
    finally:
        bench.kill_servers()


@pytest.mark.slow
def test_redis_with_another_password(benches: Benches, redis: Any, port: int) -> None:
    bench, settings = on_redis(benches(), port)
    bench = bench._replace(host=Host({**bench.host.environ, "SCCACHE_REDIS_PASSWORD": "wrong-one"}))
    redis(port)

    wrapper = bench.prepare(settings)

    assert not wrapper.active
    assert "none starts" in wrapper.why
    assert "wrong-one" not in wrapper.why


def test_redis_was_never_there(benches: Benches, port: int) -> None:
    bench, settings = on_redis(benches(), port)

    wrapper = bench.prepare(settings)

    assert not wrapper.active
    assert "does not answer" in wrapper.why


@pytest.mark.slow
def test_redis_is_killed_in_mid_build(benches: Benches, crates: Crates, redis: Any, port: int) -> None:
    bench, settings = on_redis(benches(crates(20, body=20)), port)
    server = redis(port)
    wrapper = bench.prepare(settings)
    bench = bench._replace(port=int(wrapper.env["SCCACHE_SERVER_PORT"] or 0))
    try:
        process = bench.start({**wrapper.env, "CARGO_INCREMENTAL": "0"}, "build")
        time.sleep(0.5)
        server.kill()
        server.wait()

        # sccache neither fails nor goes on: each unit waits half a minute. Only a look at the storage tells.
        assert not storage_alive(wrapper)
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=8)
        process.kill()
        process.communicate()
        assert bench.cargo({**wrapper.without, "CARGO_INCREMENTAL": "0"}, "build").returncode == 0
    finally:
        bench.kill_servers()
