"""Numeric dimensions: float and integer ranges, and the unbounded normal."""

from __future__ import annotations

import math
import numbers
import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist
from typing import Any, ClassVar, TypeVar

from raymimic.errors import ConfigError, SpaceError
from raymimic.space.reading import Notes, brief, is_finite, read_number

LARGEST = 1e300
"""Bounds stay below this, so that widths, sums and exponentials of logs fit into a float."""

SLACK = 0.1
"""Values outside by at most this share of the range's width are clamped, others refused."""

SAME = 1e-9
"""Relative difference below which two floats are one number written in two ways."""

EXACT = 2.0**53
"""Above this many steps from zero a float can no longer tell one multiple from the next."""

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class FloatRange:
    """Floats from ``low`` to ``high``, both included; with ``step``, only multiples of it.

    Bounds that are no multiples of ``step`` are rounded inwards. ``log`` says that ratios matter,
    not differences. Raises `SpaceError` for bounds that leave nothing to choose from.

    >>> from raymimic import FloatRange
    >>> round(FloatRange(1e-4, 1.0, log=True).from_unit(0.5), 6)
    0.01
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    ordered: ClassVar[bool] = True

    def __post_init__(self) -> None:
        low, high = _bound("low", self.low), _bound("high", self.high)
        if self.step is not None:
            step = _positive("step", self.step)
            low, high = _inwards(low, step, math.ceil), _inwards(high, step, math.floor)
            object.__setattr__(self, "step", step)
        _require_order(self, low, high)
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def size(self) -> int | None:
        """Number of distinct values, None for a continuum."""
        if self.low == self.high:
            return 1
        return None if self.step is None else round((self.high - self.low) / self.step) + 1

    def to_unit(self, value: float) -> float:
        """Place of ``value`` in the range: 0 at ``low``, 1 at ``high``, even in its own scale."""
        return _share(_clip(value, self.low, self.high), self.low, self.high, self.log)

    def from_unit(self, u: float) -> float:
        """The value at place ``u``."""
        value = _at(u, self.low, self.high, self.log)
        if self.step is not None:
            value = _nearest_multiple(value, self.step)
        return _clip(value, self.low, self.high)

    def sample(self, rng: random.Random) -> float:
        """Draw evenly, in the log where the range is logarithmic."""
        return self.from_unit(rng.random())

    def read(self, raw: Any) -> tuple[float, Notes]:
        """The value that ``raw`` means and what had to be mended; raises `ConfigError`."""
        number, notes = read_number(raw)
        value = float(number)
        for bound in (self.low, self.high):
            if not self.low <= value <= self.high and math.isclose(value, bound, rel_tol=SAME):
                value = bound  # not worth a note: Ray itself draws 0.7000000000000001 below 0.7
        value, clamped = _clamp(value, self.low, self.high, self.log)
        snapped, off_grid = _snap(value, self.step)
        return _clip(snapped, self.low, self.high), notes + clamped + off_grid

    def show(self, value: float) -> float:
        """The value as JSON."""
        return float(value)

    def describe(self) -> str:
        """The range in words."""
        return f"number from {self.low!r} to {self.high!r}" + _manner(self.log, self.step)

    def schema(self) -> dict[str, Any]:
        """JSON schema of one value."""
        return {"type": "number", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True)
class IntRange:
    """Integers from ``low`` to ``high``, both included; with ``step``, only multiples of it.

    Bounds that are no multiples of ``step`` are rounded inwards. ``log`` says that ratios matter,
    not differences. Raises `SpaceError` for bounds that leave nothing to choose from.

    >>> from raymimic import IntRange
    >>> IntRange(1, 8).from_unit(1.0)
    8
    """

    low: int
    high: int
    log: bool = False
    step: int = 1

    ordered: ClassVar[bool] = True

    def __post_init__(self) -> None:
        step = _whole("step", self.step)
        if step < 1:
            raise SpaceError(f"step must be 1 or more, got {step!r}")
        low = -(-_whole("low", self.low) // step) * step
        high = _whole("high", self.high) // step * step
        _require_order(self, low, high)
        for name, value in (("low", low), ("high", high), ("step", step)):
            object.__setattr__(self, name, value)

    @property
    def size(self) -> int:
        """Number of distinct values."""
        return (self.high - self.low) // self.step + 1

    def to_unit(self, value: int) -> float:
        """Place of ``value`` in the range: 0 at ``low``, 1 at ``high``, even in its own scale."""
        return _share(_clip(value, self.low, self.high), self.low, self.high, self.log)

    def from_unit(self, u: float) -> int:
        """The value nearest to place ``u``."""
        return self._multiple(round(_at(u, self.low, self.high, self.log) / self.step))

    def sample(self, rng: random.Random) -> int:
        """Draw each multiple alike; in the log, in proportion to ``log((k + 1) / k)`` as Ray."""
        first, last = self.low // self.step, self.high // self.step
        if not self.log:
            return rng.randint(first, last) * self.step
        return self._multiple(math.floor(_at(rng.random(), first, last + 1, log=True)))

    def read(self, raw: Any) -> tuple[int, Notes]:
        """The value that ``raw`` means and what had to be mended; raises `ConfigError`."""
        number, notes = read_number(raw)
        value = round(number)
        if value != number:
            notes += (f"{number!r} rounded to {value}",)
        value, clamped = _clamp(value, self.low, self.high, self.log)
        snapped = (value + self.step // 2) // self.step * self.step
        off_grid = () if snapped == value else (_snap_note(value, self.step, snapped),)
        return snapped, notes + clamped + off_grid

    def show(self, value: int) -> int:
        """The value as JSON."""
        return int(value)

    def describe(self) -> str:
        """The range in words."""
        step = self.step if self.step > 1 else None
        return f"integer from {self.low} to {self.high}" + _manner(self.log, step)

    def schema(self) -> dict[str, Any]:
        """JSON schema of one value."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}

    def _multiple(self, count: int) -> int:
        return _clip(count * self.step, self.low, self.high)


