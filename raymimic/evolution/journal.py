"""Events on their way into a ledger and into the state that is their fold."""

from __future__ import annotations

import queue
import threading
from typing import Protocol

from raymimic.evolution.events import Row
from raymimic.ledger import Ledger


class Folds(Protocol):
    """A state that takes in events."""

    def apply(self, row: Row) -> None:
        """Take in one event."""


class Journal:
    """Base of the engines: one `note` for the caller's thread, one `record` for the background.

    The subclass sets ``ledger`` and ``state`` and calls `_open_journal` wherever it opens its live
    handles; `LIVE` are those of this class, which do not pickle.
    """

    LIVE = ("_recorded", "_recording")

    ledger: Ledger
    state: Folds

    def _open_journal(self) -> None:
        self._recorded: queue.SimpleQueue[Row] = queue.SimpleQueue()
        self._recording = threading.Lock()  # the queue's order is the ledger's

    def note(self, row: Row) -> None:
        """Write an event into the ledger and take it in."""
        self.state.apply(self._append(row))

    def _record(self, row: Row) -> Row:
        """Put an event of the background into the ledger at once; the state hears of it next."""
        with self._recording:
            written = self._append(row)
            self._recorded.put(written)
        self.ledger.flush()
        return written

    def _take_recorded(self) -> None:
        """Take in what the background has put into the ledger."""
        while not self._recorded.empty():
            self.state.apply(self._recorded.get())

    def _append(self, row: Row) -> Row:
        fields = dict(row)
        return self.ledger.append(fields.pop("event"), **fields)
