"""The ledger: an append-only JSONL file of everything a search decided, paid and got.

One event a line, each with "event", its number "n" and "t" (Unix seconds); `raymimic.events` says
which there are and what they hold.

Every line is valid JSON: non-finite floats are written as the strings "NaN", "Infinity" and
"-Infinity" (`to_float` reads them back).
"""

from __future__ import annotations

import atexit
import json
import logging
import math
import os
import queue
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from raymimic.errors import LedgerError
from raymimic.mending import mend, move
from raymimic.rows import is_sound, lines_of, require_layout

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)
T = TypeVar("T")

# JSON has no words for these; `float` reads all three back.
_NON_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

_LARGEST = 10**400  # Python writes no integer of more than 4,300 digits


UNSETTLED = ", then the run's folder"

UPLOADED = "; a copy lies in the experiment's folder"

_MOST_WAITING = 10_000  # events kept in memory while the disk takes none

_Queued = dict[str, Any] | threading.Event | tuple[Path, Path]
"""An event to write, who waits until all before is written, or where from and to the file goes."""

_NUMBERED = re.compile(rb'\{"event": "\w+", "n": (\d+),')


@dataclass(frozen=True)
class Later:
    """A value that the ledger's writing thread makes: long data that changes no more.

    ``make`` must return plain JSON data and raise nothing.
    """

    make: Callable[[], Any]


def _made(value: Later) -> Any:
    return value.make()


def jsonable(value: Any) -> Any:
    """Return ``value`` as plain JSON data; what JSON cannot say is written as its repr."""
    if value is None or isinstance(value, (bool, int, str, Later)):
        return _short(value) if isinstance(value, int) and abs(value) > _LARGEST else value
    if isinstance(value, float):
        return value if math.isfinite(value) else _NON_FINITE[str(value)]
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item) for item in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return jsonable(value.tolist())
    return repr(value)


def _short(value: Any) -> str:
    """A value that cannot be written, in a few words."""
    try:
        return repr(value)[:200]
    except Exception:  # noqa: BLE001 - the user's own class, or an integer too long to print
        return f"a {type(value).__name__} that cannot be written"


def _plain(value: Any) -> Any:
    try:
        return jsonable(value)
    except Exception:  # noqa: BLE001 - the user's own object, or one nested too deep
        return _short(value)


def _line(row: Mapping[str, Any]) -> bytes:
    """The event as a line; a field that JSON cannot hold is said in a few words in its place."""
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False, default=_made)
    except Exception:  # noqa: BLE001 - whatever it is, the writer must outlive it
        text = json.dumps({name: _written(value) for name, value in row.items()})
    return text.encode("utf-8", "replace") + b"\n"


def _written(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=_made))
    except Exception:  # noqa: BLE001 - as above, of one field
        return _short(value)


def to_float(value: Any) -> float | None:
    """Read a number back from the ledger; None stays None."""
    return None if value is None else float(value)


def default_ledger_path() -> Path:
    """A new file beside Ray's own results, named by the time and a few random letters."""
    return Path("~/ray_results/raymimic").expanduser() / _fresh_name()


def _fresh_name() -> str:
    return f"raymimic_{time.strftime('%Y-%m-%d_%H-%M-%S')}_{secrets.token_hex(3)}.jsonl"


