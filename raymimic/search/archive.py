"""Ended trials as bytes, so that saving a long search costs no more than saving a short one.

An ended trial does not change, so its block is pickled once, however often Tune asks for a
checkpoint. Configurations travel as `SearchSpace.show` writes them: plain data, which the space of
a later run turns back into its own objects.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from raymimic.advisor import TrialRecord
from raymimic.errors import ConfigError
from raymimic.space import SearchSpace

_BLOCK = 128  # trials; the last, unfinished block is pickled at every save


class Archive:
    """The blocks that are already pickled."""

    def __init__(self) -> None:
        self._blocks: dict[int, bytes] = {}

    def forget(self, place: int) -> None:
        """Note that the ended trial at ``place`` was replaced."""
        self._blocks.pop(place // _BLOCK, None)

    def blocks(self, ended: Sequence[TrialRecord], space: SearchSpace) -> list[bytes]:
        """Return all ended trials as pickled blocks."""
        found = []
        for number in range(-(-len(ended) // _BLOCK)):
            part = ended[number * _BLOCK : (number + 1) * _BLOCK]
            block = self._blocks.get(number)
            if block is None:
                block = packed(shown(part, space))
                if len(part) == _BLOCK:
                    self._blocks[number] = block
            found.append(block)
        return found


def packed(items: Sequence[Any]) -> bytes:
    """Pickle plain data by itself: the pickler of the whole search asks Python about every object.

    While it does, other threads take the interpreter, and the controller waits for each in turn.
    """
    return pickle.dumps(list(items))


def unpack(blocks: Iterable[bytes]) -> list[Any]:
    """Return the items of pickled blocks; configurations are still as the space showed them."""
    return [record for block in blocks for record in pickle.loads(block)]


def shown(records: Iterable[TrialRecord], space: SearchSpace) -> list[TrialRecord]:
    """Return the records with plain configurations."""
    return [_shown(record, space) for record in records]


def fitting(records: Iterable[TrialRecord], space: SearchSpace) -> list[TrialRecord]:
    """Return the records with the space's own objects; what does not fit the space is left out."""
    fit = []
    for record in records:
        try:
            config, repairs = space.check(record.config)
        except ConfigError:
            continue
        if not repairs:  # a mended configuration is not the one that was tried
            fit.append(replace(record, config=config))
    return fit


def _shown(record: TrialRecord, space: SearchSpace) -> TrialRecord:
    return replace(record, config=space.show(record.config))
