"""The command line: arguments in, one verb, an exit code out. No nox is imported here."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from buildopt.errors import ArgumentError, BuildoptError, Interrupted, MachineRefused
from buildopt.host import Host

__all__ = ["main", "run"]


_MOST_SHARDS = 256  # GitHub starts no more jobs out of one matrix


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line as an error of ours, so that `--json` and exit codes hold there too."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentError(message, hint=f"{self.prog} --help")


def main(argv: Sequence[str] | None = None, *, via_nox: bool = False) -> int:
    """Run one verb and return its exit code (see `buildopt.errors`); `via_nox` words the closing line for nox."""
    words = list(sys.argv[1:] if argv is None else argv)
    host = Host()
    json = "--json" in words
    try:
        arguments = _parser().parse_args(words)
        show = _shower(arguments)
        return show(host, arguments, via_nox)
    except BuildoptError as error:
        return _report_error(error, json)
    except KeyboardInterrupt:
        return _report_error(Interrupted("interrupted"), json)
    except BrokenPipeError:
        _let_go(sys.stdout)
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _report_error(MachineRefused(f"{where}{error.strerror or error}"), json)
    except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback reaches a user
        from buildopt.verbs.bug import as_bug  # noqa: PLC0415 - the rare path

        return _report_error(as_bug(error), json)


def run() -> NoReturn:
    """Run one verb as the whole process: end it with the exit code of `main`.

    Nothing is left to be undone then, and taking a Python process down in good order would take 20 ms more.
    """
    code = main()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # whoever read it has gone
        pass
    os._exit(code)


def _report_error(error: BuildoptError, json: bool) -> int:
    try:
        if json:
            _print_json(error.as_json())
        else:
            sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has gone; the exit code is left to tell
        _let_go(sys.stdout)
    if not json:
        try:
            sys.stderr.write(
                "".join(f"{'buildopt: ' if not i else '  '}{line}\n" for i, line in enumerate(error.lines()))
            )
            sys.stderr.flush()
        except BrokenPipeError:
            _let_go(sys.stderr)
    return error.exit_code


def _let_go(stream: TextIO) -> None:
    """Point a stream that nobody reads any more to nowhere, so that no later write to it fails."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _print_json(document: Any) -> None:
    import json  # noqa: PLC0415 - only where asked for

    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _shower(arguments: argparse.Namespace) -> Callable[[Host, argparse.Namespace, bool], int]:
    if arguments.verb in ("run", "dev-quick", "dev-test"):
        from buildopt.show.runs import show_run  # noqa: PLC0415 - each verb loads what it needs

        return show_run
    if arguments.verb == "watch":
        from buildopt.show.watch import show_watch  # noqa: PLC0415 - as above

        return show_watch
    if arguments.verb in ("sync", "drift", "rollback"):
        from buildopt.show.generated import show_generated  # noqa: PLC0415 - as above

        return show_generated
    if arguments.verb in ("ci", "ci-matrix", "cache"):
        return _ci_shower(arguments)
    if arguments.verb in ("bench", "tune", "gate"):
        return _measuring_shower(arguments)
    from buildopt.show.looks import show_look  # noqa: PLC0415 - as above

    return show_look


def _ci_shower(arguments: argparse.Namespace) -> Callable[[Host, argparse.Namespace, bool], int]:
    if arguments.verb == "cache":
        from buildopt.show.cache import show_cache  # noqa: PLC0415 - each verb loads what it needs

        return show_cache
    if arguments.verb == "ci" and arguments.subject == "durations":
        from buildopt.show.durations import show_durations  # noqa: PLC0415 - as above

        return show_durations
    from buildopt.show.ci import show_caches, show_ci_matrix, show_pins  # noqa: PLC0415 - as above

    if arguments.verb == "ci-matrix":
        return show_ci_matrix
    return show_pins if arguments.subject == "pins" else show_caches