class Ledger:
    """Appends events to one JSONL file, from any thread; the file is made at the first event.

    Writing happens on a thread of its own, within milliseconds: on Tune's controller a write would
    wait for whoever holds the interpreter. `flush` waits for it; so does the end of the program.
    Events are numbered from 0 ("n"), across restarts, too. A disk that fails must not stop a
    search: what cannot be written waits in memory and is tried again with each event and `flush`;
    ``lost`` counts the events that are not in the file, and the first failure is logged. Pickles
    as its path. With a ``search`` (its id) every event carries that: several searches in one file
    are told apart by it.

    >>> import os
    >>> from raymimic import Ledger
    >>> Ledger(os.devnull).append("summary", text="nothing yet")["event"]
    'summary'
    """

    def __init__(self, path: str | os.PathLike[str], search: str = "") -> None:
        self.path = Path(path).expanduser().absolute()
        self.search = search
        self.lost = 0
        self._movable, self._revived = False, False
        self._open()

    @classmethod
    def at(cls, path: str | os.PathLike[str] | None, search: str = "") -> Ledger:
        """Give the ledger in a file; without one it begins in a default place and may `settle`."""
        ledger = cls(path or default_ledger_path(), search)
        ledger._movable = path is None
        return ledger

    def _open(self) -> None:
        self._lock = threading.Lock()
        self._failed = False
        self._settled = False
        self._note = ""
        self._next: int | None = None  # None until the file is looked at
        self._queue: queue.SimpleQueue[_Queued] | None = None

    def __getstate__(self) -> dict[str, Any]:
        kept = {"path": self.path, "lost": self.lost, "search": self.search}
        return {**kept, "_movable": self._movable, "_revived": True}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    @property
    def where(self) -> str:
        """Where it is, where it goes once the run's folder is known, or where a copy of it is."""
        waits = self._movable and not self._settled
        return f"{self.path}{UNSETTLED if waits else self._note}"

    def settle(self, folder: str | os.PathLike[str], note: str = "") -> None:
        """Move the file to the run's folder, unless the user named its place.

        ``note`` is what people are told behind the path, of a folder that Tune uploads.

        The first folder that a process names counts. A ledger of an earlier life whose file is gone
        goes on in a new file: one of its name may be stored elsewhere.
        """
        with self._lock:
            if self._settled or not self._movable:
                return
            self._settled = True
            old, new = self.path, Path(folder).absolute() / self.path.name
            if self._revived and not old.exists() and not new.exists():
                new = new.with_name(_fresh_name())
            if new == old:
                return
            self.path, self._note = new, note
            if self._queue is not None:
                self._queue.put((old, new))
            elif self._guard(partial(move, old, new)) is None:
                self.path = old
        logger.info("raymimic: ledger: %s", self.where)

    @property
    def next(self) -> int:
        """The number of the next event: where a reader may go on later."""
        if self._next is None:
            self._next = self._guard(lambda: mend(self.path)) or 0
        return self._next

    def append(self, event: str, /, **fields: Any) -> dict[str, Any]:
        """Write one event and return it as written; never raises."""
        with self._lock:
            plain = {name: _plain(value) for name, value in fields.items()}
            row = {"event": event, "n": self.next, "t": round(time.time(), 3), **plain}
            if self.search:
                row["search"] = self.search
            self._next = row["n"] + 1
            if self._queue is None:
                self._queue = queue.SimpleQueue()
                arguments = (self._queue,)
                threading.Thread(target=self._write, args=arguments, daemon=True).start()
                atexit.register(self.flush)
            self._queue.put(row)
        return row

    def flush(self, seconds: float = 5.0) -> None:
        """Wait until all events so far are in the file, at most ``seconds``."""
        if self._queue is not None:
            written = threading.Event()
            self._queue.put(written)
            written.wait(seconds)

    def _write(self, rows: queue.SimpleQueue[_Queued]) -> None:
        waiting: deque[bytes] = deque()
        dropped, file = self.lost, None  # a pickled copy goes on counting
        while True:
            row = rows.get()
            if isinstance(row, tuple):
                self._moved(file, *row)
                file = None
                continue
            if not isinstance(row, threading.Event):
                if len(waiting) < _MOST_WAITING:
                    waiting.append(_line(row))
                else:
                    dropped += 1
            file = self._guard(partial(self._opened, file)) if waiting else file
            while file is not None and waiting:
                written = self._guard(partial(file.write, waiting[0]))
                if written is None:
                    break
                # A full disk may take part of a line: the rest of it comes next.
                waiting[0] = waiting[0][written:]
                if not waiting[0]:
                    waiting.popleft()
            self.lost = len(waiting) + dropped
            if isinstance(row, threading.Event):
                row.set()

    def _moved(self, file: IO[bytes] | None, old: Path, new: Path) -> None:
        if file is not None:
            file.close()
        if self._guard(partial(move, old, new)) is None:
            self.path = old

    def _opened(self, file: IO[bytes] | None) -> IO[bytes] | None:
        """The file to append to; a new one where somebody deleted it under our hands."""
        if file is not None and os.fstat(file.fileno()).st_nlink == 0:
            logger.warning(
                "raymimic: the ledger %s was deleted while the search writes it; what comes from "
                "now on goes to a new file there.",
                self.path,
            )
            file.close()
            file = None
        return file or self._guard(lambda: _open_to_append(self.path))

    def _guard(self, work: Callable[[], T]) -> T | None:
        """Do something with the file; None if the disk does not let us."""
        try:
            return work()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            if not self._failed:
                logger.warning(
                    "raymimic cannot write its ledger %s (%s); the search goes on, and what was to "
                    "be written waits in memory.",
                    self.path,
                    error,
                )
            self._failed = True
            return None


