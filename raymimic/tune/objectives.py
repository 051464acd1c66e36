"""What a searcher optimises: one metric, or several as `OptunaSearch` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raymimic.records import Mode, Objective

MOST = 4
"""So many objectives at most: of more nearly every trial is on the front, and none is better."""

_FORM = 'LLMSearcher(metric=["val_loss", "latency"], mode=["min", "min"])'


def read_objectives(metric: Any, mode: Any) -> tuple[str | None, str | None, tuple[Objective, ...]]:
    """Give the first metric, its mode, and the objectives beside it; raises ValueError.

    Lists come through the constructor alone: Tune itself takes one metric.
    """
    if not isinstance(metric, (list, tuple)) and not isinstance(mode, (list, tuple)):
        if metric is not None and not isinstance(metric, str):
            raise ValueError(f"metric must be a name or a list of names, got {metric!r:.100}")
        if mode not in (None, "min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', got {mode!r:.100}")
        return metric, mode, ()
    if not isinstance(metric, (list, tuple)) or not isinstance(mode, (list, tuple)):
        raise ValueError(
            "several objectives need a list of metrics and a list of as many modes, as in "
            f"{_FORM}; got metric={metric!r:.100}, mode={mode!r:.100}"
        )
    if len(metric) != len(mode) or not 1 <= len(metric) <= MOST:
        raise ValueError(
            f"there must be as many modes as metrics, 1 to {MOST}, as in {_FORM}; got "
            f"{len(metric)} metrics and {len(mode)} modes"
        )
    if not all(isinstance(name, str) and name for name in metric):
        raise ValueError(f"each metric must be a name, got {list(metric)!r:.200}")
    doubled = sorted({name for name in metric if list(metric).count(name) > 1})
    if doubled:
        raise ValueError(f"each metric must be named once, got {doubled[0]!r} more than once")
    wrong = [one for one in mode if one not in ("min", "max")]
    if wrong:
        raise ValueError(f"each mode must be 'min' or 'max', got {wrong[0]!r:.100}")
    first, *others = (Objective(*one) for one in zip(metric, mode, strict=True))
    return first.name, first.mode, tuple(others)


def check_agrees(objectives: Sequence[Objective], metric: str | None, mode: str | None) -> None:
    """Raise ValueError where the one metric that Tune was given contradicts several objectives."""
    modes: dict[str, Mode] = {one.name: one.mode for one in objectives}
    if metric is not None and metric not in modes:
        raise ValueError(
            f"metric={metric!r}, given to Tune, must be one of the objectives of LLMSearcher, "
            f"{list(modes)}, or be left out there"
        )
    if mode is not None and mode != (modes[metric] if metric else objectives[0].mode):
        name = metric or objectives[0].name
        raise ValueError(
            f"mode={mode!r}, given to Tune, must be that of LLMSearcher for {name!r}, "
            f"{modes[name]!r}, or be left out there"
        )


def check_same(own: Sequence[Objective], known: Sequence[Objective]) -> None:
    """Raise ValueError where a scheduler was given other objectives than its searcher has."""
    if list(own) != list(known):
        told, has = (", ".join(f"{one.name} ({one.mode})" for one in some) for some in (own, known))
        raise ValueError(
            f"LLMScheduler(searcher=...) judges by what its searcher optimises, {has}; got {told}: "
            "leave metric and mode out, or give both the same"
        )
