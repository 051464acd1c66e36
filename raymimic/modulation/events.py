"""The events of a modulated training (each with its ``run_id`` first), one typed function each.

``write`` is where the event goes, as in `raymimic.events`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raymimic.events import Write
from raymimic.records import Mode


def run(
    write: Write,
    *,
    advisor: str,
    instruction: str,
    metric: str,
    mode: Mode,
    epochs: int | None,
    knobs: Mapping[str, float],
    seed: int,
) -> None:
    """A modulated training begins, with these values of its knobs."""
    write(
        "run", advisor=advisor, instruction=instruction, metric=metric, mode=mode, epochs=epochs,
        knobs=knobs, seed=seed,
    )  # fmt: skip


def adjustment(
    write: Write,
    *,
    epoch: int,
    asked_epoch: int,
    adjustment: Mapping[str, Any],
    applied: Sequence[str],
    dropped: Sequence[str],
    changed: Mapping[str, Sequence[float]],
    **outcome: Any,
) -> None:
    """What the advisor said, what was applied and dropped; all empty: nothing to change.

    The fields are those of a `PastAdjustment`; ``outcome`` are those that are known later.
    """
    write(
        "adjustment", epoch=epoch, asked_epoch=asked_epoch, adjustment=adjustment,
        applied=applied, dropped=dropped, **outcome, changed=changed,
    )  # fmt: skip


def verdict(
    write: Write,
    *,
    epoch: int,
    ended: int,
    verdict: str,
    before: float | None,
    after: float | None,
    expected: float | None,
    margin: float | None,
) -> None:
    """What an adjustment made after ``epoch`` did to the metric, against the curve's own pace."""
    write(
        "verdict", epoch=epoch, ended=ended, verdict=verdict, before=before, after=after,
        expected=expected, margin=margin,
    )  # fmt: skip


def rollback(write: Write, *, epoch: int, unadvised: bool, reason: str) -> None:
    """A training was put back to the start of an interval; ``reason`` says in words why.

    ``unadvised``: it broke down under no adjustment, and goes on with a lower learning rate.
    """
    write("rollback", epoch=epoch, unadvised=unadvised, reason=reason)


def resumed(write: Write, *, epoch: int) -> None:
    """A training goes on from a checkpoint of this epoch.

    What its ``run_id`` wrote before of later epochs did not last.
    """
    write("resumed", epoch=epoch)
