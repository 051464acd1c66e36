"""What can be turned in a running training: learning rate, weight decay, dropout, own knobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from raymimic.advisor import KnobState
from raymimic.modulation.blend import Blend
from raymimic.modulation.optimizers import Optimizers, is_number
from raymimic.records import Knob

LR, WEIGHT_DECAY, DROPOUT = "lr", "weight_decay", "dropout"

_DROPOUTS = (nn.modules.dropout._DropoutNd,)
_WITH_DROPOUT = (nn.MultiheadAttention, nn.RNNBase)
_MOST_WEIGHT_DECAY = 1.0
_MEANINGS = {
    LR: "learning rate of the first parameter group; the other groups and a schedule keep their "
    "proportion to it",
    WEIGHT_DECAY: "weight decay of the first parameter group that has one",
    DROPOUT: "dropout rate, the mean over the model's dropout layers",
}


@dataclass
class Handle:
    """How to read and set one knob, within which bounds."""

    low: float
    high: float
    meaning: str
    get: Callable[[], float]
    set: Callable[[float], None]


class Knobs(Mapping[str, float]):
    """The knobs of one training by name. Built-in ones are found in model and optimizer.

    Raises ValueError where a declared knob takes a built-in name.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Optimizers,
        blend: Blend,
        declared: Mapping[str, Knob],
        *,
        most_dropout: float,
        lr_change: float,
    ) -> None:
        self._lr_change = lr_change
        self._own = {name: float(knob.value) for name, knob in declared.items()}
        self._handles: dict[str, Handle] = {}
        if optimizers.rated:  # not where the optimizer finds its own, or reads it once at the start
            self._handles[LR] = _lr(optimizers, blend)
        if any(is_number(group.get("weight_decay")) for group in optimizers.groups):
            self._handles[WEIGHT_DECAY] = _weight_decay(optimizers)
        rates = _Dropouts(model, most_dropout)
        if rates.places:
            meaning = _MEANINGS[DROPOUT]
            self._handles[DROPOUT] = Handle(0.0, rates.highest, meaning, rates.mean, rates.set)
        for name, knob in declared.items():
            if name in self._handles:
                raise ValueError(
                    f"the knob {name!r} is found in the model or optimizer by itself; give yours "
                    "another name"
                )
            self._handles[name] = self._declared(name, knob)

    def _declared(self, name: str, knob: Knob) -> Handle:
        def put(value: float) -> None:
            self._own[name] = value

        return Handle(knob.low, knob.high, knob.meaning, lambda: self._own[name], put)

    def __getitem__(self, name: str) -> float:
        return self._handles[name].get()

    def __iter__(self) -> Iterator[str]:
        return iter(self._handles)

    def __len__(self) -> int:
        return len(self._handles)

    def states(self) -> tuple[KnobState, ...]:
        """Every knob with its value and what the next change may reach."""
        return tuple(
            KnobState(name, self[name], *self.reach(name), handle.meaning)
            for name, handle in self._handles.items()
        )

    def reach(self, name: str) -> tuple[float, float]:
        """Lowest and highest value of the next change; the learning rate moves by a factor."""
        handle = self._handles[name]
        if name == LR:
            value = handle.get()
            return value / self._lr_change, value * self._lr_change
        return handle.low, handle.high

    def set(self, name: str, value: float) -> None:
        """Turn a knob; the caller keeps to `reach`. What it stands at already changes nothing."""
        if value != self[name]:
            self._handles[name].set(value)


class _Dropouts:
    """All dropout rates of a model, moved together in proportion to what they were."""

    def __init__(self, model: nn.Module, most: float) -> None:
        self._most = most
        self.places: list[tuple[nn.Module, str]] = [
            (module, "p" if isinstance(module, _DROPOUTS) else "dropout")
            for module in model.modules()
            if isinstance(module, (*_DROPOUTS, *_WITH_DROPOUT))
        ]
        self._first = [float(getattr(module, name)) for module, name in self.places]

    @property
    def highest(self) -> float:
        """The mean at which the largest rate is at its bound: beyond it proportions were lost."""
        largest = max(self._first)
        return self._most * sum(self._first) / len(self._first) / largest if largest else self._most

    def mean(self) -> float:
        return _mean([float(getattr(module, name)) for module, name in self.places])

    def set(self, value: float) -> None:
        middle = _mean(self._first)
        for (module, name), first in zip(self.places, self._first, strict=True):
            rate = value if first == middle else value * first / middle
            setattr(module, name, min(max(rate, 0.0), self._most))


def _mean(rates: list[float]) -> float:
    """The mean, and of equal rates exactly their value."""
    return rates[0] if len(set(rates)) == 1 else sum(rates) / len(rates)


def _lr(optimizers: Optimizers, blend: Blend) -> Handle:
    def scheduled() -> float:
        rated = optimizers.rated
        return float(rated[0]["lr"]) if rated else 0.0

    def put(value: float) -> None:
        blend.lr_factor = value / scheduled() if scheduled() else 1.0

    return Handle(0.0, float("inf"), _MEANINGS[LR], lambda: scheduled() * blend.lr_factor, put)


def _weight_decay(optimizers: Optimizers) -> Handle:
    every = optimizers.groups
    places = [p for p, group in enumerate(every) if is_number(group.get("weight_decay"))]
    # Groups without weight decay (biases, norms) stay without, unless none has any.
    places = [place for place in places if every[place]["weight_decay"]] or places
    first = [float(every[place]["weight_decay"]) for place in places]

    # Looked up each time: an optimizer that loads its state gets new groups.
    def get() -> float:
        return float(optimizers.groups[places[0]]["weight_decay"])

    def put(value: float) -> None:
        groups = optimizers.groups
        for place, own in zip(places, first, strict=True):
            wanted = value * own / first[0] if first[0] else value
            held = groups[place]["weight_decay"]
            if isinstance(held, Tensor):
                held.fill_(wanted)
            else:
                groups[place]["weight_decay"] = wanted

    return Handle(0.0, _MOST_WEIGHT_DECAY, _MEANINGS[WEIGHT_DECAY], get, put)