@dataclass(frozen=True)
class Events:
    """What `read_events` found: the events in order and the number of unreadable lines."""

    rows: tuple[dict[str, Any], ...]
    unreadable: int = 0

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return the events of one kind."""
        return [row for row in self.rows if row["event"] == event]

    @property
    def search(self) -> dict[str, Any] | None:
        """The event of the search that began last; None where there is no sound one."""
        return next((row for row in reversed(self.of("search")) if is_sound(row)), None)

    def of_search(self, search: str) -> Events:
        """The events of the search with this id (of all where it is empty) that can be used.

        Events without an id are anybody's; what lacks a field is counted as unreadable.
        """
        mine = [row for row in self.rows if row.get("search", search) == search or not search]
        sound = tuple(row for row in mine if is_sound(row))
        return Events(sound, self.unreadable + len(mine) - len(sound))

    def to_pandas(self) -> pd.DataFrame:
        """One row an event; nested fields become "a.b" columns. ``.to_parquet`` works on it."""
        import pandas as pd

        frame = pd.json_normalize(list(self.rows))
        for name in frame.columns:  # lists have no common Arrow type across events
            if frame[name].map(lambda cell: isinstance(cell, (list, dict))).any():
                frame[name] = frame[name].map(lambda cell: json.dumps(cell), na_action="ignore")
        return frame


def read_events(path: str | os.PathLike[str], first: int = 0) -> Events:
    """Read a ledger; unreadable lines are counted, not raised.

    Events with a number below ``first`` are left out and cost next to nothing. Raises `LedgerError`
    if there is no such file.
    """
    rows, unreadable = [], 0
    try:
        for line in lines_of(path):
            if not line.strip() or (first and _number(line) < first):
                continue
            row = _event(line)
            if row is None:
                unreadable += 1
            elif first == 0 or row.get("n", -1) >= first:
                rows.append(row)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or str(error)
        raise LedgerError(
            f"a ledger must be a readable JSONL file, got {str(path)[:300]!r} ({why}); "
            "give the path printed at the start of the search"
        ) from error
    return Events(tuple(rows), unreadable)


def check_layout(path: str | os.PathLike[str], search: str) -> None:
    """Raise `LedgerError` if the search with this id was written in another layout of the ledger.

    Only lines that begin a search are parsed; a file that is not there has no layout.
    """
    try:
        begins = (line for line in lines_of(path) if line.startswith(b'{"event": "search"'))
        begun = [_event(line) for line in begins]
    except (OSError, ValueError):
        return
    for row in begun:
        if row is not None and row.get("search", search) == search:
            require_layout(row)


def _number(line: bytes) -> float:
    """The number of an event as we write it; infinite where only parsing can tell."""
    found = _NUMBERED.match(line)
    return int(found.group(1)) if found else math.inf


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
        if b"\\ud" in line:  # half of a pair, which no file and no terminal takes
            row = json.loads(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and isinstance(row.get("event"), str) else None


def _open_to_append(path: Path) -> IO[bytes]:
    # Unbuffered: each event is one write, so a kill can only tear the last line.
    path.parent.mkdir(parents=True, exist_ok=True)
    return open(path, "ab", buffering=0)
