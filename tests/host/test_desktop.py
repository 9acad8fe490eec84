from __future__ import annotations

import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.host.desktop import notify
from buildopt.testing import ScriptedHost, finished


class Linux(ScriptedHost):
    @property
    def system(self) -> str:
        return "linux"


class Mac(ScriptedHost):
    @property
    def system(self) -> str:
        return "macos"


def test_notify_send_gets_the_texts_as_arguments_and_no_markup():
    host = Linux({"notify-send": finished()})
    assert notify(host, "core fails", "<b>2 errors</b> & more\nin\x00core") is None
    argv = host.commands[0].argv
    assert argv[-3:] == ("--", "core fails", "&lt;b&gt;2 errors&lt;/b&gt; &amp; more in core")
    assert host.commands[0].timeout_seconds == 2


def test_apple_script_never_contains_the_text():
    host = Mac({"osascript": finished()})
    evil = '" & (do shell script "touch owned") & "'
    assert notify(host, "-e", evil) is None
    argv = host.commands[0].argv
    assert argv[-3:] == ("--", "-e", evil)
    assert all("owned" not in word for word in argv[:-1])


@pytest.mark.parametrize(
    ("programs", "why"),
    [
        ({}, "notify-send is not found"),
        ({"notify-send": finished(stderr="no D-Bus\nat all\n", returncode=1)}, "failed: no D-Bus at all"),
        ({"notify-send": finished(returncode=3)}, "failed: exit code 3"),
        ({"notify-send": finished(returncode=-9)._replace(timed_out=True)}, "did not answer within 2s"),
    ],
)
def test_what_went_wrong_is_said_in_one_line(programs, why):
    said = notify(Linux(programs), "title", "text")
    assert said is not None
    assert why in said
    assert "\n" not in said


def test_a_program_that_cannot_start_is_no_exception():
    def refuse(_command):
        raise MachineRefused("cannot start notify-send: Exec format error")

    assert "Exec format error" in (notify(Linux({"notify-send": refuse}), "title", "text") or "")


def test_long_texts_are_cut():
    host = Linux({"notify-send": finished()})
    notify(host, "t" * 1000, "\ud800" + "x" * 10_000)
    assert all(len(word) <= 300 for word in host.commands[0].argv)


def program(folder: Path, body: str) -> Host:
    path = folder / "notify-send"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return Host({"PATH": f"{folder}:/usr/bin:/bin"})


def test_a_real_program_gets_hostile_text_unchanged(tmp_path: Path, need: Callable[[str], Path], unable):
    need("sh")
    host = program(tmp_path, f"printf '%s|' \"$@\" > {tmp_path}/seen")
    if host.system != "linux":
        unable("notify-send is a program of Linux")
    assert notify(host, "$(id) `id` 'x'", '"; rm -rf . #') is None
    assert (tmp_path / "seen").read_text() == "--app-name=buildopt|--|$(id) `id` 'x'|\"; rm -rf . #|"


def test_a_program_that_hangs_is_ended(tmp_path: Path, need: Callable[[str], Path], unable):
    need("sh")
    host = program(tmp_path, "exec sleep 60")
    if host.system != "linux":
        unable("notify-send is a program of Linux")
    before = time.monotonic()
    assert "did not answer" in (notify(host, "title", "text") or "")
    assert time.monotonic() - before < 8
