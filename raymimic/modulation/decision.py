"""What comes of an epoch's end."""

from __future__ import annotations

from dataclasses import dataclass

from raymimic.advisor import Adjustment


@dataclass(frozen=True)
class Decision:
    """What rank 0 decided at an epoch's end; every rank carries it out alike.

    ``undo``: why the run goes back to the start of the interval, "" if it does not; ``calm``: with
    a lower learning rate, since it broke without any advice. ``wait``: the interval goes on until
    there is a metric to judge its adjustment by.
    """

    adjustment: Adjustment | None = None
    asked_epoch: int = 0
    dropped: tuple[str, ...] = ()
    undo: str = ""
    calm: bool = False
    wait: bool = False
