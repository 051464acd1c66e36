"""A training never ends because it is steered: an error of ours is told, and the loop goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from raymimic import events
from raymimic.foreign import trace_text

logger = logging.getLogger(__name__)


class Harmless:
    """Keeps errors of the modulator from the user's loop; said once a place, always written."""

    def __init__(self, write: events.Write) -> None:
        self.faults = 0
        self._write, self._said = write, set[str]()

    @contextmanager
    def within(self, place: str) -> Iterator[None]:
        """Catch what is raised inside. The optimizer's own step must not be in it."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the training must go on
            self.faults += 1
            events.fault(self._write, hook=place, error=error)
            self.say(
                place,
                "raymimic: the modulator failed in %s; training goes on. Please report this.\n%s",
                place,
                trace_text(error),
            )

    def say(self, key: str, text: str, *values: object) -> None:
        """Log a warning, once for each ``key``."""
        if key not in self._said:
            self._said.add(key)
            logger.warning(text, *values)
