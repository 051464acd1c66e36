"""Saves a search and takes it up again after its driver died.

The checkpoint is what Tune asks for now and then; the ledger is written at once. So a restored
search starts from the checkpoint and then reads on in the ledger: trials that ended in between are
evidence again, and proposals whose trials died with the driver wait in the queue again.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from raymimic import events
from raymimic.advisor import MODEL, belief_from_json, ended_trial, proposal_of, wish_of
from raymimic.errors import ConfigError, LedgerError
from raymimic.ledger import check_layout, read_events
from raymimic.search.session import Session
from raymimic.search.state import Queued

logger = logging.getLogger(__name__)

LAYOUT = 5
"""Of what `Checkpoint` holds. Whoever changes what is pickled there counts it up."""

_HEADER = re.compile(rb"raymimic checkpoint (\d{1,9})\n")


@dataclass
class Checkpoint:
    """What a file holds: plain data and the user's own value objects, no key, no live handle.

    ``ledger_next`` is the number of the ledger's next event at that moment, ``adapter`` whatever
    the caller of `save` needs besides.
    """

    session: Session
    ledger_next: int
    adapter: Any = None


def save(
    path: str | os.PathLike[str],
    session: Session,
    adapter: Any = None,
    *,
    dumps: Callable[[Any], bytes] = pickle.dumps,
) -> None:
    """Write the session; a reader never sees half of it.

    ``dumps`` pickles it: the values of a choice may be objects that `pickle` alone cannot write.
    """
    part = f"{os.fspath(path)}.part"
    # One write: at each of many, the controller would wait for whoever holds the interpreter.
    data = dumps(Checkpoint(session, session.journal.ledger.next, adapter))
    Path(part).write_bytes(b"raymimic checkpoint %d\n" % LAYOUT + data)
    os.replace(part, path)


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint; raises ValueError for a file that is none, or of another layout."""
    data = Path(path).read_bytes()
    header = _HEADER.match(data)
    if header is None:
        _refuse(path, "none: it is no checkpoint, or older than the first layout")
    if int(header[1]) != LAYOUT:
        _refuse(path, header[1].decode())
    try:
        loaded = pickle.loads(data[header.end() :])
    except Exception as error:  # noqa: BLE001 - a pickle may raise anything
        _refuse(path, f"{LAYOUT} that cannot be read ({type(error).__name__}: {error})")
    if not isinstance(loaded, Checkpoint):
        _refuse(path, f"{LAYOUT} that holds a {type(loaded).__name__}")
    return loaded


def _refuse(path: str | os.PathLike[str], found: str) -> NoReturn:
    raise ValueError(
        f"{os.fspath(path)!r} must be a checkpoint that LLMSearcher.save wrote with layout "
        f"{LAYOUT}, got layout {found}; restore it with the raymimic that wrote it, or begin a new "
        "search with what its ledger taught: `raymimic lessons LEDGER -o lessons.md`, then "
        'LLMSearcher(lessons="lessons.md")'
    )


def resume(saved: Checkpoint, offered: Session) -> Session:
    """Return the saved session in the space of today's run (``offered``), up to its ledger's end.

    The space of today holds the user's objects of today; a budget given today counts. Raises
    `LedgerError` where another version of the ledger's layout wrote the search.
    """
    session = saved.session
    session.trials_total = offered.trials_total or session.trials_total
    session.seconds_total = offered.seconds_total or session.seconds_total
    session.concurrency = offered.concurrency or session.concurrency
    session.constraints = offered.constraints or session.constraints
    session.limits = offered.limits or session.limits
    space = offered.space or session.space
    if space is not None:
        session.move_to(space)
    if session.begun:
        _read_on(session, saved.ledger_next)
        session.steering.resume(session)
        session.steering.obey(session)
        session.journal.tally.last_t = None  # the time between a kill and its restore is none
        logger.info(
            "raymimic: restored %d ended trials, %d running, %d proposals waiting. Ledger: %s",
            len(session.state.ended),
            len(session.state.running),
            len(session.state.queue),
            session.journal.ledger.path,
        )
    return session


def _read_on(session: Session, first: int) -> None:
    """Apply the ledger's events from number ``first`` on."""
    ledger = session.journal.ledger
    check_layout(ledger.path, ledger.search)
    try:
        found = read_events(ledger.path, first).of_search(ledger.search)
    except LedgerError:
        return  # restored on another machine: the checkpoint is all there is
    if found.unreadable:
        logger.warning(
            "raymimic: %d events of the ledger %s could not be read and are left out.",
            found.unreadable,
            ledger.path,
        )
    rows = found.rows
    for row in rows:
        session.journal.tally.add(row["event"], row)
        if row["event"] == "wish":
            session.steering.recall(wish_of(row), str(row.get("tell", "")))
    _Replay(session).replay(rows)


class _Replay:
    """Replays the events that the ledger holds beyond the checkpoint."""

    def __init__(self, session: Session) -> None:
        self._session, self._state = session, session.state
        self._started: dict[str, Queued] = {}

    def replay(self, rows: Sequence[dict[str, Any]]) -> None:
        """Apply the events in order; then queue again what had started and never ended."""
        forgotten = 0
        for row in rows:
            if row["event"] == "proposal":
                self._proposal(row)
            elif row["event"] == "belief" and row["who"] == MODEL:
                self._state.model_belief = belief_from_json(row["places"])
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
            self._try_again(trial_id, queued)

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

    def _try_again(self, trial_id: str, queued: Queued) -> None:
        """A trial died with its driver: what it was to try comes first."""
        events.lost(self._session.journal.append, trial_id=trial_id, proposal=queued.id)
        self._state.discard(queued, f"trial {trial_id} died with its driver; tried again")
        self._session.enqueue(queued.proposal, len(self._state.ended), first=True)