def _measuring_shower(arguments: argparse.Namespace) -> Callable[[Host, argparse.Namespace, bool], int]:
    if arguments.verb == "bench":
        from buildopt.show.bench import show_bench  # noqa: PLC0415 - each verb loads what it needs

        return show_bench
    if arguments.verb == "tune":
        from buildopt.show.tune import show_tune  # noqa: PLC0415 - as above

        return show_tune
    from buildopt.show.gate import show_gate  # noqa: PLC0415 - as above

    return show_gate


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    common.add_argument("--root", type=Path, metavar="DIR", help="workspace root; the nearest one upwards when absent")
    common.add_argument(
        "--profile", type=Path, metavar="FILE", dest="profile_file", help="profile instead of DIR/buildopt.toml"
    )
    common.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one value of the profile for this call"
    )
    common.add_argument("--json", action="store_true", help="print exactly one JSON document on stdout")
    parser = _Parser(
        prog="buildopt", description="Declare how a Cargo workspace is built; generate, run, record and prove it."
    )
    parser.add_argument("--version", action="version", version=f"buildopt {_version()}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, about: str) -> argparse.ArgumentParser:
        return verbs.add_parser(name, help=about, description=about, parents=[common])

    verb("init", "read the Cargo workspace and write buildopt.toml and noxfile.py; nothing is overwritten")
    _scoped(verb("dev-quick", "run the stage quick-check for what was changed"))
    tests = verb("dev-test", "run a test group, the tests of a package, or tests by name")
    tests.add_argument("names", nargs="*", metavar="GROUP|PACKAGE|FILTER", help="all tests when absent")
    tests.add_argument(
        "--shard", type=_shard, metavar="I/N", help="only the part I of N, balanced by recorded durations"
    )
    tests.add_argument("--durations", type=Path, metavar="FILE", help="balance by this file instead of the record")
    run = verb("run", "run stages, each after those that it requires")
    run.add_argument("stages", nargs="+", metavar="STAGE")
    run.add_argument("--only", action="store_true", help="without the stages that they require")
    _scoped(run)
    watch = verb("watch", "after every edit, run the stages for what it affects, and end what is stale")
    watch.add_argument("--once", action="store_true", help="run the stages for what has changed, then end")
    sync = verb("sync", "show one diff of everything that is generated, then write it")
    sync.add_argument("--check", action="store_true", help="write nothing; exit 1 when something is stale")
    sync.add_argument("--dry-run", action="store_true", help="write nothing; exit 0")
    verb("drift", "fail, with a diff, when a generated file is stale (sync --check)")
    verb("rollback", "undo the last sync, byte for byte")
    report = verb("report", "show the last runs, budgets, slowest crates, and why they were rebuilt")
    report.add_argument("--last", type=int, default=10, metavar="N", help="how many runs to show")
    report.add_argument("--slow", action="store_true", help="why the last build took as long as it did, and what to do")
    _add_measuring(verb)
    _add_ci(verb, verbs, common)
    verb("doctor", "show tools and versions, what is missing, and settings that fight each other")
    explain = verb("explain", "show a value of the profile, where it comes from, and why it is there")
    explain.add_argument("key", metavar="KEY", help="as stages.quick-check.timeout")
    profile = verb("profile", "check the profile, or print its JSON Schema or reference")
    shown = profile.add_mutually_exclusive_group()
    shown.add_argument("--schema", action="store_true", help="print the JSON Schema")
    shown.add_argument("--reference", action="store_true", help="print the reference page (Markdown)")
    return parser


def _add_measuring(verb: Callable[[str, str], argparse.ArgumentParser]) -> None:
    bench = verb("bench", "measure scenarios (clean builds, edits, tests), or compare ways to build side by side")
    bench.add_argument(
        "--compare", type=_list, default=[], metavar="A,B,…",
        help="the first against each other: default, current, a preset, a Cargo profile, rev:REVISION, KEY=VALUE",
    )  # fmt: skip
    bench.add_argument("--scenario", nargs="+", default=[], metavar="ACTION/TASK", help="instead of bench.scenarios")
    bench.add_argument("--pairs", type=_count, metavar="N", help="the most pairs of a comparison")
    bench.add_argument("--time", type=_duration, metavar="DURATION", help="end after this time, as 10m")
    bench.add_argument("--fresh", action="store_true", help="do not go on with what an earlier call has measured")
    tune = verb("tune", "find the settings that pay on this workspace and this machine, and write them to the profile")
    tune.add_argument("--budget", type=_duration, metavar="DURATION", help="how long it may take, as 20m")
    tune.add_argument("--dry-run", action="store_true", help="show what would be written, and write nothing")
    tune.add_argument("--fresh", action="store_true", help="do not go on with what an earlier call has measured")
    gate = verb("gate", "hold budgets and the record's history against regressions; exit 1 when one is confirmed")
    gate.add_argument("--no-measure", action="store_true", help="judge what is recorded, and run nothing")
    gate.add_argument("--accept", metavar="REASON", help="begin a new history for what stands out")
    gate.add_argument("--markdown", type=Path, metavar="FILE", help="also write a summary for a pull request")


def _list(text: str) -> list[str]:
    return [part for part in (part.strip() for part in text.split(",")) if part]


def _count(text: str) -> int:
    """Return a number of pairs: fewer than five decide nothing."""
    if text.isascii() and text.isdecimal() and 5 <= int(text) <= 500:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a number from 5 to 500, found {text!r}")


def _duration(text: str) -> float:
    """Return seconds."""
    from buildopt.units import parse_duration  # noqa: PLC0415 - only where one is given

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _add_ci(verb: Callable[[str, str], argparse.ArgumentParser], verbs: Any, common: argparse.ArgumentParser) -> None:
    matrix = verb("ci-matrix", "print what CI has to run as JSON, and write it to GITHUB_OUTPUT")
    matrix.add_argument("--base", metavar="REV", help="what the change is compared with; what CI says when absent")
    about = "pinned actions, test durations and cache sizes of the generated CI files"
    subjects = verbs.add_parser("ci", help=about, description=about).add_subparsers(
        dest="subject", metavar="SUBJECT", required=True
    )

    def subject(name: str, about: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = subjects.add_parser(name, help=about, description=about, parents=[common])
        return added

    pins = subject("pins", "show which commit each action is pinned to").add_mutually_exclusive_group()
    pins.add_argument("--adopt", action="store_true", help="write pins that moved in the workflow to the lock file")
    pins.add_argument("--check", action="store_true", help="exit 5 when workflow and lock file differ")
    subject("caches", "show what CI will store, against ci.cache-limit")
    durations = subject("durations", "carry recorded durations from one machine to another")
    durations.add_argument("action", choices=("export", "import"), help="write the record to FILE, or add files to it")
    durations.add_argument("files", nargs="+", type=Path, metavar="FILE", help="export writes exactly one")
    cache = verb("cache", "keep the target directory of a fresh checkout valid, by content")
    cache.add_argument("action", choices=("save", "restore"), help="after the build; after the checkout")


def _shard(text: str) -> tuple[int, int]:
    """Return `I/N` as two numbers with 1 ≤ I ≤ N."""
    part, _, total = text.partition("/")
    if part.isdecimal() and total.isdecimal() and text.isascii() and 1 <= int(part) <= int(total) <= _MOST_SHARDS:
        return int(part), int(total)
    raise argparse.ArgumentTypeError(f"expected I/N with 1 ≤ I ≤ N ≤ {_MOST_SHARDS}, as 2/4, found {text!r}")


def _scoped(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scope", choices=("affected", "workspace"), help="instead of what the stages declare")


def _version() -> str:
    import buildopt  # noqa: PLC0415 - already loaded; named here only

    return buildopt.__version__
