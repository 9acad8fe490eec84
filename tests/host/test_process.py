from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildopt.errors import MachineRefused, ToolMissing
from buildopt.host import Cancel, Command, Finished, Host

SPIN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n"


def python(program: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-E", "-c", program, *arguments)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def wait_for(condition: Callable[[], object], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)


def pid_in(path: Path) -> int:
    wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


@pytest.fixture
def run(host: Host, tmp_path: Path) -> Callable[..., Finished]:
    def run(argv: tuple[str, ...], **options: object) -> Finished:
        streams = {name: options.pop(name) for name in ("on_stdout", "on_stderr", "cancel") if name in options}
        return host.run(Command(argv, tmp_path, **options), **streams)  # type: ignore[arg-type]

    return run


@pytest.fixture
def cancel() -> Iterator[Cancel]:
    with Cancel() as cancel:
        yield cancel


Run = Callable[..., Finished]


def test_a_command_gives_its_output_and_its_exit_code(run: Run) -> None:
    result = run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(7)"))
    assert (result.stdout, result.stderr, result.returncode) == (b"out\n", b"err\n", 7)
    assert not result.timed_out
    assert not result.cancelled
    assert result.wall_seconds > 0
    assert result.peak_bytes > 1 << 20


def test_a_command_that_died_from_a_signal_has_its_negative_number(run: Run) -> None:
    assert run(python("import os; os.kill(os.getpid(), 9)")).returncode == -9


def test_a_command_reads_nothing_and_starts_in_its_directory(run: Run, tmp_path: Path) -> None:
    result = run(python("import os, sys; print(repr(sys.stdin.read()), os.getcwd())"))
    assert result.stdout.decode().split() == ["''", str(tmp_path)]


def test_variables_are_set_and_removed(tmp_path: Path) -> None:
    host = Host({**os.environ, "KEPT": "1", "REMOVED": "1"})
    program = "import os; print([os.environ.get(n) for n in ('KEPT', 'REMOVED', 'ADDED')])"
    command = Command(python(program), tmp_path, {"REMOVED": None, "ADDED": "2", "NEVER_THERE": None})
    assert host.run(command).stdout == b"['1', None, '2']\n"
    with host.environment({"KEPT": None, "ADDED": "3"}) as other:
        assert other.run(Command(python(program), tmp_path)).stdout == b"[None, '1', '3']\n"
    assert host.run(Command(python(program), tmp_path)).stdout == b"['1', '1', None]\n"


def test_programs_are_found_on_the_path_of_the_host(tmp_path: Path) -> None:
    tool = tmp_path / "my-tool"
    tool.write_text("#!/bin/sh\necho found\n")
    tool.chmod(0o755)
    host = Host({"PATH": f"{tmp_path}:/bin:/usr/bin"})
    assert host.which("my-tool") == tool
    assert host.run(Command(("my-tool",), tmp_path)).stdout == b"found\n"
    assert Host({"PATH": "/nowhere"}).which("my-tool") is None


def test_a_missing_program_and_a_missing_directory_are_told_apart(host: Host, tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="no-such-program"):
        host.run(Command(("no-such-program",), tmp_path))
    with pytest.raises(MachineRefused, match="does not exist"):
        host.run(Command(python(""), tmp_path / "nowhere"))


def test_what_cannot_be_started_is_refused(host: Host, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no program")
    with pytest.raises(MachineRefused, match="data"):
        host.run(Command((str(tmp_path / "data"),), tmp_path))
    with pytest.raises(MachineRefused, match="null"):
        host.run(Command((*python(""), "a\0b"), tmp_path))
    with pytest.raises(MachineRefused, match="cannot start"):
        host.run(Command((*python(""), "x" * (1 << 22)), tmp_path))


def test_much_output_on_both_streams_arrives_whole(run: Run) -> None:
    program = (
        "import os\nfor _ in range(40):\n    os.write(1, b'o' * 65536) == 65536 or exit(1)\n"
        "    os.write(2, b'e' * 65536) == 65536 or exit(1)\n"
    )
    result = run(python(program))
    assert (result.stdout, result.stderr) == (b"o" * 65536 * 40, b"e" * 65536 * 40)
    chunks: list[bytes] = []
    result = run(python(program), on_stdout=chunks.append)
    assert (b"".join(chunks), result.stdout, len(result.stderr)) == (b"o" * 65536 * 40, b"", 65536 * 40)


def test_output_arrives_while_the_command_runs(run: Run, tmp_path: Path) -> None:
    program = "import os, sys, time\nos.write(1, b'x')\nwhile not os.path.exists('seen'): time.sleep(0.005)\n"
    result = run(python(program), on_stdout=lambda _: (tmp_path / "seen").touch(), timeout_seconds=20)
    assert result.returncode == 0


def test_a_slow_reader_loses_nothing(run: Run) -> None:
    chunks: list[bytes] = []

    def slow(chunk: bytes) -> None:
        time.sleep(0.4)
        chunks.append(chunk)

    run(python("import os; os.write(1, b'a' * 50000); os.write(2, b'b' * 50000)"), on_stdout=slow, on_stderr=slow)
    assert len(b"".join(chunks)) == 100_000


def test_cpu_seconds_count_the_children_that_were_waited_for(run: Run) -> None:
    result = run(python(f"import subprocess\nsubprocess.run({[*python(SPIN.format(0.3))]!r}, check=True)"))
    assert result.returncode == 0, result.stderr
    assert 0.3 <= result.cpu_seconds < 3
    assert run(python("import time; time.sleep(0.3)")).cpu_seconds < 0.25


def test_peak_memory_is_that_of_the_largest_process(run: Run) -> None:
    large = python("x = b'x' * (150 << 20)")
    result = run(python(f"import subprocess\nsubprocess.run({[*large]!r}, check=True)"))
    assert result.returncode == 0, result.stderr
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # which counts too
    assert 150 << 20 < result.peak_bytes < max(own, 150 << 20) + (100 << 20)


# Ends


def test_a_timeout_ends_the_command_soon(run: Run) -> None:
    result = run(python("import time; print('begun', flush=True); time.sleep(60)"), timeout_seconds=0.7)
    assert result.timed_out
    assert not result.cancelled
    assert result.returncode == -signal.SIGTERM
    assert 0.7 <= result.wall_seconds < 5
    assert result.stdout == b"begun\n"


def test_a_command_that_ignores_the_polite_signal_is_killed(run: Run) -> None:
    program = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('x', flush=True)\ntime.sleep(60)"
    )
    result = run(python(program), timeout_seconds=1)
    assert result.returncode == -signal.SIGKILL
    assert result.wall_seconds < 5


FAMILY = """
import os, signal, sys, time
def process(name, before=lambda: None):
    if os.fork() == 0:
        before()
        with open(name, "w") as file:
            file.write(f"{os.getpid()}\\n")
        time.sleep(60)
        os._exit(0)
process("child")
process("own-group", os.setpgrp)
process("stubborn", lambda: (os.setpgrp(), signal.signal(signal.SIGTERM, signal.SIG_IGN)))
process("daemon", os.setsid)
while not all(os.path.exists(name) for name in ("child", "own-group", "stubborn", "daemon")):
    time.sleep(0.005)
print("all there", flush=True)
if len(sys.argv) > 1:
    sys.exit(0)
time.sleep(60)
"""


@pytest.mark.parametrize("how", ["timeout", "cancel", "exception"])
def test_the_whole_session_ends_but_not_a_daemon(run: Run, tmp_path: Path, cancel: Cancel, how: str) -> None:
    names = ("child", "own-group", "stubborn", "daemon")

    def wait_and_trigger() -> None:
        for name in names:
            pid_in(tmp_path / name)
        if how == "cancel":
            cancel.trigger("test")

    def fail(_: bytes) -> None:
        raise KeyError("sink")

    watcher = threading.Thread(target=wait_and_trigger)
    watcher.start()
    try:
        if how == "exception":
            with pytest.raises(KeyError):
                run(python(FAMILY), on_stdout=fail)
        else:
            result = run(python(FAMILY), timeout_seconds=3 if how == "timeout" else 30, cancel=cancel)
            assert (result.timed_out, result.cancelled) == (how == "timeout", how == "cancel")
        watcher.join()
        pids = {name: pid_in(tmp_path / name) for name in names}
        alive = {name for name, pid in pids.items() if is_alive(pid)}
        assert alive == {"daemon"}
    finally:
        watcher.join()
        for name in names:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((tmp_path / name).read_text()), signal.SIGKILL)


