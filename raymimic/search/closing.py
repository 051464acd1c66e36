"""What a search says of itself, while it runs and at its end."""

from __future__ import annotations

import atexit
import html
import logging
import weakref
from collections.abc import Callable
from typing import Any

from raymimic import events
from raymimic.advisor import closing_words
from raymimic.search.session import Session

logger = logging.getLogger(__name__)

_WAITING: set[weakref.WeakMethod[Callable[[], Any]]] = set()


def summary_of(session: Session) -> str:
    """Give the search so far in plain words: the best, what was learnt, who proposed, money."""
    lines = [session.journal.tally.text()]
    try:
        if session.begun:
            lines += closing_words(session.evidence(), session.seed)
    except Exception as error:  # noqa: BLE001 - what was learnt is worth less than the rest
        events.fault(session.journal.append, hook="summary", error=error)
    return "\n".join([*lines, f"Ledger: {session.journal.ledger.where}"])


def finish(session: Session, *, quiet: bool) -> None:
    """Write the summary of a run that is over to the ledger and, unless ``quiet``, to the log."""
    session.note_unfinished()
    text = summary_of(session)
    events.summary(session.journal.append, text=text)
    session.journal.ledger.flush()
    if not quiet:
        logger.info("%s", text)


def finish_at_exit(method: Callable[[], Any]) -> None:
    """Call a bound method once at the program's end, if its object still lives."""
    if not _WAITING:
        atexit.register(_finish_all)
    _WAITING.add(weakref.WeakMethod(method))


def _finish_all() -> None:
    while _WAITING:
        method = _WAITING.pop()()
        if method is not None:
            method()


def as_html(text: str) -> str:
    """Give plain text as a notebook shows it: its first line in bold."""
    first, _, rest = html.escape(text).partition("\n")
    return f'<div><b>{first}</b><pre style="white-space: pre-wrap">{rest}</pre></div>'
