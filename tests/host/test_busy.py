from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildopt.host import Files, Host

STAT = "cpu  9 9 9 9 9 9 9 9 0 0\n{}intr 1\n"


class Proc(Files):
    def __init__(self, text: str | None) -> None:
        self.text = text

    def read(self, path: Path | str) -> bytes | None:
        assert str(path) == "/proc/stat"
        return None if self.text is None else self.text.encode()


def test_busy_is_all_but_idle_and_waiting_of_our_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {1, 2}, raising=False)
    rows = "".join(
        f"cpu{number} 100 20 30 5000 700 4 5 {steal} 50 6\n" for number, steal in enumerate((900, 1, 2, 900))
    )
    ticks = 2 * (100 + 20 + 30 + 4 + 5) + 3
    assert Host({}, Proc(STAT.format(rows))).busy_seconds() == ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("text", [None, "", "cpu  1 2 3\n", "cpu0 a b c\n", "cpu0 1 2\n"])
def test_a_system_that_does_not_say_it_is_no_error(text: str | None) -> None:
    assert Host({}, Proc(text)).busy_seconds() is None


def test_here_it_only_grows(host: Host) -> None:
    before = host.busy_seconds()
    if before is not None:
        sum(range(2_000_000))
        assert (host.busy_seconds() or 0) >= before
