"""The error tree and its exit codes.

BuildoptError                exit  class of situation
├── AnswerIsNo                 1   the question was answered, and the answer is no
│   ├── StageFailed                a step of a stage exited non-zero
│   ├── Drift                      a generated file is stale
│   ├── OverBudget                 a budget that is enforced was exceeded
│   ├── ChangedSince               a file is not what the plan or the record says it was
│   ├── ArmFailed                  one of the ways to build that are compared does not build, or its tests fail
│   └── PinsMoved              5   a generated workflow differs in pinned actions only
├── BadInput                   2   something that a person wrote cannot be accepted
│   ├── ArgumentError              command line
│   ├── ProfileError               buildopt.toml or one of its presets
│   ├── ManifestError              Cargo.toml or Cargo's configuration
│   ├── GateRefused                a feature gate that would break the package
│   └── UnsafePath                 a path that leaves the workspace root
├── Missing                    3   this machine lacks something
│   ├── ToolMissing                a program is not found or too old
│   └── MachineRefused             disk full, no permission, no process to be had
├── Bug                        4   a defect of buildopt itself
├── TimedOut                 124   a stage ran past its timeout
└── Interrupted              130   Ctrl-C, SIGTERM or SIGHUP
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AnswerIsNo",
    "ArgumentError",
    "ArmFailed",
    "BadInput",
    "Bug",
    "BuildoptError",
    "ChangedSince",
    "Drift",
    "GateRefused",
    "Interrupted",
    "MachineRefused",
    "ManifestError",
    "Missing",
    "OverBudget",
    "PinsMoved",
    "Problem",
    "ProfileError",
    "StageFailed",
    "TimedOut",
    "ToolMissing",
    "UnsafePath",
]


class Problem:
    """One thing that is wrong: where it stands, what was expected, what to do about it."""

    __slots__ = ("file", "hint", "key", "message")

    def __init__(
        self, message: str, *, file: str | None = None, key: str | None = None, hint: str | None = None
    ) -> None:
        self.message = message
        self.file = file
        self.key = key
        self.hint = hint

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.file, self.key) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} ({self.hint})" if self.hint else text

    def __repr__(self) -> str:
        return f"Problem({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and self.as_json() == other.as_json()

    def __hash__(self) -> int:
        return hash((self.message, self.file, self.key, self.hint))

    def as_json(self) -> dict[str, str | None]:
        """Return the four fields as one JSON object."""
        return {"file": self.file, "key": self.key, "message": self.message, "hint": self.hint}


class BuildoptError(Exception):
    """Base of everything that buildopt raises on purpose.

    `message` is a lowercase fragment, `problems` are the places at fault, `hint` says what to do next.
    """

    exit_code: ClassVar[int] = 4

    def __init__(self, message: str, *, problems: tuple[Problem, ...] = (), hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.problems = problems
        self.hint = hint

    def lines(self) -> list[str]:
        """Return the text for a person: the message, one line a problem, the hint."""
        lines = [self.message, *(f"  {problem}" for problem in self.problems)]
        return [*lines, f"  → {self.hint}"] if self.hint else lines

    def as_json(self) -> dict[str, object]:
        """Return the error as the one document that `--json` prints."""
        return {
            "version": 1,
            "error": {
                "class": type(self).__name__,
                "exit_code": self.exit_code,
                "message": self.message,
                "problems": [problem.as_json() for problem in self.problems],
                "hint": self.hint,
            },
        }


class AnswerIsNo(BuildoptError):
    """The question was answered, and the answer is no."""

    exit_code = 1


class StageFailed(AnswerIsNo):
    """A step of a stage exited non-zero."""


class Drift(AnswerIsNo):
    """A generated file is not what the profile says."""


class OverBudget(AnswerIsNo):
    """A budget that is enforced was exceeded."""


class ChangedSince(AnswerIsNo):
    """A file is not what the plan or the record says it was; nothing was written."""


class ArmFailed(AnswerIsNo):
    """One of the ways to build that are compared does not build, or its tests fail."""


class PinsMoved(AnswerIsNo):
    """A generated workflow is what the profile says but for the pins of its actions, which a bot may have moved."""

    exit_code = 5


class BadInput(BuildoptError):
    """Something that a person wrote cannot be accepted."""

    exit_code = 2


class ArgumentError(BadInput):
    """The command line cannot be accepted."""


class ProfileError(BadInput):
    """The profile or one of its presets cannot be accepted."""


class ManifestError(BadInput):
    """A Cargo manifest or Cargo configuration cannot be accepted."""


class GateRefused(BadInput):
    """A feature gate would break the package that it is declared for."""


class UnsafePath(BadInput):
    """A path leaves the workspace root."""


class Missing(BuildoptError):
    """This machine lacks something."""

    exit_code = 3


class ToolMissing(Missing):
    """A program is not found, or its version is not the one required."""


class MachineRefused(Missing):
    """The operating system refused: disk full, no permission, no process to be had."""


class Bug(BuildoptError):
    """A defect of buildopt itself."""

    exit_code = 4


class TimedOut(BuildoptError):
    """A stage ran past its timeout."""

    exit_code = 124


class Interrupted(BuildoptError):
    """Ctrl-C, SIGTERM or SIGHUP ended the run."""

    exit_code = 130
