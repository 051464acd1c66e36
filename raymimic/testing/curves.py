"""Curves from plain lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from raymimic.curves import Curve


def curve(columns: Mapping[str, Sequence[float]]) -> Curve:
    """The curve of these metrics, a value for each epoch from 1 on; NaN where none came."""
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
    length = max(map(len, arrays.values()), default=0)
    return Curve(np.arange(1, length + 1), arrays)
