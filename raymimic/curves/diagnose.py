"""What a learning curve says about its trial, independent of the metric's scale and direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raymimic.curves.curve import Curve
from raymimic.curves.pairs import find_pair, is_loss
from raymimic.curves.series import Series, read_series
from raymimic.curves.shape import flat_since, still_improving, swings, takes_off_at
from raymimic.curves.signals import Diagnosis, Signal
from raymimic.curves.wording import average, best, number, path, trend
from raymimic.records import Mode

_FEWEST = 5  # epochs: in fewer nothing below can be told from noise
_ENOUGH = 8  # epochs: in fewer most signals cannot show, so none is no news
_FAR = 1.5  # diverged: worse than the start by this many times what had been gained
_FAR_TRAIN = 1.0  # the same for a training reading, which has no innocent reason to end up worse
_EXPLODED = 20.0  # diverged whatever else: this many times the range of everything before
_OVERFIT_OWN = 0.05  # overfitting: the rise is at least this share of validation's own range ...
_OVERFIT_PAIR = 0.03  # ... and this share of the larger range of the pair
_MEMORISED = 5.0  # training travelled this many times further than a validation that never moved
_BARELY = 8.0  # underfitting: the progress is at most this many times the noise
_SPIKE = 6.0  # in noise units: a rise over the start that no draw of noise makes
_NO_GAP = 0.03  # of the progress: a smaller distance of validation from training is no gap


@dataclass(frozen=True)
class _Pair:
    """Training and held-out readings of one quantity, on one scale."""

    train: Series
    held_out: Series
    own: bool
    """Whether the target metric is one of the two."""

    @property
    def span(self) -> float:
        return max(self.train.span, self.held_out.span)


def diagnose(curve: Curve, metric: str, mode: Mode) -> Diagnosis:
    """Signals of one trial's curve, most important first.

    Differences are measured against the curve's own noise and the range it travelled, never
    against its values, so scaling or shifting all losses, or negating the metric along with its
    mode, changes no kind and no onset (the numbers in the texts do change). Overfitting,
    underfitting and ceiling need a training and a held-out reading, found by their names.
    Fewer than 5 epochs give a signal only for NaN, explosion or an exactly constant metric.
    Never raises, whatever the values; an unknown metric gives an empty diagnosis.
    """
    target = read_series(curve, metric, mode == "min")
    pair = _read_pair(curve, metric, mode, target)
    lone = _broken(curve, metric, pair) or _exploded(target, pair) or _stuck(target, pair)
    if lone is not None:
        return Diagnosis((lone,))
    if len(curve) < _FEWEST:
        return Diagnosis((), few=True)
    fit = (_overfitting(pair) or _underfitting(pair)) if pair else None
    swing = swings(target)
    state = _oscillating(target, swing) if swing else _ending(target, pair, fit)
    found = (fit, state, _slow_start(target))
    few = len(target) < _ENOUGH
    return Diagnosis(tuple(signal for signal in found if signal is not None), few)


def _read_pair(curve: Curve, metric: str, mode: Mode, target: Series) -> _Pair | None:
    names = find_pair(tuple(curve.columns), metric)
    if names is None:
        return None
    own = names.lower_is_better is None
    lower = mode == "min" if names.lower_is_better is None else names.lower_is_better
    train, held_out = (
        target if name == metric else read_series(curve, name, lower)
        for name in (names.train, names.held_out)
    )
    return _Pair(train, held_out, own) if len(train) and len(held_out) else None


def _broken(curve: Curve, metric: str, pair: _Pair | None) -> Signal | None:
    """Diverged: the target, its pair or a loss was last reported as NaN or inf.

    Non-finite values before a finite one are no divergence (rewards before the first episode ends).
    """
    partners = (pair.train.name, pair.held_out.name) if pair else ()
    found: list[tuple[int, str]] = []
    for name in curve.columns:
        if name == metric or name in partners or is_loss(name):
            index = _breaks_at(curve, name)
            if index is not None:
                found.append((index, name))
    if not found:
        return None
    index, name = min(found)
    epoch, values = int(curve.epochs[index]), curve.columns[name]
    known = curve.last(name)
    before = "" if known is None else f" (was {known:.4g})"
    return Signal(
        "diverged", epoch, f"diverged at epoch {epoch}: {name} is {values[index]}{before}"
    )


def _breaks_at(curve: Curve, name: str) -> int | None:
    """Index of the first value reported as NaN or inf after the last finite one."""
    values = curve.columns[name]
    finite = np.isfinite(values)
    if finite.all():
        return None
    reported = np.isinf(values)
    nans = curve.nan_epochs.get(name)
    if nans:
        reported |= np.isnan(values) & np.isin(curve.epochs, list(nans))
    after = int(np.flatnonzero(finite)[-1]) + 1 if finite.any() else 0
    broken = np.flatnonzero(reported[after:])
    return after + int(broken[0]) if broken.size else None


def _exploded(target: Series, pair: _Pair | None) -> Signal | None:
    """Diverged with finite values: it ends far worse than it started."""
    if pair is None or not pair.own:
        checks = [(target, _FAR, 0.0)]
    else:
        # While training improves, only an explosion tells divergence from overfitting.
        checks = [(pair.held_out, _EXPLODED, pair.train.span)]
    if pair is not None:
        checks.insert(0, (pair.train, _FAR_TRAIN, 0.0))
    for series, factor, yardstick in checks:
        onset = _diverging_since(series, factor, yardstick)
        if onset is not None:
            return _diverged(series, onset)
    return None


def _diverging_since(series: Series, factor: float, yardstick: float) -> int | None:
    """Index since which the series is worse than its start, None unless it diverged."""
    if len(series) < 4 or not series.span:
        return None
    cost = series.cost
    before = float(cost[:-1].max() - cost[:-1].min())
    gained = -float(cost.min())
    end = min(series.level, float(cost[-2:].min()))
    if not 0 < _EXPLODED * max(before, yardstick) < float(cost[-1]) and (
        not series.worsened
        or end <= max(factor * max(gained, yardstick), 3 * series.noise)
        or end < float(cost.max()) / 2  # it came back
    ):
        return None
    return int(np.flatnonzero(cost <= 0).max()) + 1


def _diverged(series: Series, onset: int) -> Signal:
    epoch = int(series.epochs[onset])
    return Signal(
        "diverged",
        epoch,
        f"diverged since epoch {epoch}: {series.name} {path(series, 0, -1)} ({best(series)})",
    )


def _stuck(target: Series, pair: _Pair | None) -> Signal | None:
    """Flat from the first epoch: never left its start."""
    series = [target] if pair is None else [target, pair.train]
    if len(target) < 3 or not all(one.flat and swings(one) is None for one in series):
        return None
    text = f"stuck from the start: {target.name} never left {average(target)}"
    if target.span:
        text += f" ({number(target, target.raw.min())} to {number(target, target.raw.max())})"
    if pair is not None and pair.train is not target:
        text += f", {pair.train.name} never left {average(pair.train)}"
    return Signal("stuck", int(target.epochs[0]), f"{text} in {len(target)} epochs")


def _overfitting(pair: _Pair) -> Signal | None:
    """Training improved, and validation got worse since its best or never moved at all."""
    train, val = pair.train, pair.held_out
    if not train.improved:
        return None
    if _memorised(pair):
        epoch = int(val.epochs[0])
        text = f"while {_label(pair, val)} stayed at {average(val)}"
    elif _rise_matters(pair):
        epoch = int(val.epochs[val.best])
        text = f"while {_label(pair, val)} {path(val, val.best, -1)} ({best(val)})"
    else:
        return None
    moved = f"{_label(pair, train)} {path(train, 0, -1)}"
    return Signal("overfitting", epoch, f"overfitting since epoch {epoch}: {moved} {text}")


def _memorised(pair: _Pair) -> bool:
    """Whether training went far from its start while validation never left it."""
    train, val = pair.train, pair.held_out
    progress = _progress(train)
    return (
        len(val) >= 8
        and val.flat
        and progress > max(_MEMORISED * val.span, _BARELY * train.noise)
        and _gaps(pair)[1] > progress / 2
    )


def _progress(series: Series) -> float:
    """Improvement from the start (median of 3) to the end."""
    return float(np.median(series.cost[:3])) - series.level


def _label(pair: _Pair, series: Series) -> str:
    """A short name where the pair belongs to the target, else the column's own."""
    if not pair.own:
        return series.name
    return "train" if series is pair.train else "val"


