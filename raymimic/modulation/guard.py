"""What keeps advice from doing harm: bounds, the trust region, the acceptance test."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

from torch import Tensor

from raymimic.advisor import Adjustment, VerdictKind
from raymimic.curves import Curve
from raymimic.curves.effect import NOISES, effect_kind, effect_of, outlook
from raymimic.modulation.knobs import Knobs
from raymimic.modulation.names import norms_of
from raymimic.records import Mode


@dataclass(frozen=True)
class Limits:
    """How far advice may go.

    >>> from raymimic import Limits
    >>> Limits(alpha=0.3).alpha
    0.3

    Args:
        alpha: Largest weight of the operations against the optimizer's update.
        dropout: Largest dropout rate.
        lr_change: Largest factor, up or down, on the learning rate from one interval to the next.
        trust: Largest size of what the operations add over an interval, as a multiple of how far
            the weights concerned moved in the last one.
        cooldown: Epochs without new adjustments after one was undone.

    Raises ValueError for values that mean nothing.
    """

    alpha: float = 0.6
    dropout: float = 0.9
    lr_change: float = 3.0
    trust: float = 1.0
    cooldown: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (("alpha", 0.0, 1.0), ("dropout", 0.0, 1.0)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)!r}")
        if not self.lr_change >= 1.0:
            raise ValueError(f"lr_change must be a factor of at least 1, got {self.lr_change!r}")
        if not (self.trust > 0.0 and self.cooldown >= 0):
            raise ValueError(
                f"trust must be above 0 and cooldown at least 0, got {self.trust!r} and "
                f"{self.cooldown!r}"
            )


@dataclass(frozen=True)
class Change:
    """Each knob that turns, its value before and after; in words what was refused or clipped."""

    changed: Mapping[str, tuple[float, float]]
    applied: tuple[str, ...]
    dropped: tuple[str, ...]


def bounded_knobs(adjustment: Adjustment, knobs: Knobs) -> Change:
    """Keep each wanted value to what its knob may reach; unknown names and NaN are refused."""
    changed: dict[str, tuple[float, float]] = {}
    applied, dropped = [], []
    for name, wanted in adjustment.knobs.items():
        if name not in knobs:
            dropped.append(f"{name}: there is no such knob; there are {', '.join(knobs)}")
            continue
        if not _is_number(wanted):
            dropped.append(f"{name}: must be a number, got {str(wanted)[:40]}")
            continue
        low, high = knobs.reach(name)
        value = min(max(float(wanted), low), high)
        if not math.isclose(value, wanted):
            dropped.append(f"{name} {wanted:.4g} clipped to {value:.4g}")
        if not math.isclose(value, knobs[name]):
            changed[name] = (knobs[name], value)
            applied.append(f"{name} {knobs[name]:.4g} -> {value:.4g}")
    return Change(changed, tuple(applied), tuple(dropped))


def _is_number(wanted: object) -> bool:
    """Whether it is one, numpy's too, and not NaN."""
    return isinstance(wanted, Real) and not isinstance(wanted, bool) and wanted == wanted


def bounded_alpha(wanted: float | None, most: float) -> tuple[float, tuple[str, ...]]:
    """Keep alpha within its bounds; the largest where none is given."""
    if wanted is None:
        return most, ()
    if not _is_number(wanted):
        return 0.0, (f"alpha: must be a number, got {str(wanted)[:40]}",)
    alpha = min(max(float(wanted), 0.0), most)
    return alpha, () if alpha == wanted else (f"alpha {wanted:.4g} clipped to {alpha:.4g}",)


def trusted_share(
    deltas: Mapping[str, Tensor], alpha: float, moved: Mapping[str, Tensor], trust: float
) -> float:
    """Give the share of the deltas that stays inside the trust region, 1 for all.

    ``moved`` is how the same parameters moved over the last interval: the whole of ``alpha *
    deltas`` may be ``trust`` times as long (Euclidean norm).
    """
    if math.isinf(trust):
        return 1.0
    size = alpha * math.hypot(*norms_of(list(deltas.values())))
    allowed = trust * math.hypot(*norms_of([moved[name] for name in deltas]))
    return 1.0 if size <= allowed else allowed / size


@dataclass(frozen=True)
class Verdict:
    """What an interval did to the metric: its value after it, against what was expected without.

    ``kind`` is that of the acceptance test, where the curve's own pace is no success. ``before`` is
    the metric where the interval began. ``harmful``: it broke, or ended worse than it began.
    """

    kind: VerdictKind
    before: float | None = None
    after: float | None = None
    expected: float | None = None
    margin: float | None = None
    harmful: bool = False


def judge(curve: Curve, metric: str, mode: Mode, epoch: int, *, broken: bool = False) -> Verdict:
    """Compare the metric at the curve's end with where it was going at ``epoch``.

    Expected is the middle of its pace in logarithmic time and of its last step once more; what lies
    between them is luck, too. Broken or infinite after the interval is worse whatever was before;
    without a value, and with fewer than two before, nothing is known.
    """
    rows = [(at, value) for at, value in curve.reported(metric) if math.isfinite(value)]
    known = [row for row in rows if row[0] <= epoch]
    after = rows[-1][1] if rows else None
    before = known[-1][1] if known else None
    latest = curve.columns[metric][-1] if metric in curve.columns else math.nan
    if broken or math.isinf(latest):
        return Verdict("worse", before, None if broken else after, harmful=True)
    if math.isnan(latest) or before is None or len(known) < 2:
        return Verdict("unknown", before, None if math.isnan(latest) else after)
    again = before + (before - known[-2][1])
    ahead = outlook(curve, metric, known[-1], end=again, length=rows[-1][0])
    effect = effect_of(ahead, rows[-1:], mode, was_finite=True)
    lost = effect_kind(latest, before, NOISES * ahead.noise, mode) == "worse"
    kind = "worse" if lost else effect.kind
    return Verdict(kind, before, after, effect.expected, effect.margin, harmful=lost)
