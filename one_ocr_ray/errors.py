"""All exceptions of the package, in one tree with exit codes. A failed page is never an exception: it is a row.

OneOcrError                 1   internal error
├── DamagedError            2   a file of an output is missing or was changed from outside; the user can restore it
├── UsageError              2   a flag, a setting or a key is wrong; the user can fix it
│   ├── OutputInUseError    2   another run works on this output
│   ├── StoreInUseError     2   another service works on this store
│   └── OptionsError        2   an upload asks for something that this service does not offer
├── StoppedError            4   stopped; the same command resumes (budget, quota, billing, auth, interrupted)
│   └── StorageError        4   storage refuses or is full
└── EngineError             1   an engine cannot work on this machine

The code that calls a library translates its exceptions to these by type, `from exc`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from one_ocr_ray.model import ErrorCode

EXIT_OK = 0
EXIT_SOME_FAILED = 3


class OneOcrError(Exception):
    """Root of all errors of this package. Its text is a sentence for people, without page content or secrets."""

    exit_code = 1


class UsageError(OneOcrError):
    """The command, the configuration or the environment is wrong; the sentence says what to do."""

    exit_code = 2


class OutputInUseError(UsageError):
    """Another driver works on this output."""


class StoreInUseError(UsageError):
    """Another service works on this store."""


class OptionsError(UsageError):
    """An upload asks for something that this service is not configured to offer."""

    def __init__(self, message: str, code: ErrorCode) -> None:
        super().__init__(message)
        self.code = code


class DamagedError(OneOcrError):
    """A file that we never change is empty, torn or replaced; the sentence names it."""

    exit_code = 2


class StoppedError(OneOcrError):
    """The run stopped before its end; the same command resumes it."""

    exit_code = 4

    def __init__(self, message: str, code: ErrorCode | None = None) -> None:
        super().__init__(message)
        self.code = code


class StorageError(StoppedError):
    """Storage refused, failed permanently, or is full."""


class EngineError(OneOcrError):
    """An engine cannot be started."""


def first_error(group: ExceptionGroup[Exception]) -> Exception:
    """The error that ended a task group. One of ours before any other, for it has a sentence."""
    leaves = list(_leaves(group))
    return next((leaf for leaf in leaves if isinstance(leaf, OneOcrError)), leaves[0])


def _leaves(group: ExceptionGroup[Exception]) -> list[Exception]:
    return [
        leaf for each in group.exceptions for leaf in (_leaves(each) if isinstance(each, ExceptionGroup) else [each])
    ]