@dataclass(frozen=True)
class Normal:
    """Floats around ``mean`` with standard deviation ``sd``, without bounds.

    With ``step``, only multiples of it. Raises `SpaceError`.

    >>> from raymimic import Normal
    >>> Normal(0.0, 1.0).from_unit(0.5)
    0.0
    """

    mean: float
    sd: float
    step: float | None = None

    ordered: ClassVar[bool] = True
    size: ClassVar[None] = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", _bound("mean", self.mean))
        object.__setattr__(self, "sd", _positive("sd", self.sd))
        if self.step is not None:
            object.__setattr__(self, "step", _positive("step", self.step))

    def to_unit(self, value: float) -> float:
        """Share of the distribution below ``value``: 0.5 at the mean."""
        return NormalDist(self.mean, self.sd).cdf(value)

    def from_unit(self, u: float) -> float:
        """The value with the share ``u`` below it; 0 and 1 mean about 8 standard deviations."""
        tail = 1 / EXACT
        return self._multiple(NormalDist(self.mean, self.sd).inv_cdf(_clip(u, tail, 1 - tail)))

    def sample(self, rng: random.Random) -> float:
        """Draw from the distribution."""
        return self._multiple(rng.normalvariate(self.mean, self.sd))

    def read(self, raw: Any) -> tuple[float, Notes]:
        """The value that ``raw`` means and what had to be mended; raises `ConfigError`."""
        number, notes = read_number(raw)
        value, off_grid = _snap(float(number), self.step)
        return value, notes + off_grid

    def show(self, value: float) -> float:
        """The value as JSON."""
        return float(value)

    def describe(self) -> str:
        """The distribution in words."""
        return f"number around {self.mean!r}, standard deviation {self.sd!r}, no bounds" + _manner(
            False, self.step
        )

    def schema(self) -> dict[str, Any]:
        """JSON schema of one value."""
        return {"type": "number"}

    def _multiple(self, value: float) -> float:
        return value if self.step is None else _nearest_multiple(value, self.step)


