"""Anchors: the weights that a pull may name, and those of the best epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from raymimic.advisor import Anchor
from raymimic.modulation.copies import Copies, copied, copy_of, fill
from raymimic.modulation.frozen import Frozen
from raymimic.modulation.names import plain_name
from raymimic.modulation.snapshot import ModelState

_LEFT = 0.05
"""A moving average that is more than this share its own start says little of late weights."""


class Anchors:
    """Weights to pull toward: the best and the initial ones, and an average where asked for.

    ``best`` and ``initial`` lie in host memory, 4 bytes a trained parameter each (``best`` with the
    model's buffers, and what other optimizers train); ``ema``, the exponential moving average over
    steps, lies beside the parameters.
    """

    def __init__(
        self,
        model: nn.Module,
        parameters: Mapping[str, Tensor],
        ema_decay: float | None,
        frozen: Frozen,
    ) -> None:
        self.model, self.parameters, self.ema_decay = model, parameters, ema_decay
        self.initial: Copies = copied(self.parameters, "cpu")
        self.best: Copies = {}
        self._best_state = ModelState(model, frozen)
        self.ema: Copies = copied(self.parameters) if ema_decay is not None else {}
        self._start_share = 1.0  # how much of the average still is where it began

    @torch.no_grad()
    def average(self) -> None:
        """Take the present weights into the average."""
        if self.ema_decay is None:
            return
        for name in self.ema:  # `model.half()` or `.to()` after building
            if self.ema[name].dtype != self.parameters[name].dtype or (
                self.ema[name].device != self.parameters[name].device
            ):
                self.ema[name] = self.ema[name].to(self.parameters[name])
        latest = [self.parameters[name].detach() for name in self.ema]
        torch._foreach_lerp_(list(self.ema.values()), latest, 1.0 - self.ema_decay)
        self._start_share *= self.ema_decay

    def restart_average(self) -> None:
        """The weights were put back: what the average saw since is gone."""
        for name, average in self.ema.items():
            fill(average, self.parameters[name])
        self._start_share = 1.0

    def include(self, name: str) -> None:
        """A parameter that is trained from now on: it never was anything else until now."""
        self.initial.setdefault(name, copied({name: self.parameters[name]}, "cpu")[name])
        if self.best:
            self.best.setdefault(name, self.initial[name])
        if self.ema_decay is not None:
            self.ema.setdefault(name, copy_of(self.parameters[name]))

    def forget(self, name: str) -> None:
        """A parameter has another shape: what it was fits no more."""
        for held in (self.initial, self.best, self.ema):
            held.pop(name, None)

    def exclude(self, name: str) -> None:
        """A parameter that is no longer trained is not averaged any more."""
        self.ema.pop(name, None)

    def keep_best(self) -> None:
        """The present weights are the best so far."""
        self.best = copied(self._everything_trained(), "cpu")
        self._best_state.take("cpu")

    def restore_best(self) -> str:
        """Put the best weights into the model; raises RuntimeError before the first epoch's end.

        Returns in words what a module of the user's did not take back, "" if nothing.
        """
        if not self.best:
            raise RuntimeError(
                "the best weights are known once epoch_end() was given a finite metric; call "
                "restore_best() after it"
            )
        present = {plain_name(name): p for name, p in self.model.named_parameters()}
        for name, values in self.best.items():
            if name in present and present[name].shape == values.shape:
                fill(present[name], values)
        return self._best_state.restore()

    def _everything_trained(self) -> Copies:
        """What other optimizers train is part of the best model, too."""
        return {
            plain_name(name): parameter
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad or plain_name(name) in self.best
        }

    @property
    def known(self) -> tuple[Anchor, ...]:
        """The anchors that can be pulled toward now; an average once it has left its start."""
        found: list[Anchor] = ["initial"]
        if self.best:
            found.append("best")
        if self.ema and self._start_share < _LEFT:
            found.append("ema")
        return tuple(found)

    def of(self, anchor: Anchor, name: str) -> Tensor:
        """The anchor's value of a trained parameter."""
        held = {"best": self.best, "ema": self.ema, "initial": self.initial}[anchor]
        return held[name].to(self.parameters[name])

    def state_dict(self) -> dict[str, Any]:
        """The copies themselves, not copies of them."""
        return {
            "initial": self.initial,
            "best": self.best,
            "best_state": self._best_state.state_dict(),
            "ema": copied(self.ema),  # the live one changes in place
            "start_share": self._start_share,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.initial, self.best = dict(state["initial"]), dict(state["best"])
        self._best_state.load_state_dict(state["best_state"])
        self._start_share = state["start_share"]
        known = {n: average for n, average in state["ema"].items() if n in self.parameters}
        self.ema = {n: average.to(self.parameters[n]) for n, average in known.items()}
