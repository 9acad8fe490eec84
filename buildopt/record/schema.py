"""The tables of the record, as the steps that lead from an empty file to the format of today.

A step, once released, is never changed: a new format is a new step at the end.
"""

from __future__ import annotations

__all__ = ["FORMAT", "STEPS", "TABLES"]

_RUNS_AND_UNITS = (
    """
    CREATE TABLE run (
        key INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        verb TEXT NOT NULL,
        started_at REAL NOT NULL,
        result TEXT,
        wall_seconds REAL,
        cpu_seconds REAL,
        cargo TEXT,
        rustc TEXT,
        profile_fingerprint TEXT,
        git_sha TEXT,
        dirty INTEGER,
        host_class TEXT,
        cores INTEGER,
        ci INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE stage (
        run INTEGER NOT NULL REFERENCES run (key) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        result TEXT NOT NULL,
        wall_seconds REAL,
        cpu_seconds REAL,
        peak_bytes INTEGER,
        packages TEXT NOT NULL,
        fresh INTEGER NOT NULL,
        rebuilt INTEGER NOT NULL,
        budget_seconds REAL,
        timeout_seconds REAL,
        lock_wait INTEGER NOT NULL,
        detail TEXT,
        PRIMARY KEY (run, position)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX stage_by_name ON stage (name, run)",
    """
    CREATE TABLE step (
        run INTEGER NOT NULL REFERENCES run (key) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        stage TEXT NOT NULL,
        name TEXT NOT NULL,
        argv TEXT NOT NULL,
        result TEXT NOT NULL,
        wall_seconds REAL,
        cpu_seconds REAL,
        peak_bytes INTEGER,
        lock_wait INTEGER NOT NULL,
        detail TEXT,
        PRIMARY KEY (run, position)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE unit (
        run INTEGER NOT NULL REFERENCES run (key) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        package TEXT NOT NULL,
        version TEXT NOT NULL,
        target TEXT NOT NULL,
        mode TEXT NOT NULL,
        fresh INTEGER NOT NULL,
        reason TEXT,
        start_seconds REAL,
        duration_seconds REAL,
        frontend_seconds REAL,
        codegen_seconds REAL,
        stage TEXT NOT NULL,
        step TEXT NOT NULL,
        PRIMARY KEY (run, position)
    ) WITHOUT ROWID
    """,
)

_CACHE_NOTES_POLLUTION = (
    "ALTER TABLE run ADD COLUMN polluted TEXT",
    """
    CREATE TABLE cache (
        run INTEGER NOT NULL REFERENCES run (key) ON DELETE CASCADE,
        stage TEXT NOT NULL,
        hits INTEGER NOT NULL,
        misses INTEGER NOT NULL,
        errors INTEGER NOT NULL,
        not_cached TEXT NOT NULL,
        location TEXT NOT NULL,
        PRIMARY KEY (run, stage)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE note (
        run INTEGER NOT NULL REFERENCES run (key) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (run, position)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX unit_rebuilt ON unit (run) WHERE fresh = 0",
)

_CYCLES = (
    """
    CREATE TABLE cycle (
        key INTEGER PRIMARY KEY,
        started_at REAL NOT NULL,
        edits INTEGER NOT NULL,
        packages INTEGER NOT NULL,
        total_packages INTEGER NOT NULL,
        result TEXT NOT NULL,
        stage TEXT,
        first_diagnostic_seconds REAL,
        green_seconds REAL,
        cancelled_by TEXT,
        cancel_seconds REAL,
        cpu_seconds REAL,
        host_class TEXT
    )
    """,
    "CREATE INDEX cycle_by_time ON cycle (started_at)",
)

# What takes time: a test of a test binary, or, where the binary is empty, a whole stage.
_TIMES = (
    """
    CREATE TABLE timed (
        key INTEGER PRIMARY KEY,
        host_class TEXT NOT NULL,
        binary TEXT NOT NULL,
        name TEXT NOT NULL,
        UNIQUE (host_class, binary, name)
    )
    """,
    """
    CREATE TABLE sample (
        timed INTEGER NOT NULL REFERENCES timed (key) ON DELETE CASCADE,
        at INTEGER NOT NULL,
        seconds REAL NOT NULL,
        PRIMARY KEY (timed, at, seconds)
    ) WITHOUT ROWID
    """,
    """
    INSERT INTO timed (host_class, binary, name) SELECT DISTINCT run.host_class, '', stage.name
    FROM stage JOIN run ON run.key = stage.run
    WHERE run.host_class IS NOT NULL AND stage.result = 'success' AND stage.lock_wait = 0 AND stage.wall_seconds IS NOT NULL
    """,
    """
    INSERT OR IGNORE INTO sample SELECT timed.key, CAST(run.started_at * 1000 AS INTEGER), stage.wall_seconds
    FROM stage JOIN run ON run.key = stage.run JOIN timed ON timed.host_class = run.host_class AND timed.name = stage.name
    WHERE stage.result = 'success' AND stage.lock_wait = 0 AND stage.wall_seconds IS NOT NULL
    """,
)

# Comparisons and tunings, one row for each build that was measured. What orders them is `number`: clocks are set back.
_EXPERIMENTS = (
    """
    CREATE TABLE experiment (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        started_at REAL NOT NULL,
        host_class TEXT NOT NULL,
        cargo TEXT NOT NULL,
        rustc TEXT NOT NULL,
        profile_fingerprint TEXT NOT NULL,
        git_sha TEXT,
        dirty INTEGER,
        state TEXT NOT NULL,
        document TEXT
    )
    """,
    "CREATE INDEX experiment_by_key ON experiment (kind, key)",
    """
    CREATE TABLE measurement (
        number INTEGER PRIMARY KEY,
        experiment INTEGER NOT NULL REFERENCES experiment (number) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        scenario TEXT NOT NULL,
        arm TEXT NOT NULL,
        part TEXT NOT NULL,
        started_at REAL NOT NULL,
        result TEXT NOT NULL,
        wall_seconds REAL NOT NULL,
        cpu_seconds REAL NOT NULL,
        peak_bytes INTEGER NOT NULL,
        external_share REAL,
        polluted TEXT,
        cpu_complete INTEGER NOT NULL,
        target_bytes INTEGER,
        artifact_bytes INTEGER,
        test_seconds REAL,
        UNIQUE (experiment, position)
    )
    """,
    "CREATE INDEX measurement_by_scenario ON measurement (scenario, arm)",
    """
    CREATE TABLE baseline (
        number INTEGER PRIMARY KEY,
        subject TEXT NOT NULL,
        host_class TEXT NOT NULL,
        at REAL NOT NULL,
        reason TEXT NOT NULL,
        git_sha TEXT,
        after_run INTEGER NOT NULL,
        after_measurement INTEGER NOT NULL
    )
    """,
)

_OTHERS = ("ALTER TABLE run ADD COLUMN external_share REAL",)
_SPEED = ("ALTER TABLE measurement ADD COLUMN unit_seconds REAL",)

STEPS: tuple[tuple[str, ...], ...] = (
    _RUNS_AND_UNITS, _CACHE_NOTES_POLLUTION, _CYCLES, _TIMES, _EXPERIMENTS, _OTHERS, _SPEED,
)  # fmt: skip
"""`STEPS[n]` leads from format n to format n + 1."""

FORMAT = len(STEPS)
"""The format that this buildopt writes, kept in the file as `PRAGMA user_version`."""

TABLES = frozenset(
    "run stage step unit cache note cycle timed sample experiment measurement baseline".split()  # noqa: SIM905 - shorter
)