def test_a_child_left_behind_that_holds_the_pipes_does_not_hang_the_run(run: Run, tmp_path: Path) -> None:
    result = run(python(FAMILY, "leave"), timeout_seconds=30)
    try:
        assert result.returncode == 0
        assert not result.timed_out
        assert result.wall_seconds < 5
    finally:
        for name in ("child", "own-group", "stubborn", "daemon"):
            os.kill(pid_in(tmp_path / name), signal.SIGKILL)


def test_a_child_left_behind_that_never_stops_talking_does_not_hang_the_run(run: Run, tmp_path: Path) -> None:
    program = (
        "import os\npid = os.fork()\nif pid == 0:\n    while True: os.write(1, b'y' * 4096)\n"
        "open('talker', 'w').write(f'{pid}\\n')"
    )
    try:
        result = run(python(program), timeout_seconds=30, on_stdout=lambda _: None)
        assert result.wall_seconds < 5
        # The pipe has no reader any more, so the talker has gone by itself.
        wait_for(lambda: not is_alive(pid_in(tmp_path / "talker")))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid_in(tmp_path / "talker"), signal.SIGKILL)


def test_a_request_to_stop_that_came_before_the_start_ends_the_command(run: Run, cancel: Cancel) -> None:
    cancel.trigger("first")
    cancel.trigger("second")
    result = run(python("import time; time.sleep(60)"), cancel=cancel)
    assert result.cancelled
    assert result.wall_seconds < 3
    assert cancel.requested
    assert cancel.reason == "first"


