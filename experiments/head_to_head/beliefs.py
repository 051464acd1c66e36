"""Beliefs that a user might be sure of: at the wrong end of each range, and at the right place."""

from __future__ import annotations

from typing import Any

from experiments.common.task import Task
from experiments.head_to_head.believers import right_place
from raymimic.advisor.belief.axes import Axis, axes_of
from raymimic.tune.domains import RaySpace

_SURE = 0.1  # of a range


def right(task: Task) -> dict[str, Any]:
    """Sure that each value lies where the best of the table have it in the mean."""
    axes = _axes(task)
    places = right_place(task, axes)
    return {axis.name: _said(axis, float(unit)) for axis, unit in zip(axes, places, strict=True)}


def wrong_end(task: Task) -> dict[str, Any]:
    """Sure that each value lies at the end of its range that is farther from the task's default.

    Of categories, it gives no weight to that of the default.
    """
    default = task.default()
    return {
        axis.name: _said(axis, axis.unit(default[axis.name]), away=True) for axis in _axes(task)
    }


def _axes(task: Task) -> tuple[Axis, ...]:
    return axes_of(RaySpace.from_ray(task.param_space()).space)


def _said(axis: Axis, unit: float, away: bool = False) -> Any:
    """Say of one parameter what `LLMSearcher(belief=...)` takes: centre, width; or weights."""
    if not axis.ordered:
        count = len(axis.labels)
        level = round(unit * max(1, count - 1))
        return {
            label: float(count == 1 or (i != level) == away) for i, label in enumerate(axis.labels)
        }
    low, high = (float(axis.bent(end)) for end in axis.bounds)
    centre = (float(unit < 0.5)) if away else unit
    return axis.at(centre), _SURE * (high - low)
