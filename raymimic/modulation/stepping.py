"""An optimizer's steps, taken by us or by the loop, with the adjustment under way blended in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from raymimic.modulation.harmless import Harmless
from raymimic.modulation.steering import Steering

Closure = Callable[[], Any]


class Stepping:
    """Takes steps or watches them; ``begins`` is called before each, ``counted`` after one taken.

    Steps that a gradient scaler or an accumulating wrapper skips change and count nothing.
    """

    def __init__(
        self, steering: Steering, harmless: Harmless, begins: Closure, counted: Closure
    ) -> None:
        self._steering, self._harmless = steering, harmless
        self._begins, self._counted = begins, counted

    def step(self, closure: Closure | None, scaler: torch.amp.GradScaler | None) -> Any:
        """Step every optimizer; returns what the first one gives. Its errors are the caller's."""
        optimizers = self._steering.optimizers
        if closure is not None and len(optimizers.given) > 1:
            raise ValueError("a closure goes with one optimizer; a list of them takes none")

        def take(optimizer: Optimizer) -> Any:
            if scaler is not None:
                return scaler.step(optimizer)
            return optimizer.step() if closure is None else optimizer.step(closure)

        may_skip = scaler is not None or optimizers.wrapped
        handles = optimizers.watch() if may_skip else []
        self._before()
        try:
            result = optimizers.step(take)
        except BaseException:
            self._steering.blend.abandon_step()
            raise
        finally:
            for handle in handles:
                handle.remove()
        self._after(watched=may_skip)
        return result

    def attach(self) -> Closure:
        """Steer every step that the loop takes, until the function that is returned is called."""
        optimizers, blend = self._steering.optimizers, self._steering.blend
        optimizer = optimizers.hooked
        handles = [
            *optimizers.watch(),
            optimizer.register_step_pre_hook(lambda *_: self._before()),
            optimizer.register_step_post_hook(lambda *_: self._after(watched=True)),
        ]

        def detach() -> None:
            blend.abandon_step()
            for handle in handles:
                handle.remove()

        return detach

    def _before(self) -> None:
        with self._harmless.within("first step"):
            self._begins()
        with self._harmless.within("step"):
            self._steering.before_step()
            return
        self._steering.blend.abandon_step()  # only after an error: the rates are the optimizer's

    def _after(self, *, watched: bool) -> None:
        with self._harmless.within("step"):
            if self._steering.after_step(watched=watched):
                self._counted()