def _rise_matters(pair: _Pair) -> bool:
    """Whether validation's rise is beyond noise, worth its name, and not shared by training."""
    train, val = pair.train, pair.held_out
    if not val.risen > max(_OVERFIT_OWN * val.span, _OVERFIT_PAIR * pair.span):
        return False
    then = float(np.interp(val.epochs[val.best], train.epochs, train.cost))
    return train.level <= then + 2 * train.noise


def _underfitting(pair: _Pair) -> Signal | None:
    """Training barely left its start: by less than its noise or than it lags behind validation.

    A validation that lags behind training by more than that has learnt before the first report.
    """
    train, val = pair.train, pair.held_out
    if not train.improved or len(val) < 5:
        return None
    gap, widened = _gaps(pair)
    progress = _progress(train)
    if widened > progress / 2 or val.risen or _blew_up(train, progress):
        return None
    if progress <= train.late_noise:  # erratic: less than an epoch's luck is no progress
        return None
    barely = _BARELY * train.late_noise  # of the whole it is inflated by a steep first fall
    if progress > max(barely, -gap) or gap > max(barely, progress):
        return None
    text = (
        f"underfitting: {_label(pair, train)} barely left its start ({path(train, 0, -1)}), "
        f"{_label(pair, val)} {path(val, 0, -1)}, no gap opening"
    )
    return Signal("underfitting", int(train.epochs[0]), text)


