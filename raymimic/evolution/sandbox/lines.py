"""Lines from a pipe, one at a time, with a time limit.

A buffered text file and ``select`` do not go together: a line that waits in the buffer is not seen.
"""

from __future__ import annotations

import os
import select


class Lines:
    """Reads lines from a file descriptor. ``ended`` says that the other side is gone."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.ended = False
        self._rest = b""

    @property
    def waiting(self) -> bool:
        """Whether a whole line has been read that nobody took."""
        return b"\n" in self._rest

    def next(self, seconds: float | None) -> str | None:
        """The next line; None at the end, or if none comes within ``seconds`` (None: no limit)."""
        while not self.waiting:
            if self.ended or not select.select([self.descriptor], [], [], seconds)[0]:
                return None
            part = os.read(self.descriptor, 65536)
            self.ended = not part
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("utf-8", "replace")
