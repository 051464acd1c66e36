"""Whether the parts of a parameter's range differ in score, by ranks alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from raymimic.space import Choice, Dimension

_LISTED = 6
"""A choice of numbers with more values than this is cut into thirds, as a range is."""

_MEMBERS = 3
"""A part of the range with fewer trials says nothing."""

_NORMAL_99 = 2.326
"""The normal distribution's 99 % quantile."""


@dataclass(frozen=True)
class Group:
    """Trials (by number) with one category, or in one third of a range; ``words`` says which."""

    words: str
    members: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many trials."""
        return len(self.members)


def groups_of(dimension: Dimension, values: Sequence[Any]) -> list[Group]:
    """Sort trials by their value: by category, or by third of the range, as far as it was tried."""
    by_value = isinstance(dimension, Choice) and (
        not dimension.ordered or len(dimension.values) <= _LISTED
    )
    members: dict[int, list[int]] = {}
    for number, value in enumerate(values):
        if isinstance(dimension, Choice) and by_value:
            place = dimension.index(value)
        else:
            place = min(2, int(dimension.to_unit(value) * 3))
        members.setdefault(place, []).append(number)
    return [
        Group(_words(dimension, [values[i] for i in members[place]]), tuple(members[place]))
        for place in sorted(members)
    ]


def separation(groups: Sequence[Group], costs: Sequence[float]) -> float:
    """Give the Kruskal-Wallis statistic over its 1 % critical value: above 1 the groups differ.

    Ranks are all that counts, so infinite costs are the worst and no scale matters. Groups of fewer
    than three trials are left out. The chi-square quantile is Wilson and Hilferty's (1931).
    """
    kept = [np.array(group.members) for group in groups if group.size >= _MEMBERS]
    if len(kept) < 2:
        return 0.0
    ranks = _ranks(np.array([costs[i] for members in kept for i in members]))
    spread = float(((ranks - ranks.mean()) ** 2).sum())
    if spread == 0.0:
        return 0.0
    ends = np.cumsum([len(members) for members in kept])[:-1]
    between = sum(
        len(part) * float(part.mean() - ranks.mean()) ** 2 for part in np.split(ranks, ends)
    )
    freedom = len(kept) - 1
    share = 2.0 / (9.0 * freedom)
    critical = freedom * (1.0 - share + _NORMAL_99 * share**0.5) ** 3
    return float((len(ranks) - 1) * between / spread / critical)


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks from 1; equal values share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    means = np.asarray(np.cumsum(counts) - (counts - 1) / 2, dtype=np.float64)
    return np.take(means, place.reshape(-1))  # numpy 2.0 alone gives ``place`` another shape


def _words(dimension: Dimension, values: list[Any]) -> str:
    """The category, or the lowest and the highest value tried."""
    shown = [dimension.show(value) for value in values]
    if not dimension.ordered:
        return str(shown[0])
    low, high = min(shown), max(shown)
    if low == high:
        return f"{low:.3g}" if isinstance(low, float) else str(low)
    return f"{low:.3g} to {high:.3g}" if isinstance(low, float) else f"{low} to {high}"