def _blew_up(train: Series, progress: float) -> bool:
    """Whether the series was far worse than at its start for a while, beyond what it gained."""
    return float(train.cost.max()) > max(progress, _SPIKE * train.late_noise)


def _gaps(pair: _Pair) -> tuple[float, float]:
    """(usual distance of validation above training, how much it widened from start to end)."""
    train, val = pair.train, pair.held_out
    distance = val.cost - np.interp(val.epochs, train.epochs, train.cost)
    distance = distance + (val.origin - train.origin)
    ends = max(2, len(val) // 5)
    return float(np.median(distance)), float(distance[-ends:].mean() - distance[:ends].mean())


def _oscillating(target: Series, swing: tuple[int, float]) -> Signal:
    epoch = int(target.epochs[swing[0]])
    size = swing[1] / target.span
    text = f"oscillating since epoch {epoch}: {target.name} swings by {size:.0%} of its range"
    low, high = (number(target, value) for value in (target.raw.min(), target.raw.max()))
    return Signal("oscillating", epoch, f"{text} ({low} to {high})")


def _ending(target: Series, pair: _Pair | None, fit: Signal | None) -> Signal | None:
    """At most one of: improving, plateau, ceiling; ``fit`` is the over- or underfitting found."""
    if fit is not None and fit.kind == "overfitting":
        return None
    if still_improving(target):
        return _improving(target)
    if (target.improved or target.worsened) and target.risen > _OVERFIT_OWN * target.span:
        return _no_better(target, pair)
    since = flat_since(target)
    if since is None:
        return _no_better(target, pair) if _stale(target) else None
    ceiling = _ceiling(target, since, pair) if pair and pair.own and fit is None else None
    return ceiling or _plateau(target, since, pair)


def _improving(target: Series) -> Signal:
    start = -target.window
    return Signal(
        "improving",
        None,
        f"still improving: {target.name} {trend(target, start)} over the last "
        f"{int(target.epochs[-1] - target.epochs[start])} epochs",
    )


def _stale(target: Series) -> bool:
    """Whether it improved once, but its best lies a third of the trial back."""
    if not len(target):
        return False
    since = len(target) - 1 - target.best
    return target.improved and since >= max(4, len(target) / 3)


def _no_better(target: Series, pair: _Pair | None) -> Signal:
    epoch = int(target.epochs[target.best])
    moved = f"{target.name} {path(target, target.best, -1)}"
    text = f"plateau, no better since epoch {epoch}: {moved}{_train_goes_on(target, pair)}"
    return Signal("plateau", epoch, text)


def _train_goes_on(target: Series, pair: _Pair | None) -> str:
    goes_on = pair is not None and pair.train is not target and still_improving(pair.train)
    return f", while {pair.train.name} goes on improving" if pair and goes_on else ""


def _plateau(target: Series, since: int, pair: _Pair | None) -> Signal:
    epoch = int(target.epochs[since])
    text = f"plateau since epoch {epoch}: {target.name} only {path(target, since, -1)}"
    text += f" of {path(target, 0, -1)} in all ({best(target)}){_train_goes_on(target, pair)}"
    return Signal("plateau", epoch, text)


def _ceiling(target: Series, since: int, pair: _Pair) -> Signal | None:
    """Both readings flat together, at one level, for at least the last third of the trial."""
    other = pair.train if target is pair.held_out else pair.held_out
    other_since = flat_since(other)
    if other_since is None or still_improving(other):
        return None
    if _progress(pair.train) <= _BARELY * pair.train.noise:
        return None
    epoch = int(max(target.epochs[since], other.epochs[other_since]))
    if np.count_nonzero(target.epochs >= epoch) < max(6, len(target) / 3):
        return None
    gap = (pair.held_out.origin + pair.held_out.level) - (pair.train.origin + pair.train.level)
    if gap > _NO_GAP * pair.span:
        return None
    train, val = (number(one, float(one.raw[-1])) for one in (pair.train, pair.held_out))
    text = f"ceiling since epoch {epoch}: train {train} and val {val} flat together, no gap"
    return Signal("ceiling", epoch, text)


def _slow_start(target: Series) -> Signal | None:
    index = takes_off_at(target)
    if index is None:
        return None
    epoch = int(target.epochs[index])
    text = f"slow start: {target.name} flat until epoch {epoch}, then {path(target, index, -1)}"
    return Signal("slow_start", epoch, text)
