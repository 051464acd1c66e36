"""Faults of ours in Tune's hooks: counted, kept in the ledger, and said once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from raymimic import events
from raymimic.foreign import trace_text

logger = logging.getLogger(__name__)


class Faults:
    """What failed in the hooks of ``who``; ``counts`` by hook. A plain value."""

    def __init__(self, who: str) -> None:
        self.counts: Counter[str] = Counter()
        self._who = who
        self._kept: set[tuple[str, str]] = set()

    def add(self, hook: str, error: Exception, note: Callable[..., Any]) -> None:
        """Count it; the first of its kind goes to ``note``, the first of all to the log."""
        self.counts[hook] += 1
        kind = hook, type(error).__name__
        if kind not in self._kept:  # one at each result would fill the ledger
            self._kept.add(kind)
            events.fault(note, hook=hook, error=error)
        if self.counts.total() == 1:
            logger.warning(
                "raymimic: the %s failed in %s (said once); the run goes on without it.\n%s",
                self._who,
                hook,
                trace_text(error),
            )
