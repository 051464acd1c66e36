"""A belief as a density over unit coordinates: its logarithm, draws, its likeliest point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp, ndtr, ndtri

from raymimic.advisor.belief.axes import Axis, Floats, level_of, without_absent
from raymimic.records import Belief, Config, Place
from raymimic.space import FloatRange

_ANYWHERE = 0.05
"""Of each parameter's density so much is spread evenly: whoever believes may be wrong."""

_NONE = 1 / 3
"""The weight beside the beliefs of the case that none of them is right."""

_INWARD = 0.15
"""How far inside the range the likeliest value is put where the belief's centre lies outside it."""

_NARROWEST = 1e-3


class _Normal:
    """A normal density on one coordinate, cut off at 0 and 1."""

    def __init__(self, axis: Axis, place: Place) -> None:
        bent = float(axis.bent(place.centre))
        ends = [float(axis.straight(bent + way * place.width)) for way in (-1.0, 1.0)]
        low, high = (axis.unit_of_number(end) for end in ends)
        self.centre = min(max(axis.unit_of_number(place.centre), 0.0), 1.0)
        self.width = max((high - low) / 2, _NARROWEST)
        self._below = float(ndtr(-self.centre / self.width))
        self._inside = float(ndtr((1.0 - self.centre) / self.width)) - self._below

    def density(self, units: Floats) -> Floats:
        scaled = (units - self.centre) / self.width
        norm = self.width * math.sqrt(2.0 * math.pi) * self._inside
        return np.asarray(np.exp(-0.5 * scaled**2) / norm)

    def drawn(self, rng: np.random.Generator, count: int) -> Floats:
        quantiles = self._below + self._inside * rng.random(count)
        return np.asarray(np.clip(self.centre + self.width * ndtri(quantiles), 0.0, 1.0))


