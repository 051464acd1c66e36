"""What an epoch of the digits' small nets would take: a model of its seconds, no measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SAMPLES, PIXELS, CLASSES = 500, 64, 10
_STEP_S, _LAYER_S = 2e-4, 1.5e-4  # of an optimizer step: its overhead, and that of a layer more
_RATE = 5e9  # multiplications a second of one core; a trained weight takes six a sample


def pace(config: Mapping[str, Any]) -> float:
    """Seconds an epoch, from steps, layers and weights."""
    layers, width = int(config["n_layers"]), int(config["width"])
    weights = PIXELS * width + (layers - 1) * width**2 + CLASSES * width
    steps = -(-SAMPLES // int(config["batch_size"]))
    return steps * (_STEP_S + layers * _LAYER_S) + 6 * SAMPLES * weights / _RATE


USUAL = pace({"n_layers": 2, "width": 48, "batch_size": 128})
"""Of a usual net: the unit of a budget."""
