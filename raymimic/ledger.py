"""The ledger: an append-only JSONL file of everything a search decided, paid and got.

One event a line, each with "event" and "t" (Unix seconds). The events:

    search    a run begins: space, metric, mode, advisor, budget, instruction, seed
    call      one call to a language model: model, status, tokens, seconds, cost, transcript
    proposal  a configuration enters the queue: id, source, rationale, expectation, repairs
    drop      a configuration was thrown away, and why
    start     a trial began with a proposal: trial_id, proposal (its id)
    fallback  a slot was served by the random fallback, and why
    outcome   a trial ended: status, score, diagnosis, error, curve
    evaluated a trial from elsewhere was added as evidence
    lost      a started trial died with the driver; its proposal is queued again
    error     the text of a trial's error, where Tune gave it
    summary   the search in plain words
    torn      a half-written last line of an earlier process was cut off

Every line is valid JSON: non-finite floats are written as the strings "NaN", "Infinity" and
"-Infinity" (`to_float` reads them back).
"""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from raymimic.errors import LedgerError

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

# JSON has no words for these; `float` reads all three back.
_NON_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def jsonable(value: Any) -> Any:
    """Return ``value`` as plain JSON data; what JSON cannot say is written as its repr."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _NON_FINITE[str(value)]
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return jsonable(value.tolist())
    return repr(value)


def to_float(value: Any) -> float | None:
    """Read a number back from the ledger; None stays None."""
    return None if value is None else float(value)


class Ledger:
    """Appends events to one JSONL file, from any thread; the file is made at the first event.

    A disk that fails must not stop a search: events that could not be written are counted in
    ``lost`` and the first is logged. Pickles as its path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().absolute()
        self.lost = 0
        self._open()

    def _open(self) -> None:
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "lost": self.lost}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def append(self, event: str, **fields: Any) -> dict[str, Any]:
        """Write one event and return it as written; never raises."""
        row = {"event": event, "t": round(time.time(), 3), **jsonable(fields)}
        line = json.dumps(row, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        try:
            with self._lock:
                if self._file is None:
                    self._file = self._start()
                self._file.write(line + b"\n")
        except OSError as error:
            self.lost += 1
            if self.lost == 1:
                logger.warning(
                    "raymimic cannot write its ledger %s (%s); the search goes on without it.",
                    self.path,
                    error,
                )
        return row

    def _start(self) -> IO[bytes]:
        """Open for appending; a half-written last line is completed or cut off."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        torn = _mend_tail(self.path)
        # Unbuffered: each event is one write, so a kill can only tear the last line.
        file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - lives as long as the ledger
        if torn:
            row = {"event": "torn", "t": round(time.time(), 3), "bytes": torn}
            file.write(json.dumps(row).encode() + b"\n")
        return file

    @property
    def size(self) -> int:
        """Bytes written so far: a position that `read_events` can continue from."""
        return self.path.stat().st_size if self.path.exists() else 0

    def close(self) -> None:
        """Close the file; a later event opens it again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


@dataclass(frozen=True)
class Events:
    """What `read_events` found: the events in order and the number of unreadable lines."""

    rows: tuple[dict[str, Any], ...]
    unreadable: int = 0

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return the events of one kind."""
        return [row for row in self.rows if row["event"] == event]

    def to_pandas(self) -> pd.DataFrame:
        """One row an event; nested fields become "a.b" columns. ``.to_parquet`` works on it."""
        import pandas as pd

        frame = pd.json_normalize(list(self.rows))
        for name in frame.columns:  # lists have no common Arrow type across events
            if frame[name].map(lambda cell: isinstance(cell, (list, dict))).any():
                frame[name] = frame[name].map(lambda cell: json.dumps(cell), na_action="ignore")
        return frame


def read_events(path: str | os.PathLike[str], start: int = 0) -> Events:
    """Read a ledger from byte ``start``; unreadable lines are counted, not raised.

    Raises `LedgerError` if there is no such file.
    """
    try:
        data = Path(path).read_bytes()[start:]
    except OSError as error:
        raise LedgerError(
            f"a ledger must be a readable JSONL file, got {str(path)!r} ({error.strerror}); "
            "give the path printed at the start of the search"
        ) from error
    rows, unreadable = [], 0
    for line in data.splitlines():
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            unreadable += 1
            continue
        if isinstance(row, dict) and isinstance(row.get("event"), str):
            rows.append(row)
        else:
            unreadable += 1
    return Events(tuple(rows), unreadable)


def _mend_tail(path: Path) -> int:
    """End the file with a whole line; return how many torn bytes were cut off."""
    if not path.exists() or path.stat().st_size == 0:
        return 0
    with open(path, "r+b") as file:
        data = file.read()
        if data.endswith(b"\n"):
            return 0
        kept = data.rfind(b"\n") + 1
        tail = data[kept:]
        try:
            json.loads(tail)
        except ValueError:
            file.truncate(kept)
            return len(tail)
        file.write(b"\n")  # only the line's end was missing
        return 0
