"""What the advisor is shown of a training."""

from __future__ import annotations

from typing import Any

import numpy as np

from raymimic.advisor import RunEvidence
from raymimic.curves import diagnose, noise_of
from raymimic.modulation.record import Record
from raymimic.modulation.steering import Steering


def evidence_of(record: Record, steering: Steering, **plan: Any) -> RunEvidence:
    """The run as it stands; ``plan`` are the fields that the user has set."""
    curve, metric = record.curve, record.metric
    values = curve.columns.get(metric, np.empty(0))
    return RunEvidence(
        metric=metric,
        mode=record.mode,
        epoch=record.epoch,
        curve=curve,
        diagnosis=diagnose(curve, metric, record.mode),
        knobs=steering.knobs.states(),
        layers=steering.layers(),
        steps_per_epoch=record.steps_per_epoch,
        history=tuple(record.history),
        anchors=steering.anchors.known,
        class_accuracy=record.class_accuracy,
        noise=noise_of(values[np.isfinite(values)]),
        max_alpha=steering.limits.alpha,
        optimizer=steering.optimizers.name,
        **plan,
    )
