from __future__ import annotations

import pytest

from buildopt.generate.ci.lanes import Cached, Lane
from buildopt.report.ci_caches import Built, as_json, as_lines, folder_of, forecast, weigh

MIB = 1 << 20
H = "0123456789abcdef"
OWN = frozenset({"app", "app_core", "round_trip"})


def lane(kind, name, key, *, writes=True, stage=None):
    return Lane(
        kind,
        name,
        ("buildopt",),
        25,
        stage=stage or (name if kind == "stage" else None),
        cached=Cached(key, writes=writes),
    )


@pytest.mark.parametrize(
    ("files", "built"),
    [
        ([(f"deps/libserde-{H}.rmeta", 1, False), (f"deps/serde-{H}.d", 1, False)], Built(check=2)),
        ([(f"deps/libserde-{H}.rmeta", 1, False), (f"deps/libserde-{H}.rlib", 5, False)], Built(build=6)),
        ([(f"deps/libserde_derive-{H}.so", 4, True)], Built(check=4, build=4)),
        (
            [(f"build/serde-{H}/build-script-build", 3, True), (f"build/serde-{H}/output", 1, False)],
            Built(check=4, build=4),
        ),
        ([(f"deps/round_trip-{H}", 7, True), (f"deps/round_trip-{H}.d", 1, False)], Built(own_build=8)),
        ([(f"deps/libapp_core-{H}.rmeta", 2, False)], Built(own_check=2)),
        ([(f".fingerprint/app-core-{H}/lib-app_core", 1, False)], Built(own_check=1)),
        ([("app", 9, True), ("app.d", 1, False)], Built(own_build=10)),
        ([(f"incremental/app-{H}/x/dep-graph.bin", 99, False)], Built()),
        ([(f"build/serde/{H}/out/libserde.rlib", 5, False)], Built(check=5, build=5)),
        ([], Built()),
    ],
)
def test_files_are_weighed_by_whose_unit_they_are_and_which_step_needs_it(files, built):
    assert weigh(files, OWN) == built


@pytest.mark.parametrize(
    ("key", "folder"), [("dev-build", "debug"), ("release-check", "release"), ("dev-fast-build", "dev-fast")]
)
def test_a_key_speaks_of_one_folder(key, folder):
    assert folder_of(key) == folder


def test_only_what_is_written_is_stored_and_every_image_has_its_own():
    lanes = (
        lane("stage", "quick-check", "dev-check"), lane("stage", "core", "dev-build", writes=False), lane("stage", "full", "dev-build"),
        lane("platform", "platform", "platform", stage="full"), lane("msrv", "msrv", "msrv", stage="quick-check"),
        lane("tests", "gpu", "release-build"),
    )  # fmt: skip
    built = {"debug": Built(10 * MIB, 40 * MIB, 5 * MIB, 20 * MIB)}
    found = forecast(lanes, "dependencies", built, platforms=2, crates=MIB, ratio=0.5, limit=100 * MIB)
    assert [(entry.key, entry.copies, entry.stored and entry.stored // MIB) for entry in found.entries] == [
        ("dev-check", 1, 6), ("dev-build", 1, 21), ("platform", 2, 21), ("msrv", 1, 6), ("release-build", 1, None),
    ]  # fmt: skip
    assert found.total == (6 + 21 + 42 + 6) * MIB
    assert found.unknown == ("release-build",)
    whole = forecast(lanes, "workspace", built, platforms=2, crates=MIB, ratio=0.5, limit=100 * MIB)
    assert whole.entries[1].stored == 31 * MIB


def test_what_fits_and_what_does_not_is_said_with_what_to_do():
    built = {"debug": Built(10 * MIB, 40 * MIB, 5 * MIB, 20 * MIB)}
    lanes = (lane("stage", "full", "dev-build"), lane("tests", "gpu", "release-build"))
    fits = forecast(lanes, "dependencies", built, platforms=0, crates=MIB, ratio=0.5, limit=100 * MIB)
    assert as_json(fits)["caches"]["fits"] is True
    assert as_lines(fits, 100) == [
        "  key            written by       here  stored, about",
        "  dev-build      full           40 MiB         21 MiB",
        "  release-build  gpu         not built        unknown",
        "  in each of them: downloaded crates, 1.0 MiB",
        "about 21 MiB for one Cargo.lock, toolchain and image; ci.cache-limit, 100 MiB, holds 4 of that",
        "not counted: release-build; run their stages once on this machine",
    ]
    over = forecast(lanes, "workspace", built, platforms=0, crates=MIB, ratio=0.5, limit=10 * MIB)
    assert as_json(over)["caches"]["fits"] is False
    assert as_lines(over, 100)[-2:] == [
        "about 31 MiB for one Cargo.lock, toolchain and image: more than ci.cache-limit, 10 MiB",
        'then one job throws away what the next one needs: ci.cache = "dependencies", fewer Cargo profiles in stages, or a higher limit',
    ]


@pytest.mark.parametrize("mode", ["sccache", "none"])
def test_where_no_target_directory_is_stored_one_line_says_so(mode):
    found = forecast((lane("stage", "full", "dev-build"),), mode, {}, platforms=0, crates=0, ratio=0.3, limit=MIB)
    assert len(as_lines(found, 100)) == 1
    assert mode in as_lines(found, 100)[0]
    assert as_json(found)["caches"]["total"] == 0