# --- what a range may be ------------------------------------------------------------------------


def _bound(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise SpaceError(f"{name} must be a number, got {brief(value)}")
    if not is_finite(value) or abs(float(value)) > LARGEST:
        raise SpaceError(f"{name} must be finite and at most {LARGEST} in size, got {brief(value)}")
    return float(value)


def _positive(name: str, value: Any) -> float:
    number = _bound(name, value)
    if number <= 0:
        raise SpaceError(f"{name} must be above 0, got {value!r}")
    return number


def _whole(name: str, value: Any) -> int:
    if not _bound(name, value).is_integer():
        raise SpaceError(f"{name} must be a whole number, got {value!r}: use a float range instead")
    return int(value)


def _require_order(dimension: FloatRange | IntRange, low: float, high: float) -> None:
    if low > high:
        raise SpaceError(f"must leave at least one value between low and high, got {dimension!r}")
    if dimension.log and low <= 0:
        raise SpaceError(
            f"a log range must start above 0, got {dimension!r}: raise low or drop log"
        )


# --- the unit scale -----------------------------------------------------------------------------


def _clip(value: Number, low: Number, high: Number) -> Number:
    return min(max(value, low), high)


def _share(value: float, low: float, high: float, log: bool) -> float:
    if log:
        value, low, high = math.log(value), math.log(low), math.log(high)
    return 0.0 if low == high else (value - low) / (high - low)


def _at(u: float, low: float, high: float, log: bool) -> float:
    u = _clip(u, 0.0, 1.0)
    if log:
        return math.exp((1 - u) * math.log(low) + u * math.log(high))
    return (1 - u) * low + u * high


# --- mending ------------------------------------------------------------------------------------


def _clamp(value: Number, low: Number, high: Number, log: bool) -> tuple[Number, Notes]:
    if low <= value <= high:
        return value, ()
    bound, side = (low, "below") if value < low else (high, "above")
    if log:
        excess = abs(math.log(value) - math.log(bound)) if value > 0 else math.inf
        width = math.log(high) - math.log(low)
    else:
        excess, width = abs(value - bound), high - low
    if excess > SLACK * width:
        raise ConfigError([f"{brief(value)} is far {side} {bound!r}: keep to {low!r} … {high!r}"])
    return bound, (f"{brief(value)} is {side} {bound!r}, clamped",)


def _snap(value: float, step: float | None) -> tuple[float, Notes]:
    """The nearest multiple of ``step``; a value that is one up to rounding stays as written."""
    if step is None or _is_whole(value / step):
        return value, ()
    nearest = _nearest_multiple(value, step)
    return nearest, (_snap_note(value, step, nearest),)


def _snap_note(value: float, step: float, nearest: float) -> str:
    return f"{value!r} is no multiple of {step!r}, moved to {nearest!r}"


def _nearest_multiple(value: float, step: float) -> float:
    count = value / step
    return value if abs(count) >= EXACT else _multiple(round(count), step)


def _multiple(count: int, step: float) -> float:
    """``count * step`` in decimals: 3 * 0.1 is 0.3 here, which is also what people write."""
    return float(Decimal(repr(step)) * count)


def _inwards(bound: float, step: float, rounding: Callable[[float], int]) -> float:
    count = bound / step
    return bound if _is_whole(count) else _multiple(rounding(count), step)


def _is_whole(count: float) -> bool:
    """Whether a count of steps is whole up to rounding; beyond `EXACT` every float is."""
    return abs(count) >= EXACT or math.isclose(count, round(count), rel_tol=1e-14, abs_tol=SAME)


def _manner(log: bool, step: float | None) -> str:
    return (", log scale" if log else "") + ("" if step is None else f", a multiple of {step!r}")
