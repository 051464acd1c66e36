"""Where the lines of a run go: plain where they are piped, above a live meter in a terminal."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
from typing import Any

from raymimic.tune.short import cut

PIPED = 240
"""Characters of a line where nobody knows how wide it will be shown."""

_LEAST = 40


class Screen:
    """Writes lines that fit. In a terminal a meter stays below them; it leaves nothing behind.

    Pickles without what is live. What the output's encoding has no sign for becomes a question
    mark. ``begun`` begins the meter, ``close`` ends it; lines can be written before and after.
    """

    def __init__(self) -> None:
        self._meter: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._meter = None

    @property
    def live(self) -> bool:
        """Whether a meter is shown: then lines need not say how far the run is."""
        return self._meter is not None

    @property
    def width(self) -> int:
        """Characters that a line may take."""
        if not _is_terminal():
            return PIPED
        return max(_LEAST, shutil.get_terminal_size().columns)

    def begin(self, total: int | None, ended: int = 0) -> None:
        """Show the meter, where there is a terminal; ``total`` trials, None without a limit."""
        if self._meter is not None or not _is_terminal():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeElapsedColumn as Elapsed

        rest = TextColumn("{task.fields[rest]}", markup=False)
        columns = (TextColumn("raymimic"), BarColumn(20), MofNCompleteColumn(), Elapsed(), rest)
        console = Console(file=sys.stdout, highlight=False)
        self._meter = Progress(*columns, console=console, transient=True, refresh_per_second=2)
        self._meter.add_task("trials", total=total, completed=ended, rest="")
        self._meter.start()
        atexit.register(self.close)  # a driver that dies by an exception gets its cursor back

    def meter(self, ended: int, rest: str) -> None:
        """Say how many trials have ended, and what else is worth a glance."""
        if self._meter is not None:
            self._meter.update(self._meter.task_ids[0], completed=ended, rest=cut(rest, 60))

    def line(self, text: str) -> None:
        """Write one line, cut where it does not fit."""
        self.write(cut(text, self.width))

    def write(self, text: str) -> None:
        """Write lines as they are."""
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        text = text.encode(encoding, "replace").decode(encoding)
        if self._meter is not None:
            self._meter.console.print(text, markup=False, soft_wrap=True)
            return
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """Take the meter away."""
        if self._meter is not None:
            self._meter.stop()
            self._meter = None


def _is_terminal() -> bool:
    isatty = getattr(sys.stdout, "isatty", None)
    return bool(isatty and isatty()) and os.environ.get("TERM", "dumb") != "dumb"
