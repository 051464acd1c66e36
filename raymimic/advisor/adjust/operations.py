"""The weight operations that an advisor can name: the one table of their bounds and words.

Who adds one writes its entry here, and its function into the table of the same keys in
`raymimic.modulation.operations`: an advisor must be importable without torch, so the function
cannot stand here. A test compares the keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

RAW_LIMIT = 256
"""Tensors with as many elements or more cannot be given number by number."""


@dataclass(frozen=True)
class OperationKind:
    """One kind of operation on parameters p.

    ``meaning`` says what it does to a model that may ask for it; delta is what is added over the
    interval (times alpha). ``words`` say it of one `Operation`, with its fields in braces.
    ``bounds`` are the lowest and highest amount, None where it has none. ``needs`` names the
    other field that it reads, if there is one.
    """

    meaning: str
    words: str
    bounds: tuple[float, float] | None = None
    needs: Literal["toward", "values"] | None = None

    @property
    def described(self) -> str:
        """Meaning and bounds, for a prompt."""
        if self.bounds is None:
            return f"{self.meaning}; no amount"
        return f"{self.meaning}; amount {self.bounds[0]:g} to {self.bounds[1]:g}"


OPERATIONS: Mapping[str, OperationKind] = {
    "pull": OperationKind(
        "delta = amount * (anchor - p); toward names one of the anchors",
        "pull {params} toward {toward} by {amount:g}",
        (0.0, 1.0),
        needs="toward",
    ),
    "shrink": OperationKind("delta = -amount * p", "shrink {params} by {amount:g}", (0.0, 1.0)),
    "scale": OperationKind("delta = (amount - 1) * p", "scale {params} by {amount:g}", (0.0, 2.0)),
    "lr_gain": OperationKind(
        "the optimizer's update of p is multiplied by amount until you change it",
        "updates of {params} x{amount:g}",
        (0.0, 10.0),
    ),
    "extrapolate": OperationKind(
        "delta = amount * (p - p at the start of the last epoch)",
        "extrapolate {params} by {amount:g}",
        (0.0, 2.0),
    ),
    "noise": OperationKind(
        "delta = amount * rms(p) * a normal draw", "noise of {amount:g} rms on {params}", (0.0, 0.5)
    ),
    "reinit": OperationKind("delta = fresh initial values - p", "initialise {params} anew"),
    "freeze": OperationKind(
        "the optimizer does not move p until you unfreeze it", "freeze {params}"
    ),
    "unfreeze": OperationKind("the optimizer moves p again", "unfreeze {params}"),
    "class_bias": OperationKind(
        "p is an output bias, one element a class: delta = amount * (mean accuracy - accuracy of "
        "the class); only where class accuracies are shown",
        "class bias of {amount:g} on {params}",
        (0.0, 2.0),
    ),
    "delta": OperationKind(
        "delta = values, nested lists in the shape of the one p named, at most "
        f"{RAW_LIMIT - 1} numbers",
        "given delta on {params}",
        needs="values",
    ),
}
