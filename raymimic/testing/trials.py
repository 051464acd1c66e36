"""Running trials in doubt: evidence for a `Judge`."""

from __future__ import annotations

from typing import Any

from raymimic.advisor import Case, JudgeEvidence, KnobState, Leader, PastRedirect
from raymimic.curves import Curve, diagnose
from raymimic.testing import curves

LR = KnobState("lr", 0.03, 1e-4, 0.1, "learning rate")
DROPOUT = KnobState("dropout", 0.1, 0.0, 0.6)
LEADER = Leader("ab12", 0.21, 9, {"lr": 0.01, "dropout": 0.5}, {"lr": 0.01, "name": "wide"})
DECAY = KnobState("weight_decay", 0.001, 0.0, 0.1)


def flat(epochs: int = 24) -> Curve:
    """A loss that has come to rest at its sixth epoch."""
    losses = [0.6 + 0.5**epoch + 0.001 * (-1) ** epoch for epoch in range(epochs)]
    return curves.curve({"loss": losses})


def overfitting(epochs: int = 24) -> Curve:
    """A validation loss that rises from its seventh epoch on while the training loss falls."""
    down = [1.0 / (epoch + 1) for epoch in range(epochs)]
    up = [0.4 + 1.0 / (epoch + 1) + 0.03 * max(0, epoch - 6) for epoch in range(epochs)]
    return curves.curve({"loss": up, "train_loss": down})


def case(trial_id: str = "t1", curve: Curve | None = None, **changes: Any) -> Case:
    """One trial on a plateau with two live knobs; ``changes`` replace fields of `Case`."""
    curve = flat() if curve is None else curve
    values: dict[str, Any] = {
        "trial_id": trial_id,
        "epoch": len(curve),
        "curve": curve,
        "diagnosis": diagnose(curve, "loss", "min"),
        "standing": "place 7 of 12, the best 5 go on",
        "config": {"lr": 0.03, "model/width": 64, "name": "net"},
        "knobs": (LR, DROPOUT),
    }
    return Case(**{**values, **changes})


def evidence(*cases: Case, **changes: Any) -> JudgeEvidence:
    """Two cases, of which one may not be stopped; ``changes`` replace fields."""
    values: dict[str, Any] = {
        "metric": "loss",
        "mode": "min",
        "cases": cases or (case("t1"), case("t2", may_stop=False)),
        "length": 40,
        "finals": (0.31, 0.4, 0.5, 0.9),
        "live": ("lr", "dropout"),
    }
    return JudgeEvidence(**{**values, **changes})


def past(epoch: int = 10, **changes: Any) -> PastRedirect:
    """A learning rate that was lowered and helped; ``changes`` replace fields."""
    values: dict[str, Any] = {
        "epoch": epoch,
        "changed": {"lr": (0.09, 0.03)},
        "reason": "plateau since epoch 6",
        "before": 0.61,
        "after": 0.55,
        "expected": 0.6,
        "margin": 0.01,
        "ended": epoch + 4,
        "verdict": "better",
    }
    return PastRedirect(**{**values, **changes})
