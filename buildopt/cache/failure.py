"""Whose fault a failed build is: sccache's, or the code's."""

from __future__ import annotations

import re

__all__ = ["is_wrapper_failure"]

# Colours, and what Cargo's progress bar leaves at the beginning of a line.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r(?!\n)")

# A line of its own in sccache's words. Rustc's diagnostics, source lines and the output of build scripts are indented
# or carry a line number; only a procedural macro or a test could print this, hence the second condition.
_SAID_BY_SCCACHE = re.compile(
    r"^sccache: (?:error: |caused by: |encountered fatal error|increment(?:al)? compilation is +prohibited)",
    re.MULTILINE,
)
# Cargo names the program that failed: sccache, with a compiler as its first argument.
_SCCACHE_FAILED = re.compile(
    r"^(?:error: |  )?process didn't exit successfully: `'?(?:[^`'\n]*[/\\])?sccache(?:\.exe)?'? [^`\n]*?"
    r"(?:rustc|clippy-driver|rustdoc)\b",
    re.MULTILINE,
)
# Cargo could not even start it: removed in mid-build, or no permission.
_NEVER_EXECUTED = re.compile(
    r"^(?:error: |  )?could not execute process `'?(?:[^`'\n]*[/\\])?sccache(?:\.exe)?'?[ `]", re.MULTILINE
)


def is_wrapper_failure(output_tail: bytes) -> bool:
    """Return whether a build failed because of sccache, judged by the end of what Cargo printed.

    Give it the last 64 KiB of stderr (one rustc line may take several KiB) and, where it was captured, what stood on
    stdout beside Cargo's messages: sccache's refusal of CARGO_INCREMENTAL=1 comes out there.
    True asks for Cargo's word that the wrapper process failed and for sccache's own: code that prints one of them is not enough.
    """
    text = _CONTROL.sub("", output_tail.decode(errors="replace")).replace("\r\n", "\n")
    if _NEVER_EXECUTED.search(text):
        return True
    return bool(_SCCACHE_FAILED.search(text) and _SAID_BY_SCCACHE.search(text))
