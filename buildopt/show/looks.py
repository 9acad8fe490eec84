"""The verbs that look and change nothing of yours: `report`, `doctor`, `explain`, `profile`; and `init`, which starts."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

from buildopt import profile as profiles
from buildopt.colour import colour_wanted
from buildopt.errors import ArgumentError, BuildoptError, ProfileError
from buildopt.host import Host
from buildopt.profile import Explanation, Origin
from buildopt.profile.model import Profile
from buildopt.record import Record
from buildopt.show.common import open_context, print_json, say
from buildopt.verbs.context import Context

__all__ = ["show_look"]


def show_look(host: Host, arguments: argparse.Namespace, via_nox: bool) -> int:
    """Look at what `arguments` asks for, show it, and return the exit code."""
    if arguments.verb == "profile" and (arguments.schema or arguments.reference):
        return _declaration(arguments)
    verbs: dict[str, Callable[[Context, argparse.Namespace, bool], int]] = {
        "report": _report,
        "doctor": _doctor,
        "explain": _explain,
        "profile": _check,
        "init": _init,
    }
    context = open_context(host, arguments)
    return verbs[arguments.verb](context, arguments, via_nox)


def _declaration(arguments: argparse.Namespace) -> int:
    if arguments.schema:
        print_json(profiles.schema())
    else:
        sys.stdout.write(profiles.reference())
    return 0


def _report(context: Context, arguments: argparse.Namespace, _via_nox: bool) -> int:
    from buildopt.report import runs  # noqa: PLC0415 - each verb loads what it needs

    if arguments.last < 1:
        raise ArgumentError(f"--last: expected a number above zero, found {arguments.last}")
    profile, trouble = _profile_if_any(context)
    if arguments.slow:
        return _slow(context, profile, json=arguments.json)
    with Record.open(context.host, context.state) as record:
        view = runs.view_runs(record, profile, now=context.host.now(), limit=arguments.last)
    if arguments.json:
        print_json(runs.as_json(view))
        return 0
    if trouble is not None:
        say(f"budgets are left out: {trouble.message}")
    _write(runs.as_text, view, context)
    return 0


def _slow(context: Context, profile: Profile | None, *, json: bool) -> int:
    from buildopt.report import slow_text  # noqa: PLC0415 - each verb loads what it needs
    from buildopt.verbs.slow import look_slow  # noqa: PLC0415 - as above

    view = look_slow(context, profile)
    if json:
        print_json(slow_text.as_json(view))
    else:
        _write(slow_text.as_text, view, context)
    return 0


def _doctor(context: Context, arguments: argparse.Namespace, _via_nox: bool) -> int:
    from buildopt.report import doctor  # noqa: PLC0415 - each verb loads what it needs

    profile, trouble = _profile_if_any(context)
    stale = None
    if profile is not None:
        stale, trouble = _stale(context)
    diagnosis = doctor.examine(context.host, context.root, context.state, profile, drift=stale, trouble=trouble)
    if arguments.json:
        print_json(doctor.as_json(diagnosis))
    else:
        _write(doctor.as_text, diagnosis, context)
    return diagnosis.exit_code


def _explain(context: Context, arguments: argparse.Namespace, _via_nox: bool) -> int:
    found = profiles.explain(context.loaded, arguments.key)
    if arguments.json:
        parts = [{"key": part.key, "value": part.value, "origin": part.origin._asdict()} for part in found.parts]
        document = {**found._asdict(), "origin": found.origin._asdict(), "parts": parts}
        print_json({"version": 1, "explain": document})
    else:
        sys.stdout.write("".join(f"{line}\n" for line in (*_explanation(found), *_followed(context, found))))
    return 0


def _followed(context: Context, found: Explanation) -> Iterator[str]:
    """Yield what a timeout that follows the record is on this machine."""
    table, _, rest = found.key.partition(".")
    if found.value == "auto" and table in ("stages", "tests") and rest.endswith(".timeout"):
        from buildopt.measure import plain_duration  # noqa: PLC0415 - only for such a timeout
        from buildopt.verbs.run import timeout_of  # noqa: PLC0415 - as above

        name = rest.removesuffix(".timeout")
        seconds = timeout_of(context, "auto", [name if table == "stages" else f"dev-test {name}"])
        yield f"  here      {plain_duration(seconds or 0)}"


def _explanation(found: Explanation) -> Iterator[str]:
    if found.parts:
        yield f"{found.key}  (a table)"
        for part in found.parts:
            yield f"  {part.key} = {json.dumps(part.value, ensure_ascii=False)}  # {_origin(part.origin)}"
    else:
        value = "not set" if found.value is None else f"= {json.dumps(found.value, ensure_ascii=False)}"
        yield f"{found.key} {value}"
        yield f"  from      {_origin(found.origin)}"
        yield f"  why       {found.reason}"
        yield f"  expected  {found.expected}"
    yield f"  means     {found.documentation}"
    if found.comment:
        yield f"  comment   {found.comment}"


def _origin(origin: Origin) -> str:
    return origin.source if origin.layer in origin.source else f"{origin.layer} ({origin.source})"


def _check(context: Context, arguments: argparse.Namespace, _via_nox: bool) -> int:
    loaded = context.loaded
    files = [file for file, _ in loaded.documents]
    if arguments.json:
        print_json({"version": 1, "valid": True, "files": files, "fingerprint": loaded.fingerprint})
    else:
        say(f"the profile is valid; it is made of {', '.join(files)}")
    return 0


def _init(context: Context, arguments: argparse.Namespace, via_nox: bool) -> int:
    from buildopt.verbs.init import init  # noqa: PLC0415 - each verb loads what it needs

    started = init(context.host, context)
    if arguments.json:
        print_json({"version": 1, "written": list(started.written), "kept": list(started.kept)})
        return 0
    say(f"found a {started.summary}")
    if started.written:
        say(f"wrote {' and '.join(started.written)}")
    for name in started.kept:
        more = "; for the sessions it needs: import buildopt; buildopt.sessions()" if name == "noxfile.py" else ""
        say(f"{name} is there already and stays as it is{more}")
    say(
        f"next: {'nox -s sync' if via_nox else 'buildopt sync'} (one diff, then the files), or right away: nox -s dev-quick"
    )
    return 0


def _profile_if_any(context: Context) -> tuple[Profile | None, BuildoptError | None]:
    try:
        return context.loaded.profile, None
    except ProfileError as error:
        return None, error


def _stale(context: Context) -> tuple[list[str] | None, BuildoptError | None]:
    from buildopt.verbs.generated import make_committed_plan  # noqa: PLC0415 - only the doctor asks
    from buildopt.verbs.pins import only_moved  # noqa: PLC0415 - as above

    try:
        plan = make_committed_plan(context)
        return [] if only_moved(plan) else [edit.path for edit in plan.edits], None
    except BuildoptError as error:
        return None, error


def _write(render: Callable[..., str], view: Any, context: Context) -> None:
    width = shutil.get_terminal_size((100, 24)).columns
    text = render(view, max(60, min(width, 140)), color=colour_wanted(sys.stdout, context.host.environ))
    sys.stdout.write(text)
    sys.stdout.flush()
