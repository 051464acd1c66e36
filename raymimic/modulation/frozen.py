"""Frozen parameters that the training moves all the same: a teacher that averages the student."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raymimic.modulation.copies import Copies, holds_values
from raymimic.modulation.names import plain_name

_VALUES = 16
"""So many values of each parameter are compared; an average moves them all."""


class Frozen:
    """Knows which parameters without gradients have moved; those are part of the run's state.

    All others cost `_VALUES` values each, whatever their size.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.moved: set[str] = set()
        self._seen = self._samples()

    def look(self) -> None:
        """Compare with the last look. Waits for the device."""
        now = self._samples()
        for name, values in now.items():
            before = self._seen.get(name)
            if before is not None and not _alike(before, values):
                self.moved.add(name)
        self._seen = now

    @property
    def parameters(self) -> Copies:
        """Those that have moved, and are still without gradients."""
        return {name: p for name, p in self._all().items() if name in self.moved}

    def _all(self) -> Copies:
        return {
            plain_name(name): parameter
            for name, parameter in self.model.named_parameters()
            if not parameter.requires_grad and holds_values(parameter)
        }

    def _samples(self) -> Copies:
        watched = {name: p for name, p in self._all().items() if name not in self.moved}
        return {name: _sample(parameter.detach()) for name, parameter in watched.items()}


def _sample(values: Tensor) -> Tensor:
    flat = values.reshape(-1)
    some = flat[:: max(1, flat.numel() // _VALUES)][:_VALUES].clone()
    return some.view(torch.uint8) if some.element_size() == 1 else some  # no float8 is compared


def _alike(one: Tensor, other: Tensor) -> bool:
    same = (one.shape, one.dtype, one.device) == (other.shape, other.dtype, other.device)
    return not same or torch.equal(one, other)  # `.half()` or `.to()` moves no weight