class Prior:
    """The density of a belief in a space. Parameters are independent, but for places ``given``.

    A parameter of which nothing is believed has an even density.
    """

    def __init__(self, axes: Sequence[Axis], belief: Belief) -> None:
        self._axes, self._belief = axes, belief
        self._column = {axis.name: i for i, axis in enumerate(axes)}
        self._weights = {
            i: self._weights_of(axis)
            for i, axis in enumerate(axes)
            if axis.levels is not None and not axis.ordered and axis.name in belief.leanings
        }
        self._places = {
            i: [(_Normal(axis, place), self._condition(place)) for place in found]
            for i, axis in enumerate(axes)
            if axis.ordered and (found := belief.places.get(axis.name))
        }

    def _weights_of(self, axis: Axis) -> Floats:
        said = self._belief.leanings[axis.name].weights
        weights = np.array([said.get(label, 0.0) for label in axis.labels], dtype=np.float64)
        return weights / weights.sum() if weights.sum() > 0 else weights + 1.0 / len(weights)

    def _condition(self, place: Place) -> tuple[int, int] | None:
        """Give the column and the level that a place is limited to."""
        if place.given is None or place.given[0] not in self._column:
            return None
        column = self._column[place.given[0]]
        labels = self._axes[column].labels
        return (column, labels.index(place.given[1])) if place.given[1] in labels else None

    def log_density(self, units: Floats) -> Floats:
        """Give the logarithm of the density at each row of coordinates.

        A parameter that does not exist in a row adds nothing to it.
        """
        total = np.zeros(len(units))
        for column, weights in self._weights.items():
            levels = level_of(self._axes[column], units[:, column])
            share = np.where(levels < 0, 1.0, weights[levels] * len(weights))
            total += np.log((1.0 - _ANYWHERE) * share + _ANYWHERE)
        for column, places in self._places.items():
            density, count = np.zeros(len(units)), np.zeros(len(units))
            for normal, condition in places:
                holds = self._holds(units, condition)
                density += holds * normal.density(units[:, column])
                count += holds
            exists = (count > 0) & ~np.isnan(density)
            mean = np.where(exists, density / np.maximum(count, 1.0), 1.0)
            total += np.log((1.0 - _ANYWHERE) * mean + _ANYWHERE)
        return total

    def drawn(self, rng: np.random.Generator, count: int) -> Floats:
        """Draw ``count`` rows of coordinates, of parameters that do not exist, too."""
        units = np.column_stack([axis.drawn(rng, count) for axis in self._axes])
        for column, weights in self._weights.items():
            rows = np.flatnonzero(rng.random(count) >= _ANYWHERE)
            levels = rng.choice(len(weights), len(rows), p=weights)
            units[rows, column] = levels / max(1, len(weights) - 1)
        for column, places in self._places.items():
            believed = rng.random(count) >= _ANYWHERE
            which = rng.integers(len(places), size=count)
            for normal, condition in (places[k] for k in np.unique(which)):
                rows = np.flatnonzero(believed & self._holds(units, condition))
                units[rows, column] = normal.drawn(rng, len(rows))
        return units

    def likeliest(self, given: Mapping[str, Any] | None = None) -> Config:
        """Give the configuration at the belief's centre, around the values that are ``given``.

        Where nothing is believed it is the middle of a range and the first value of a choice:
        people list their default first.
        """
        given = self._with_branches(given or {})
        units = np.array([0.5 if axis.ordered else 0.0 for axis in self._axes])
        config: Config = {}
        for column, weights in self._weights.items():
            units[column] = int(np.argmax(weights)) / max(1, len(weights) - 1)
        for i, axis in enumerate(self._axes):
            if axis.name in given:
                units[i] = axis.unit(given[axis.name])
        units = without_absent(self._axes, units[None])[0]
        for i, axis in enumerate(self._axes):
            if np.isnan(units[i]):
                continue
            if axis.name in given:
                config[axis.name] = given[axis.name]
                continue
            places = self._belief.places.get(axis.name, ()) if i in self._places else ()
            holding = [
                place
                for place, (_, condition) in zip(places, self._places.get(i, ()), strict=True)
                if self._holds(units[None], condition)[0]
            ]
            config[axis.name] = _centre(axis, holding[0]) if holding else axis.at(units[i])
        return config

    def _with_branches(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """The values given, and of choices that are not the branches in which those exist."""
        whole = dict(given)
        for axis in reversed(self._axes):
            parent = None if axis.parent is None else self._axes[axis.parent]
            if axis.name in whole and parent is not None and parent.levels is not None:
                whole.setdefault(parent.name, parent.levels[axis.beside[0]])
        return whole

    def _holds(self, units: Floats, condition: tuple[int, int] | None) -> npt.NDArray[np.bool_]:
        if condition is None:
            return np.ones(len(units), dtype=bool)
        column, level = condition
        return np.asarray(level_of(self._axes[column], units[:, column]) == level)


class Priors:
    """Several beliefs of which one is right, or none: then the optimum may be anywhere.

    A belief that is wrong in every parameter leaves the others' places where they are.
    """

    def __init__(self, axes: Sequence[Axis], beliefs: Sequence[Belief]) -> None:
        self._parts = [Prior(axes, belief) for belief in (*beliefs, Belief())]
        weights = np.array([1.0] * len(beliefs) + [_NONE * max(1, len(beliefs))])
        self._weights = weights / weights.sum()

    def learn(self, units: Floats, values: Floats) -> None:
        """Weigh the beliefs anew by results, lower values being better.

        A belief gains as far as the best third of the trials lies in likelier places of it than
        the trials on the whole: by that difference of the mean logarithms of its density.
        """
        best = np.argsort(values, kind="stable")[: max(1, len(values) // 3)]
        logs = np.array([prior.log_density(units) for prior in self._parts])
        gains = logs[:, best].mean(axis=1) - logs.mean(axis=1)
        weights = self._weights * np.exp(gains - gains.max())
        self._weights = weights / weights.sum()

    def log_density(self, units: Floats) -> Floats:
        """Give the logarithm of the density at each row of coordinates."""
        logs = np.array([prior.log_density(units) for prior in self._parts])
        return np.asarray(logsumexp(logs, axis=0, b=self._weights[:, None]))

    def drawn(self, rng: np.random.Generator, count: int) -> Floats:
        """Draw ``count`` rows of coordinates."""
        counts = rng.multinomial(count, self._weights)
        draws = zip(self._parts, counts.tolist(), strict=True)
        return np.vstack([prior.drawn(rng, some) for prior, some in draws])


def _centre(axis: Axis, place: Place) -> object:
    """Give the value at a place's centre, a little inside where the range ends before it."""
    low, high = axis.bounds
    dimension = axis.dimension
    inside = low <= place.centre <= high
    if inside and isinstance(dimension, FloatRange) and dimension.step is None:
        return float(place.centre)
    if inside or axis.levels is not None:
        return axis.at(axis.unit_of_number(place.centre))
    return axis.at(_INWARD if place.centre < low else 1.0 - _INWARD)
