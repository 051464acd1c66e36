"""Which curves are drawn and with how many points, so that a page stays light at any size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from raymimic.curves import Curve
from raymimic.report.run import Run

MOST_DRAWN = 300
"""Curves drawn together; each trial's own is shown with its story."""

_BEST_SHARE = 3  # this part of the curves drawn are the best trials
_EVENTFUL_SHARE = 3  # and this part trials to which something was done
_POINTS = 120_000  # of all curves together
_MOST_POINTS = 200  # of one
_FEWEST_POINTS = 8
_DIGITS = 4


def drawn(run: Run) -> list[int]:
    """Return the indices of the curves to draw, at most `MOST_DRAWN`.

    The best, those to which something was done, and an even sample of the rest.
    """
    having = [i for i, t in enumerate(run.trials) if t.curve is not None and len(t.curve)]
    if len(having) <= MOST_DRAWN:
        return having
    best = [index for index in run.scored if run.trials[index].curve is not None]
    chosen = set(best[: MOST_DRAWN // _BEST_SHARE])
    eventful = [i for i in having if i not in chosen and run.trials[i].marks]
    chosen |= set(_spread(eventful, MOST_DRAWN // _EVENTFUL_SHARE))
    rest = [index for index in having if index not in chosen]
    return sorted(chosen | set(_spread(rest, MOST_DRAWN - len(chosen))))


def points_each(run: Run) -> int:
    """Return how many points a curve may have on this page."""
    return int(np.clip(_POINTS // max(1, len(run.trials)), _FEWEST_POINTS, _MOST_POINTS))


def thin(curve: Curve, metric: str, most: int) -> tuple[list[int], list[float | None]]:
    """Return epochs and values of at most ``most`` points, None where a value was not finite.

    First, last, lowest and highest are kept, the others lie evenly in logarithmic time: early
    epochs change most.
    """
    pairs = list(curve.reported(metric))
    if not pairs:
        return [], []
    epochs = np.array([epoch for epoch, _ in pairs])
    values = np.array([value for _, value in pairs], dtype=np.float64)
    rows = np.arange(len(pairs)) if len(pairs) <= most else _rows(values, most)
    return epochs[rows].tolist(), [rounded(value) for value in values[rows].tolist()]


def _rows(values: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.int64]:
    finite = np.flatnonzero(np.isfinite(values))
    kept = {0, len(values) - 1}
    if finite.size:
        kept |= {int(finite[np.argmin(values[finite])]), int(finite[np.argmax(values[finite])])}
    evenly = np.geomspace(1, len(values), max(2, most - len(kept))).round().astype(int) - 1
    return np.array(sorted(kept | set(evenly.tolist())), dtype=np.int64)


def rounded(value: float | None) -> float | None:
    """Four significant digits, as much as a screen shows; None for what is not finite."""
    if value is None or value - value != 0:
        return None
    return float(f"{value:.{_DIGITS}g}")


def _spread(indices: list[int], count: int) -> list[int]:
    """At most ``count`` of the indices, evenly."""
    if len(indices) <= count:
        return indices
    return [indices[at] for at in np.linspace(0, len(indices) - 1, max(count, 1)).astype(int)]
