"""What can go wrong when a teacher is asked.

TeacherError(RuntimeError)       one ask failed; `kind` says how, `retryable` whether to try again
IgnoredError(TeacherError)       the server leaves out what was asked for: no further ask is sent
AuthError(TeacherError)          the key is missing or refused: the run stops at once
BudgetReached(RuntimeError)      the next ask would pass the spending cap
ConfigError(ValueError)          a teacher's configuration cannot be built
MissingPackage(ImportError)      the adapter needs an extra
StorageError(OSError)            the store or the ledger cannot be read or written
"""

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from teachers.protocol import Answer

FailureKind = Literal[
    "rate_limit", "server", "timeout", "network", "auth", "bad_request", "context_overflow",
    "content_filter", "truncated", "parse", "schema", "empty", "user_code",
]  # fmt: skip

RETRYABLE: frozenset[str] = frozenset({"rate_limit", "server", "timeout", "network"})

PAID: frozenset[str] = frozenset(
    {"parse", "schema", "empty", "truncated", "content_filter", "context_overflow"}
)
"""Failures whose answer was paid for, or that the prompt decides: a resume would pay again for the
same. `--retry-failed` does it all the same."""


class TeacherError(RuntimeError):
    """One ask failed. Args: kind, message, retry_after_s, answer, maybe_billed."""

    @property
    def kind(self) -> FailureKind:
        """Which of the failure kinds this is."""
        return self.args[0]  # type: ignore[no-any-return]

    @property
    def retry_after_s(self) -> float | None:
        """Seconds the server asked us to wait, where it said so."""
        return self.args[2] if len(self.args) > 2 else None

    @property
    def answer(self) -> "Answer | None":
        """What came back although it cannot be used; it has to be paid for and is kept."""
        return self.args[3] if len(self.args) > 3 else None

    @property
    def maybe_billed(self) -> bool:
        """Whether the server may have done the work without our seeing its answer."""
        return self.kind == "timeout" or (len(self.args) > 4 and bool(self.args[4]))

    @property
    def retryable(self) -> bool:
        """Whether the same ask may succeed later without a change."""
        return self.kind in RETRYABLE

    def __str__(self) -> str:
        return str(self.args[1])


class AuthError(TeacherError):
    """The key is missing or refused. Args: "auth", message."""

    missing: ClassVar[bool] = False


class IgnoredError(TeacherError):
    """The server leaves out what was asked for; every further ask would be paid for in vain."""


class MissingKey(AuthError):
    """No key in the environment; nothing was sent."""

    missing = True


class BudgetReached(RuntimeError):
    """The next ask would pass the cap. Args: which cap ("usd", "requests" or "tokens"), message."""

    def __str__(self) -> str:
        return str(self.args[1])


class ConfigError(ValueError):
    """A teacher cannot be built from its configuration."""


class MissingPackage(ImportError):
    """An adapter needs a package that is not installed; the message holds the line to type."""


class StorageError(OSError):
    """The store or the ledger cannot be read or written; the message names the folder."""