def test_a_command_that_ends_by_itself_was_not_cancelled(run: Run, cancel: Cancel) -> None:
    result = run(python("print(1)"), cancel=cancel, timeout_seconds=30)
    assert not result.cancelled
    assert not cancel.requested


def test_no_descriptor_is_left_open(run: Run) -> None:
    run(python(""))
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(5):
        run(python("import time; time.sleep(5)"), timeout_seconds=0.05)
        run(python("print(1)"))
        with Cancel() as cancel:
            cancel.trigger("x")
            run(python(""), cancel=cancel)
    assert set(os.listdir("/proc/self/fd")) == before


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_the_running_command(host: Host, run: Run, cancel: Cancel, number: signal.Signals) -> None:
    with host.signals(cancel):
        result = run(
            python("import time; print(1, flush=True); time.sleep(60)"),
            cancel=cancel,
            on_stdout=lambda _: os.kill(os.getpid(), number),
        )
    assert result.cancelled
    assert cancel.reason == number.name


def test_a_signal_that_interrupts_nothing_is_answered_at_once(host: Host, run: Run, cancel: Cancel) -> None:
    """The system may hand a signal to any thread, or to the main one just before it goes to sleep."""

    def signal_this_thread() -> None:
        time.sleep(0.3)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    threading.Thread(target=signal_this_thread).start()
    with host.signals(cancel):
        finished = run(python("import time; time.sleep(60)"), cancel=cancel)
    assert finished.cancelled
    assert finished.wall_seconds < 10


def test_handlers_are_put_back_and_an_ignored_hangup_stays_ignored(host: Host, cancel: Cancel) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    old_hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        before = [signal.getsignal(number) for number in numbers]
        with contextlib.suppress(KeyError), host.signals(cancel):
            during = [signal.getsignal(number) for number in numbers]
            raise KeyError
        assert [signal.getsignal(number) for number in numbers] == before
        assert [a != b for a, b in zip(before, during, strict=True)] == [True, True, False]
    finally:
        signal.signal(signal.SIGHUP, old_hangup)


def test_signals_that_would_end_the_process_can_interrupt_instead(host: Host, cancel: Cancel) -> None:
    numbers = (signal.SIGTERM, signal.SIGHUP)
    old = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    try:
        for number in numbers:
            with pytest.raises(KeyboardInterrupt), host.interrupts():
                signal.raise_signal(number)
            assert signal.getsignal(number) is signal.SIG_DFL
        with host.signals(cancel), host.interrupts():
            signal.raise_signal(signal.SIGTERM)
        assert cancel.reason == "SIGTERM"
    finally:
        for number, handler in zip(numbers, old, strict=True):
            signal.signal(number, handler)


def test_an_interrupt_while_a_command_is_being_started_leaves_no_process(host: Host, tmp_path: Path) -> None:
    script = "kill -INT $PPID; echo $$ > pid; exec sleep 60"
    for _ in range(10):
        (tmp_path / "pid").unlink(missing_ok=True)
        with pytest.raises(KeyboardInterrupt):
            host.run(Command(("sh", "-c", script), tmp_path))
        with contextlib.suppress(FileNotFoundError, ValueError):
            assert not is_alive(int((tmp_path / "pid").read_text()))


def test_outside_the_main_thread_signals_are_left_alone(host: Host, cancel: Cancel) -> None:
    seen = []

    def work() -> None:
        with host.signals(cancel):
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_commands_run_side_by_side_in_threads(run: Run) -> None:
    results: list[Finished] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(run(python(f"print({n}); raise SystemExit({n})"))))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.returncode for result in results) == list(range(6))
    assert all(result.stdout == f"{result.returncode}\n".encode() for result in results)


# The rest of the host


@pytest.mark.parametrize(
    ("value", "expected"),
    [("true", True), ("1", True), ("woodpecker", True), ("", False), ("0", False), ("False", False)],
)
def test_ci_is_what_the_environment_says(value: str, expected: bool) -> None:
    assert Host({"CI": value}).in_ci is expected
    assert Host({}).in_ci is False


def test_the_machine_is_described(host: Host) -> None:
    assert host.system in {"linux", "macos", "windows"}
    assert 1 <= host.cores <= (os.cpu_count() or 1)
    assert host.memory_bytes is None or host.memory_bytes > 1 << 28
    assert abs(host.now() - time.time()) < 5
    assert host.monotonic() <= host.monotonic()
