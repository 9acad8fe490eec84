"""How long each test took: asked of nextest for one call, and nobody's configuration is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from buildopt.cargo.junit import MOST_BYTES, TimedTest, joined_reports, parse_report
from buildopt.cargo.nextest import own_report, report_config
from buildopt.errors import MachineRefused
from buildopt.host import Host
from buildopt.pipeline.plan import Invocation

__all__ = ["Report", "Reports"]


class Report(NamedTuple):
    """One call, and what it leaves behind."""

    argv: tuple[str, ...]
    read: Callable[[], tuple[tuple[TimedTest, ...], str | None]]
    """Return the tests that passed, and a line for the person when they cannot be told."""


class Reports:
    """The reports of one run. In a job of GitLab they are kept as one file, which the job hands to GitLab."""

    def __init__(self, host: Host, root: Path) -> None:
        self._host = host
        self._root = root
        self._texts: list[bytes] = []
        self._kept = root / ".buildopt" / "junit.xml" if host.environ.get("GITLAB_CI") else None
        if self._kept is not None:
            with suppress(MachineRefused):
                host.files.remove(self._kept)

    @contextmanager
    def of(self, invocation: Invocation) -> Iterator[Report]:
        """Yield `invocation` as a call that leaves a report; read it before the with block ends."""
        host, argv = self._host, invocation.argv
        with ExitStack() as stack:
            try:
                config, path = _places(host, self._root, stack) if invocation.timed else (None, None)
            except MachineRefused as error:
                note = f"the times of tests are not recorded: {error.message}"
                yield Report(argv, lambda: ((), note))
                return
            before = None if path is None else host.files.stamp(path)
            if config is not None:
                argv = (*argv[:3], "--tool-config-file", f"buildopt:{config}", *argv[3:])
            yield Report(argv, lambda: ((), None) if path is None else self._read(path, before))

    def _read(self, path: Path, before: tuple[int, int, int] | None) -> tuple[tuple[TimedTest, ...], str | None]:
        after = self._host.files.stamp(path)
        if after is None or after == before:  # no test was run
            return (), None
        try:
            if after[0] > MOST_BYTES:
                raise ValueError(f"the report has more than {MOST_BYTES // 2**20} MiB")
            text = self._host.files.read(path) or b""
            times = parse_report(text)
        except (ValueError, MachineRefused) as error:
            return (), f"the times of tests are not recorded: {path}: {error}"
        return times, self._keep(text)

    def _keep(self, text: bytes) -> str | None:
        if self._kept is None:
            return None
        self._texts.append(text)
        try:
            self._host.files.make_directory(self._kept.parent)
            self._host.files.write(self._kept, joined_reports(self._texts), flush=False)
        except MachineRefused as error:
            return f"GitLab is not told of the tests: {error.message}"
        return None


def _places(host: Host, root: Path, stack: ExitStack) -> tuple[Path | None, Path]:
    """Return the configuration to give, and where the report will be; none is given where the user has a report anyhow."""
    own = host.files.read(root / ".config" / "nextest.toml")
    found = None if own is None else own_report(own, host.environ.get("NEXTEST_PROFILE") or "default")
    if found is not None:
        return None, root / found
    config = stack.enter_context(host.files.scratch(b"")).with_name("nextest.toml")
    report = config.with_name("junit.xml")
    host.files.write_new(config, report_config(report).encode(), flush=False)
    return config, report
