"""What an adjustment changes in a running training, and how it is undone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from raymimic.advisor import Adjustment, LayerState, PastAdjustment
from raymimic.modulation import ranks, refusals
from raymimic.modulation.blend import Blend
from raymimic.modulation.frozen import Frozen
from raymimic.modulation.guard import Limits, bounded_alpha, bounded_knobs, trusted_share
from raymimic.modulation.knobs import LR, Knobs
from raymimic.modulation.names import norms_of, trained_parameters
from raymimic.modulation.operations import Run, compiled
from raymimic.modulation.optimizers import Optimizers
from raymimic.modulation.record import Record
from raymimic.modulation.snapshot import Snapshot
from raymimic.modulation.weights import Anchors
from raymimic.records import Knob


class Steering:
    """A model, its optimizer, and everything that turns them: knobs, blend, anchors, snapshot.

    The snapshot is the run at the start of the present interval, before its adjustment.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Optimizers,
        declared: Mapping[str, Knob],
        limits: Limits,
        ema: float | None,
    ) -> None:
        refusals.check_type(model)
        self.model, self.optimizers, self.limits = model, optimizers, limits
        moved = optimizers.parameters
        self.parameters = trained_parameters(model, moved)
        refusals.check(model, self.parameters, moved)
        self._trained, self._rates = optimizers.trained, optimizers.rates
        self.blend = Blend(optimizers, self.parameters)
        self.knobs = Knobs(
            model,
            optimizers,
            self.blend,
            declared,
            most_dropout=limits.dropout,
            lr_change=limits.lr_change,
        )
        frozen = Frozen(model)
        self.anchors = Anchors(model, self.parameters, ema, frozen)
        self.snapshot = Snapshot(model, optimizers, self.parameters, frozen)
        self._steps = 0
        self._settings = self._present_settings()

    def before_step(self) -> None:
        """Get ready for a step.

        Layers that were added, frozen or resized since the last one are noticed, and, before the
        second one, whether the loop moves frozen ones.
        """
        if self.optimizers.trained != self._trained:
            self.look_again()
        if self._steps == 1:
            self.snapshot.model.notice()
        self.optimizers.forget_step()
        self.blend.before_step()
        self._rates = self.optimizers.rates

    def after_step(self, *, watched: bool) -> bool:
        """Make the blend of the step; False, and nothing done, where none was taken."""
        if watched and not self.optimizers.stepped:
            self.blend.abandon_step()
            return False
        moved = any(a is not b for a, b in zip(self.optimizers.rates, self._rates, strict=False))
        if not self.blend.after_step():
            return False
        if moved:
            self.optimizers.sets_rates = True
        self.anchors.average()
        self._steps += 1
        return True

    def look_again(self) -> None:
        """Find the trained parameters anew: what is new counts as unchanged until now."""
        self._trained = self.optimizers.trained
        found = trained_parameters(self.model, self.optimizers.parameters)
        gone, new = self.parameters.keys() - found.keys(), found.keys() - self.parameters.keys()
        kept = self.snapshot.weights
        resized = {n for n in found if n in kept and kept[n].shape != found[n].shape}
        self.parameters.clear()  # blend, anchors and snapshot look at this one
        self.parameters.update(found)
        for name in resized:
            self.anchors.forget(name)
            self.snapshot.forget(name)
            self.blend.deltas.pop(name, None)
        for name in gone:
            self.anchors.exclude(name)
        for name in new | resized:
            self.anchors.include(name)
            self.snapshot.include(name)

    def go_on(
        self, adjustment: Adjustment | None, asked_epoch: int, record: Record, seed: int
    ) -> PastAdjustment | None:
        """Begin a new interval, with an adjustment or without; returns what it came to.

        What cannot be done is dropped: nothing an advisor says raises an error. All ranks get rank
        0's deltas.
        """
        self.look_again()
        self.blend.end()
        settings, past = self._present_settings(), None
        if adjustment is not None:
            past = self._apply(adjustment, asked_epoch, record, seed)
        self.snapshot.take()  # only now: operations look back at the start of the last interval
        self._settings = settings
        return past

    def roll_back(self) -> str:
        """Put weights, optimizer state and knobs back to the start of the interval that ends.

        Returns in words what a module of the user's did not take back, "" if nothing.
        """
        self.look_again()
        self.blend.end()
        refused = self.snapshot.restore()
        for parameter in self.optimizers.parameters:
            parameter.grad = None  # of the steps that are undone; it may be NaN
        self.blend.lr_factor = self._settings["lr_factor"]
        self.blend.gains = dict(self._settings["gains"])
        for name, value in self._settings["knobs"].items():
            self.knobs.set(name, value)
        self.anchors.restart_average()
        return refused

    def calm(self) -> None:
        """Turn the learning rate down as far as one interval may: it broke without any advice.

        An optimizer that finds its own rate has nothing to turn.
        """
        self.blend.lr_factor /= self.limits.lr_change
        self._settings = self._present_settings()

    def layers(self) -> tuple[LayerState, ...]:
        """Every trained parameter with its norms. Waits for the device once a list."""
        names = list(self.parameters)
        now = [self.parameters[name].detach() for name in names]
        at_start = self._starts()
        starts = [at_start[name] for name in names]
        norms = norms_of(now)
        moves = norms_of([end - start for end, start in zip(now, starts, strict=True)])
        graded = [name for name in names if self.parameters[name].grad is not None]
        grads = dict(zip(graded, norms_of([self._gradient(n) for n in graded]), strict=True))
        return tuple(
            LayerState(
                name=name,
                shape=tuple(self.parameters[name].shape),
                norm=size,
                grad_norm=grads.get(name),
                update_ratio=move / size if size else None,
                lr_gain=self.blend.gains.get(name, 1.0),
            )
            for name, size, move in zip(names, norms, moves, strict=True)
        )

    def _starts(self) -> dict[str, Tensor]:
        """The trained parameters at the interval's start, in their present precision and place."""
        kept = self.snapshot.weights
        return {
            name: kept[name].to(p) if name in kept and kept[name].shape == p.shape else p.detach()
            for name, p in self.parameters.items()
        }

    def _gradient(self, name: str) -> Tensor:
        gradient = self.parameters[name].grad
        assert gradient is not None
        return gradient.detach()

    def _apply(
        self, adjustment: Adjustment, asked_epoch: int, record: Record, seed: int
    ) -> PastAdjustment:
        change = bounded_knobs(adjustment, self.knobs)
        starts = self._starts()
        run = Run(
            self.model,
            self.parameters,
            self.anchors,
            starts,
            record.class_accuracy,
            seed=seed * 10_000 + record.epoch,
        )
        made = compiled(adjustment.operations, run)
        alpha, faults = bounded_alpha(adjustment.alpha, self.limits.alpha)
        clipped = self._blend_in(made.deltas, starts, alpha, record.steps_per_epoch)
        for name, (_, value) in change.changed.items():
            self.knobs.set(name, value)
        self.blend.gains |= made.gains
        words = (f"alpha {self.blend.alpha:.3g}",) if self.blend.active else ()
        return PastAdjustment(
            epoch=record.epoch,
            asked_epoch=asked_epoch,
            adjustment=adjustment,
            applied=(*change.applied, *made.applied, *words),
            dropped=(*change.dropped, *made.dropped, *faults, *clipped),
            changed=change.changed,
        )

    def _blend_in(
        self,
        made: Mapping[str, Tensor],
        starts: Mapping[str, Tensor],
        alpha: float,
        steps: int | None,
    ) -> tuple[str, ...]:
        deltas = ranks.shared_tensors(made, self.parameters)
        if not deltas:
            return ()
        if not alpha or not steps:
            why = "alpha is 0" if not alpha else "no step was taken in the last epoch"
            return (f"operations left out: {why}",)
        moved = {name: self.parameters[name].detach() - starts[name] for name in deltas}
        share = ranks.shared(trusted_share(deltas, alpha, moved, self.limits.trust))
        if share < 1.0:
            torch._foreach_mul_(list(deltas.values()), share)
        self.blend.begin(deltas, alpha, steps)
        return () if share == 1.0 else (f"operations clipped to {share:.2g} (trust region)",)

    def _present_settings(self) -> dict[str, Any]:
        knobs = {name: value for name, value in self.knobs.items() if name != LR}
        return {
            "knobs": knobs,
            "lr_factor": self.blend.lr_factor,
            "gains": dict(self.blend.gains),
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything but model and optimizer."""
        return {
            "blend": self.blend.state_dict(),
            "knobs": self._present_settings()["knobs"],
            "anchors": self.anchors.state_dict(),
            "snapshot": self.snapshot.state_dict(),
            "settings": self._settings,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.anchors.load_state_dict(state["anchors"])
        self.snapshot.load_state_dict(state["snapshot"])
        self._settings = dict(state["settings"])
        for name, value in state["knobs"].items():
            self.knobs.set(name, value)
        self.blend.load_state_dict(state["blend"])
