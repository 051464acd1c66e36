"""Keeps a fault of ours from ending the experiment: Tune aborts on whatever a hook raises."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol, TypeVar


class SaysFaults(Protocol):
    """Can say that one of its hooks failed."""

    def fault(self, hook: str, error: Exception) -> None:
        """Count it, keep it and say it."""


S = TypeVar("S", bound=SaysFaults)


def guarded(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a hook that Tune calls: a failure is told to the object's `fault`, and None returned."""

    @functools.wraps(hook)
    def without_raising(self: S, *arguments: Any, **named: Any) -> Any:
        try:
            return hook(self, *arguments, **named)
        except Exception as error:  # noqa: BLE001 - that is what it is for
            self.fault(hook.__name__, error)
            return None

    return without_raising
