"""Wishes from other processes: a file beside the ledger to which anybody may append.

One JSON object a line: "tell" (an id), "search" (whose ledger it is; empty: anybody's), "t" (Unix
seconds) and "text". It works wherever the ledger's folder is shared.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from raymimic import events
from raymimic.errors import LedgerError

if TYPE_CHECKING:
    from raymimic.search.session import Session

logger = logging.getLogger(__name__)

_EVERY_S = 0.5
_MOST_BYTES = 1_000_000  # of new lines that are read at a time


def inbox_of(ledger: Path) -> Path:
    """The file in which wishes for the search of this ledger arrive."""
    return ledger.with_name(ledger.name + ".tell")


def post(ledger: Path, text: str, search: str = "") -> str:
    """Append a message for the search that writes ``ledger``; return its id.

    One write, beginning with a line end: so two at once, and what another left unfinished, do no
    harm. Raises `LedgerError` where the file cannot be written.
    """
    tell = secrets.token_hex(4)
    row = {"tell": tell, "search": search, "t": round(time.time(), 3), "text": text}
    line = b"\n" + json.dumps(row).encode() + b"\n"
    path = inbox_of(ledger)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        with os.fdopen(handle, "ab", buffering=0) as file:
            file.write(line)
    except OSError as error:
        raise LedgerError(
            f"a wish must be written beside the ledger, to {str(path)!r}: {error.strerror}; give "
            "yourself the right to write there, or call LLMSearcher.tell in the program itself"
        ) from error
    return tell


class Inbox:
    """Reads what arrives for a session, on a thread of its own; a live handle, not picklable."""

    def __init__(self, session: Session) -> None:
        self._session = weakref.ref(session)
        self._path = inbox_of(session.journal.ledger.path)
        self._at = 0
        self._rest = b""
        self._warned = False
        self._end = threading.Event()
        weakref.finalize(session, self._end.set)

    def start(self) -> None:
        """Look into the file twice a second until the session is gone."""
        threading.Thread(target=self._serve, name="raymimic-inbox", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._end.set()

    def _serve(self) -> None:
        while not self._end.wait(_EVERY_S):
            session = self._session()
            if session is None:
                return
            self.look(session)
            del session

    def look(self, session: Session) -> None:
        """Hear what is new; whatever is wrong with the file is said once, and tried again."""
        try:
            for line in self._lines():
                self._hear(session, line)
            path = inbox_of(session.journal.ledger.path)
            if path != self._path:  # the ledger has moved to the run's folder
                self._path, self._at, self._rest = path, 0, b""
                self.look(session)
        except Exception as error:  # noqa: BLE001 - the thread must outlive it
            if not self._warned:
                logger.warning("raymimic: wishes in %s cannot be read (%s).", self._path, error)
                events.fault(session.journal.append, hook="tell", error=error)
            self._warned = True

    def _lines(self) -> list[bytes]:
        """The whole lines that came since the last call; none while there is no file."""
        try:
            size = self._path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return []
        if size < self._at:  # somebody began it anew; what was heard is not heard again
            self._at, self._rest = 0, b""
        if size == self._at:
            return []
        with open(self._path, "rb") as file:
            file.seek(self._at)
            data = file.read(_MOST_BYTES)
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line for line in lines if line.strip()]

    def _hear(self, session: Session, line: bytes) -> None:
        try:
            row = json.loads(line)
            tell, text, search = str(row["tell"]), row["text"], row.get("search", "")
            if not isinstance(text, str):
                raise TypeError(f"text must be text, got {type(text).__name__}")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            logger.warning("raymimic: a line of %s is no wish (%s).", self._path, error)
            events.fault(session.journal.append, hook="tell", error=error)
            return
        own = session.journal.ledger.search
        if not search or not own or search == own:
            session.steering.hear(session, text, tell=tell)
