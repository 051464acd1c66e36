"""Saves a search and takes it up again after its driver died.

The checkpoint is what Tune asks for now and then; the ledger is written at once. So a restored
search starts from the checkpoint and then reads on in the ledger: trials that ended in between are
evidence again, and proposals whose trials died with the driver wait in the queue again.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import cloudpickle

from raymimic.advisor import ended_trial, proposal_of
from raymimic.errors import ConfigError, LedgerError
from raymimic.ledger import read_events
from raymimic.search.journal import Journal
from raymimic.search.session import Session
from raymimic.search.state import Queued, SearchState

logger = logging.getLogger(__name__)


@dataclass
class Saved:
    """What a checkpoint holds: plain data, no key, no live handle.

    ``ledger_next`` is the number of the ledger's next event at that moment.
    """

    session: Session
    metric: str | None
    mode: str | None
    ledger_next: int


def default_ledger_path() -> Path:
    """A new file beside Ray's own results, named by the time and a few random letters."""
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    return Path("~/ray_results/raymimic").expanduser() / f"{stamp}_{secrets.token_hex(3)}.jsonl"


def save(path: str, session: Session, metric: str | None, mode: str | None) -> None:
    """Write the session; a reader never sees half of it."""
    part = f"{path}.part"
    # One write: at each of many, the controller would wait for whoever holds the interpreter.
    data = cloudpickle.dumps(Saved(session, metric, mode, session.journal.ledger.next))
    Path(part).write_bytes(data)
    os.replace(part, path)


def load(path: str) -> Saved:
    """Read a checkpoint; raises ValueError for a file that is none."""
    with open(path, "rb") as file:
        saved = cloudpickle.load(file)
    if not isinstance(saved, Saved):
        raise ValueError(
            f"{path!r} must be a file that LLMSearcher.save wrote, it holds a "
            f"{type(saved).__name__}"
        )
    return saved


def take_up(saved: Saved, offered: Session) -> Session:
    """Return the saved session in the space of today's run (``offered``), up to its ledger's end.

    The space of today holds the user's objects of today; a budget given today counts.
    """
    session = saved.session
    session.ray_space = offered.ray_space or session.ray_space
    session.trials_total = offered.trials_total or session.trials_total
    session.seconds_total = offered.seconds_total or session.seconds_total
    session.concurrency = offered.concurrency or session.concurrency
    if session.state is not None and session.ray_space is not None:
        session.state.move_to(session.ray_space.space)
        _read_on(session.state, session.journal, saved.ledger_next)
    return session


def _read_on(state: SearchState, journal: Journal, first: int) -> None:
    """Apply the ledger's events from number ``first`` on."""
    try:
        rows = read_events(journal.ledger.path, first).rows
    except LedgerError:
        return  # restored on another machine: the checkpoint is all there is
    for row in rows:
        journal.tally.add(row["event"], row)
    _Tail(state, journal).replay(rows)


class _Tail:
    """Replays the events that the ledger holds beyond the checkpoint."""

    def __init__(self, state: SearchState, journal: Journal) -> None:
        self._state, self._journal = state, journal
        self._started: dict[str, Queued] = {}

    def replay(self, rows: Sequence[dict[str, Any]]) -> None:
        """Apply the events in order; then queue again what had started and never ended."""
        forgotten = 0
        for row in rows:
            if row["event"] == "proposal":
                self._proposal(row)
            elif row["event"] == "drop" and "proposal" in row:
                self._remove(row["proposal"])
            elif row["event"] == "start":
                queued = self._remove(row["proposal"])
                if queued is not None:
                    self._started[row["trial_id"]] = queued
            elif row["event"] == "outcome" and row["trial_id"] in self._started:
                self._outcome(row, self._started.pop(row["trial_id"]))
                forgotten += 1
        if forgotten:
            logger.info(
                "raymimic: %d trials began and ended after Tune's last checkpoint, so Tune has "
                "forgotten them; their results stay evidence. (TUNE_GLOBAL_CHECKPOINT_S=1 keeps "
                "its checkpoints younger.)",
                forgotten,
            )
        for trial_id, queued in reversed(self._started.items()):
            self._journal.note("lost", trial_id=trial_id, proposal=queued.id)
            self._state.discard(queued, f"trial {trial_id} died with its driver; tried again")
            again = self._state.enqueue(queued.proposal, len(self._state.ended), first=True)
            self._journal.proposal(self._state.space, again)

    def _proposal(self, row: Mapping[str, Any]) -> None:
        self._state.next_id = row["id"]
        try:
            self._state.enqueue(proposal_of(row, self._state.space), row["made_from"])
        except ConfigError:  # the user restored with another space; the number stays taken
            self._state.next_id += 1

    def _remove(self, proposal_id: int) -> Queued | None:
        for queued in self._state.queue:
            if queued.id == proposal_id:
                self._state.queue.remove(queued)
                return queued
        return None

    def _outcome(self, row: Mapping[str, Any], queued: Queued) -> None:
        """An ended trial that Tune has forgotten: its result is still evidence."""
        state = self._state
        record = ended_trial(row, queued.proposal, state.metric, state.mode)
        for epoch, metrics in record.curve.rows() if record.curve is not None else ():
            state.history.append(record.trial_id, epoch, metrics)
        state.put(record)
