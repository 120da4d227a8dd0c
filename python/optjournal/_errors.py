"""What can go wrong beyond Optuna's own exceptions. The class says what the caller should do.

SPDX-License-Identifier: MIT
"""

from __future__ import annotations

from typing import ClassVar

from optuna.exceptions import StorageInternalError


class JournalError(StorageInternalError):
    """The base of all errors of a journal that Optuna has no exception for.

    Attributes:
        code: The same as the class, as a word: "busy", "gone", "invalid", "refused",
            "incompatible", "corrupt", "io" or "published".
        errno: The system's error number if a system call was involved, else 0.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str = "", errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno

    def __reduce__(self) -> tuple[type[JournalError], tuple[str, int]]:
        return type(self), (str(self), self.errno)


class BusyError(JournalError):
    """A limit was reached or the timeout passed, and nothing was written: try again later."""

    code = "busy"


class GoneError(JournalError):
    """What was asked for ended: the storage was closed, or no daemon is to be had."""

    code = "gone"


class InvalidError(JournalError, ValueError):
    """The call or its input is wrong, for instance a location that is no journal: fix it."""

    code = "invalid"


class RefusedError(JournalError):
    """Not allowed here, for instance writing through a storage that only reads."""

    code = "refused"


class IncompatibleError(JournalError):
    """Written by another version of optjournal: upgrade."""

    code = "incompatible"


class CorruptError(JournalError):
    """Bytes on disk or in memory are damaged: stop, and keep the folder as it is."""

    code = "corrupt"


class IoError(JournalError):
    """The system said no; ``errno`` and the message say why."""

    code = "io"


class PublishedError(JournalError):
    """The write is in the journal, seen by all: do not repeat it. The message, which begins with
    "published as record N", says what failed then: mostly that it was not on disk in time."""

    code = "published"
