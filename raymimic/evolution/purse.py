"""What may still be asked of the model: the budget, and a pause after failures."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from raymimic.errors import BudgetError, LLMError, LLMSetupError
from raymimic.evolution.events import Row
from raymimic.evolution.state import Spent
from raymimic.llm import LLM, cost

# As everywhere in this package: 2, 4, 8 ... seconds after failures in a row, at most a minute.
_BACKOFF_S, _BACKOFF_MAX_S = 2.0, 60.0


@dataclass(frozen=True)
class Budget:
    """The most that calls may take; None: no limit.

    Calls that run side by side may each go beyond ``tokens`` and ``usd`` by what they themselves
    take; ``calls`` is exact.
    """

    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None

    def check_price(self, llm: LLM) -> None:
        """Raise `LLMSetupError` for a limit in dollars on a model of unknown price."""
        if self.usd is not None and cost(llm.model, 1, 1) is None:
            raise LLMSetupError(f"usd={self.usd:g} needs a known price, {llm.model} has none")


class Purse:
    """Says before each call whether it may be made. Safe to use from any thread."""

    def __init__(self, budget: Budget, spent: Spent) -> None:
        self._budget, self._spent = budget, Spent(spent.calls, spent.tokens, spent.usd)
        self._lock = threading.Lock()
        self._failures = 0
        self._retry_at = 0.0
        self._final: LLMError | None = None

    def open(self) -> str | None:
        """None if a call may be made now, else why not."""
        budget, spent = self._budget, self._spent
        if self._final is not None:
            return f"{self._final.status}: {self._final}"
        for name in ("calls", "tokens", "usd"):
            limit, used = getattr(budget, name), getattr(spent, name)
            if limit is not None and (used is None or used >= limit):
                return f"budget: the {name} set aside are spent"
        if time.monotonic() < self._retry_at:
            return "paused: the model's last calls failed"
        return None

    def take(self) -> None:
        """Count a call that begins; raises `BudgetError` if none may be made."""
        with self._lock:
            why = self.open()
            if why is not None:
                raise BudgetError(why, status=why.partition(":")[0])
            self._spent.calls += 1

    def settle(self, row: Row, error: LLMError | None) -> None:
        """Count what a call took and whether it failed."""
        with self._lock:
            calls = self._spent.calls
            self._spent.add(row)
            self._spent.calls = calls
            if error is None:
                self._failures = 0
                return
            if isinstance(error, LLMSetupError):
                self._final = error
            now = time.monotonic()
            if now < self._retry_at:  # asked beside the one that failed before: the same outage
                return
            self._failures += 1
            self._retry_at = now + min(_BACKOFF_S * 2 ** (self._failures - 1), _BACKOFF_MAX_S)

    def __reduce__(self) -> tuple[Any, ...]:
        return Purse, (self._budget, self._spent)
