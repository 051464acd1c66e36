"""A training in progress: evidence for an `Adjuster`."""

from __future__ import annotations

from typing import Any

from raymimic.advisor import (
    Adjustment,
    KnobState,
    LayerState,
    PastAdjustment,
    RunEvidence,
)
from raymimic.curves import diagnose
from raymimic.testing.curves import curve

KNOBS = (
    KnobState("lr", 0.001, 0.000333, 0.003, "learning rate"),
    KnobState("dropout", 0.1, 0.0, 0.9),
)
LAYERS = (
    LayerState("conv.weight", (8, 1, 3, 3), 2.3, 0.03, 0.04),
    LayerState("fc.4.weight", (10, 64), 3.1, 0.2, 0.02, lr_gain=0.5),
    LayerState("fc.4.bias", (10,), 0.2, 0.01, 0.3, lr_gain=0.0),
)


def evidence(epochs: int = 8, **changes: Any) -> RunEvidence:
    """A training after so many epochs; ``changes`` replace fields of `RunEvidence`."""
    columns = {
        "train_loss": [1.0 / (e + 1) for e in range(epochs)],
        "val_loss": [0.4 + 1.0 / (e + 1) + 0.01 * (-1) ** e for e in range(epochs)],
        "val_accuracy": [0.5 + 0.3 * e / epochs for e in range(epochs)],
    }
    seen = curve(columns)
    values: dict[str, Any] = {
        "metric": "val_loss",
        "mode": "min",
        "epoch": epochs,
        "curve": seen,
        "diagnosis": diagnose(seen, "val_loss", "min"),
        "knobs": KNOBS,
        "layers": LAYERS,
        "noise": 0.008,
        "anchors": ("best", "initial"),
    }
    return RunEvidence(**{**values, **changes})


def past(epoch: int, **changes: Any) -> PastAdjustment:
    """An adjustment that doubled the learning rate and helped; ``changes`` replace fields."""
    values: dict[str, Any] = {
        "epoch": epoch,
        "asked_epoch": epoch - 1,
        "adjustment": Adjustment(rationale=f"reason of {epoch}", source="llm"),
        "applied": ("lr 0.001 -> 0.002",),
        "verdict": "better",
        "before": 0.5,
        "after": 0.45,
        "expected": 0.48,
        "margin": 0.02,
    }
    return PastAdjustment(**{**values, **changes})
