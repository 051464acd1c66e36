"""Every error raymimic raises on purpose; each says what must hold, what came, and the cure.

RaymimicError
├── MissingExtra                   an optional package is not installed
├── SpaceError (ValueError)        a search space that cannot be searched
│   └── ConfigError                one configuration that does not fit the space
├── LedgerError (ValueError)       a ledger that cannot be read or written
├── LessonsError (ValueError)      a file that holds no lessons, or nothing to write into one
├── ProgramError (ValueError)      a program or its data that cannot be evolved
├── SandboxError                   this machine cannot confine a candidate program
├── MergeError (ValueError)        models that cannot be merged
├── CandidateError                 one candidate program failed, or returned what it must not
├── AdvisorError                   an advisor returned no usable advice
└── LLMError                       a language model gave no usable reply
    ├── LLMSetupError (ValueError) the setting is wrong: asking again cannot help
    │   └── BudgetError            what was set aside for calls is spent: as final
    ├── LLMCallError               the call failed on its way (network, status, deadline)
    ├── LLMRefusal                 the model declined to answer
    └── BadReply                   the text that came is not the JSON we asked for
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class RaymimicError(Exception):
    """Base of all errors raised on purpose by raymimic."""


class MissingExtra(RaymimicError):
    """An optional package is not installed; the message carries the pip line."""


class SpaceError(RaymimicError, ValueError):
    """A search space that cannot be searched as given."""


class ConfigError(SpaceError):
    """One configuration does not fit the space; ``faults`` lists every reason."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[str]]]:
        return type(self), (self.faults,)


class LedgerError(RaymimicError, ValueError):
    """A ledger file that cannot be read or written."""


class LessonsError(RaymimicError, ValueError):
    """Lessons of an earlier search that cannot be read, or a search that has none to write."""


class ProgramError(RaymimicError, ValueError):
    """A program, or the data to train it on, that cannot be evolved as given."""


class SandboxError(RaymimicError):
    """No mechanism of this machine confines a candidate program, or its runner did not start."""


class MergeError(RaymimicError, ValueError):
    """Models that cannot be merged, or a setting of a merge that is none."""


class CandidateError(RaymimicError):
    """A candidate program failed or returned what it must not; ``reason`` names it for counting."""

    def __init__(self, message: str, *, reason: str = "error") -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return _candidate_error, (str(self), self.reason)


def _candidate_error(message: str, reason: str) -> CandidateError:
    return CandidateError(message, reason=reason)


class AdvisorError(RaymimicError):
    """An advisor was asked and returned nothing that can be used.

    ``reason`` names it in one word for counting, ``calls`` are the paid `records.Call`s it made,
    ``permanent`` says that asking again cannot help.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "error",
        calls: tuple[Any, ...] = (),
        permanent: bool = False,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.calls = calls
        self.permanent = permanent


class LLMError(RaymimicError):
    """A language model gave no usable reply.

    ``status`` names the outcome in one word for counting ("429", "timeout", "refusal", ...);
    ``retryable`` says whether the same call may succeed later. ``failed_tries`` are the statuses of
    all requests that failed, this one last; a reply that came and cannot be used (refused, cut off)
    was paid for all the same: ``tokens_in``, ``tokens_out`` and ``cost`` (as in `Reply`) say what.
    ``server`` as in `Reply`.
    """

    retryable = False
    failed_tries: tuple[str, ...] = ()
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    server: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, message: str, *, status: str = "error") -> None:
        super().__init__(message)
        self.status = status


class LLMSetupError(LLMError, ValueError):
    """The setting is wrong (no key, unknown model, ...): asking again cannot help."""


class BudgetError(LLMSetupError):
    """What was set aside for calls (their number, tokens or money) is spent: as final."""

    def __init__(self, message: str, *, status: str = "budget") -> None:
        super().__init__(message, status=status)


class LLMCallError(LLMError):
    """The call failed on its way.

    ``retry_after`` is the wait in seconds the server asked for, if it did.
    """

    def __init__(
        self,
        message: str,
        *,
        status: str = "error",
        retryable: bool = True,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status)
        self.retryable = retryable
        self.retry_after = retry_after


class LLMRefusal(LLMError):
    """The model declined to answer: a normal outcome, not retried."""


class BadReply(LLMError):
    """The text that came is not the JSON that was asked for."""
