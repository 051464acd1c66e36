"""Beliefs that a user might have and that are no help: none at all, and one at the wrong end."""

from __future__ import annotations

from typing import Any

from experiments.common.task import Task
from raymimic.advisor.belief.axes import Axis, axes_of
from raymimic.tune.domains import RaySpace

_FLAT = 100.0  # of a range: so wide that the density is even
_SURE = 0.1  # of a range


def no_belief(task: Task) -> dict[str, Any]:
    """Everything alike, in place of what published practice says."""
    return {axis.name: _said(axis, 0.5, _FLAT) for axis in _axes(task)}


def wrong_end(task: Task) -> dict[str, Any]:
    """Sure that each value lies at the end of its range that is farther from the task's default.

    Of categories, it gives no weight to that of the default.
    """
    default = task.default()
    return {
        axis.name: _said(axis, axis.unit(default[axis.name]), _SURE, away=True)
        for axis in _axes(task)
    }


def _axes(task: Task) -> tuple[Axis, ...]:
    return axes_of(RaySpace.from_ray(task.param_space()).space)


def _said(axis: Axis, unit: float, width: float, away: bool = False) -> Any:
    """Say of one parameter what `LLMSearcher(belief=...)` takes: centre, width; or weights."""
    if not axis.ordered:
        count = len(axis.labels)
        level = round(unit * max(1, count - 1))
        return {
            label: float(not away or count == 1 or i != level)
            for i, label in enumerate(axis.labels)
        }
    low, high = (float(axis.bent(end)) for end in axis.bounds)
    centre = (float(unit < 0.5)) if away else unit
    return axis.at(centre), width * (high - low)
