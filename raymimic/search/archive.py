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

BLOCK = 128
"""So many ended trials are pickled together."""


def packed_blocks(
    ended: Sequence[TrialRecord], space: SearchSpace, known: dict[int, bytes]
) -> list[bytes]:
    """Return all ended trials as pickled blocks of `BLOCK`.

    Blocks in ``known`` (by number) are taken from there, and full ones are kept there: whoever
    replaces an ended trial removes its block. The last, unfinished one is pickled at every save.
    """
    blocks = []
    for number in range(-(-len(ended) // BLOCK)):
        block = known.get(number)
        if block is None:
            part = ended[number * BLOCK : (number + 1) * BLOCK]
            block = packed(shown(part, space))
            if len(part) == BLOCK:
                known[number] = block
        blocks.append(block)
    return blocks


def packed(items: Sequence[Any]) -> bytes:
    """Pickle plain data by itself: the pickler of the whole search asks Python about every object.

    While it does, other threads take the interpreter, and the controller waits for each in turn.
    """
    return pickle.dumps(list(items))


def unpacked(blocks: Iterable[bytes]) -> list[Any]:
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
