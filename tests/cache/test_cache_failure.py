from __future__ import annotations

import pytest

from buildopt.cache import is_wrapper_failure

SERVER_KILLED = """\
   Compiling c1 v0.1.0 (/w/c1)
sccache: warning: The server looks like it shut down unexpectedly, compiling locally instead
sccache: error: failed to execute compile
sccache: caused by: Failed to send data to or receive data from server
sccache: caused by: Failed to read response header
sccache: caused by: failed to fill whole buffer
error: could not compile `c1` (lib)

Caused by:
  process didn't exit successfully: `/venv/bin/sccache /rust/bin/rustc --crate-name c1 --edition=2021 c1/src/lib.rs` (exit status: 2)
warning: build failed, waiting for other jobs to finish...
"""
FIRST_CALL = """\
error: process didn't exit successfully: `/venv/bin/sccache /rust/bin/rustc -vV` (exit status: 2)
--- stderr
sccache: error: Timed out waiting for server startup. Maybe the remote service is unreachable?
Run with SCCACHE_LOG=debug SCCACHE_NO_DAEMON=1 to get more information

"""
INCREMENTAL = """\
sccache: incremental compilation is prohibited: Unset CARGO_INCREMENTAL to continue.
   Compiling c0 v0.1.0 (/w/c0)
error: could not compile `c0` (lib)

Caused by:
  process didn't exit successfully: `/venv/bin/sccache /rust/bin/rustc --crate-name c0` (exit status: 1)
"""
INCREMENTAL_FIRST = """\
error: process didn't exit successfully: `/venv/bin/sccache /rust/bin/rustc -vV` (exit status: 1)
--- stdout
sccache: incremental compilation is prohibited: Unset CARGO_INCREMENTAL to continue.
"""
GONE = """\
error: could not execute process `/venv/bin/sccache /rust/bin/rustc -vV` (never executed)

Caused by:
  No such file or directory (os error 2)
"""
GONE_LATER = """\
error: could not compile `c1` (lib)

Caused by:
  could not execute process `/venv/bin/sccache /rust/bin/rustc --crate-name c1` (never executed)
"""
PORT_TAKEN = """\
error: process didn't exit successfully: `sccache rustc -vV` (exit status: 2)
--- stderr
sccache: error: Server startup failed: Address in use
"""
NO_SPACE = """\
sccache: error: failed to execute compile
sccache: caused by: No space left on device (os error 28)
error: could not compile `c1` (lib)

Caused by:
  process didn't exit successfully: `'/with space/sccache' /rust/bin/clippy-driver /rust/bin/rustc --crate-name c1` (exit status: 2)
"""
OLD_WORDS = """\
sccache: encountered fatal error
sccache: error : connection refused
error: could not compile `c1`.

Caused by:
  process didn't exit successfully: `sccache rustc --crate-name c1` (exit code: 2)
"""


@pytest.mark.parametrize(
    "text",
    [
        SERVER_KILLED, FIRST_CALL, INCREMENTAL, INCREMENTAL_FIRST, GONE, GONE_LATER, PORT_TAKEN, NO_SPACE, OLD_WORDS,
        INCREMENTAL.replace("incremental compilation is ", "increment compilation is  "),  # 0.8
        SERVER_KILLED.replace("\n", "\r\n"),
        SERVER_KILLED.replace("error: could", "\x1b[1m\x1b[91merror\x1b[0m: could").replace("sccache: error", "\r\x1b[Ksccache: error"),
        FIRST_CALL.replace("error: process", "\x1b[1m\x1b[91merror\x1b[0m: process"),
        PORT_TAKEN.replace("sccache rustc", r"C:\tools\sccache.exe rustc.exe"),
    ],
)  # fmt: skip
def test_failures_of_sccache(text: str) -> None:
    assert is_wrapper_failure(text.encode())


COMPILE_ERROR = """\
error: sccache: error: failed to execute compile
 --> src/lib.rs:1:1
  |
1 | compile_error!("sccache: error: failed to execute compile");
  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

error: could not compile `c1` (lib) due to 1 previous error

Caused by:
  process didn't exit successfully: `/venv/bin/sccache /rust/bin/rustc --crate-name c1` (exit status: 1)
"""
MANY_LINES = COMPILE_ERROR.replace("failed to execute compile\n -->", "one\n       sccache: error: two\n -->")
BUILD_SCRIPT = """\
error: failed to run custom build command for `c1 v0.1.0 (/w/c1)`

Caused by:
  process didn't exit successfully: `/w/target/debug/build/c1-0/build-script-build` (exit status: 101)
  --- stderr
  sccache: error: failed to execute compile
"""
MACRO_PRINTS = """\
sccache: error: this macro thinks it is funny
error[E0425]: cannot find value `x` in this scope
error: could not compile `c1` (lib) due to 1 previous error
"""
TEST_PRINTS = """\
sccache: error: a test prints this
error: test failed, to rerun pass `--lib`

Caused by:
  process didn't exit successfully: `/w/target/debug/deps/sccache-0123 --nocapture` (exit status: 101)
"""
BAD_FLAG = """\
error: process didn't exit successfully: `/venv/bin/sccache /rust/bin/rustc - --crate-name ___ --print=file-names` (exit status: 1)
--- stderr
error: unknown codegen option: `bogus`
"""
KILLED_RUSTC = """\
error: could not compile `c1` (lib)

Caused by:
  process didn't exit successfully: `/venv/bin/sccache /rust/bin/rustc --crate-name c1` (exit status: 254)
"""


@pytest.mark.parametrize(
    "text",
    [
        "", "sccache", COMPILE_ERROR, MANY_LINES, BUILD_SCRIPT, MACRO_PRINTS, TEST_PRINTS, BAD_FLAG, KILLED_RUSTC,
        "sccache: warning: The server looks like it shut down unexpectedly, compiling locally instead\nerror: could not compile `c1`",
        GONE.replace("/venv/bin/sccache", "/venv/bin/kache"),
    ],
)  # fmt: skip
def test_failures_of_the_code(text: str) -> None:
    assert not is_wrapper_failure(text.encode())


def test_any_bytes_are_looked_at() -> None:
    assert not is_wrapper_failure(bytes(range(256)) * 50)
