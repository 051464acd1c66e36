"""Advisors for the ablations: each lets a part of another advisor's adjustment through."""

from __future__ import annotations

import math
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import nn

from experiments.modulation.arms import worse
from raymimic.advisor import (
    Adjuster,
    Adjustment,
    AdjustmentAdvice,
    Operation,
    RunEvidence,
)

_MOST_NOISE = 0.5  # the largest amount of one noise operation
_NO_DELTA = ("lr_gain", "freeze", "unfreeze")  # these change the optimizer's share, not the weights


class _Filter:
    """Asks ``base`` and changes its answer; asks for no waiting."""

    remote = False

    def __init__(self, base: Adjuster) -> None:
        self._base = base

    @property
    def name(self) -> str:
        return f"{type(self).__name__} of {self._base.name}"

    def adjust(self, evidence: RunEvidence) -> AdjustmentAdvice:
        advice = self._base.adjust(evidence)
        return replace(advice, adjustment=self._change(advice.adjustment, evidence))

    def _change(self, said: Adjustment, evidence: RunEvidence) -> Adjustment:
        raise NotImplementedError


class KnobsOnly(_Filter):
    """The weights are the optimizer's alone."""

    def _change(self, said: Adjustment, evidence: RunEvidence) -> Adjustment:  # noqa: ARG002
        return replace(said, operations=(), alpha=None)


class WeightsOnly(_Filter):
    """Learning rate, dropout and the user's knobs stay as they began."""

    def _change(self, said: Adjustment, evidence: RunEvidence) -> Adjustment:  # noqa: ARG002
        return replace(said, knobs={})


class RandomKnobs(_Filter):
    """As far as the advisor, up or down by a coin: in log space, or plainly from or to zero."""

    def _change(self, said: Adjustment, evidence: RunEvidence) -> Adjustment:
        rng = np.random.default_rng([evidence.seed, evidence.epoch])
        drawn = {}
        for name, wanted in sorted(said.knobs.items()):
            knob, up = evidence.knob(name), bool(rng.integers(2))
            if knob is None:
                continue
            value = _moved(knob.value, wanted, up)
            drawn[name] = min(max(value, knob.low), knob.high)
        return replace(said, knobs=drawn, operations=(), alpha=None)


def _moved(old: float, wanted: float, up: bool) -> float:
    if old > 0 and wanted > 0:
        factor = math.exp(abs(math.log(wanted / old)))
        return old * factor if up else old / factor
    return old + abs(wanted - old) * (1 if up else -1)


class RandomDeltas(_Filter):
    """Noise of the norm that the advisor's operations have on each parameter; knobs as advised.

    Operations that move no weight by themselves (lr_gain, freeze, unfreeze) are let through: what
    is tested is the direction of the deltas. A parameter that is zero throughout gets none.
    """

    def __init__(self, base: Adjuster, weights: Weights) -> None:
        super().__init__(base)
        self._weights = weights

    def _change(self, said: Adjustment, evidence: RunEvidence) -> Adjustment:
        kept = [one for one in said.operations if one.kind in _NO_DELTA]
        for name, size in self._weights.delta_sizes(said.operations, evidence).items():
            parts = max(1, math.ceil((size / _MOST_NOISE) ** 2))
            if size > 0:  # independent parts add as squares
                one = Operation("noise", params=name, amount=size / math.sqrt(parts))
                kept.extend([one] * parts)
        return replace(said, operations=tuple(kept))


class Weights:
    """Follows a model beside its Modulator, to know how large an operation's delta will be."""

    def __init__(self, model: nn.Module, ema: float | None) -> None:
        self._model, self._decay = model, ema
        self._initial = self._copy()
        self._best, self._ema, self._start = self._copy(), self._copy(), self._copy()
        self._record: float | None = None  # the best metric so far

    def _copy(self) -> dict[str, torch.Tensor]:
        return {name: value.detach().clone() for name, value in self._model.named_parameters()}

    @torch.no_grad()
    def after_step(self) -> None:
        if self._decay is None:
            return
        for name, value in self._model.named_parameters():
            self._ema[name].lerp_(value, 1 - self._decay)

    def after_epoch(self, metric: float, mode: str) -> None:
        if math.isfinite(metric) and not worse(metric, self._record, mode):
            self._record, self._best = metric, self._copy()

    def begin_interval(self) -> None:
        self._start = self._copy()

    def delta_sizes(
        self, operations: tuple[Operation, ...], evidence: RunEvidence
    ) -> dict[str, float]:
        """Norm of the summed deltas on each parameter as a share of the parameter's own norm."""
        sizes = {}
        for name, value in self._model.named_parameters():
            mine = [
                one
                for one in operations
                if one.kind not in _NO_DELTA and fnmatchcase(name, one.params)
            ]
            norm = float(value.detach().norm())
            if mine and norm > 0:
                total = sum(self._delta(one, name, value.detach(), evidence) for one in mine)
                sizes[name] = float(torch.as_tensor(total).norm()) / norm
        return sizes

    def _delta(
        self, one: Operation, name: str, value: torch.Tensor, evidence: RunEvidence
    ) -> torch.Tensor:
        if one.kind == "pull":
            anchors = {"best": self._best, "initial": self._initial, "ema": self._ema}
            return one.amount * (anchors[one.toward][name] - value)
        if one.kind == "class_bias":
            accuracy = torch.tensor(evidence.class_accuracy, dtype=value.dtype)
            fits = accuracy.shape == value.shape
            return one.amount * (accuracy.mean() - accuracy) if fits else torch.zeros_like(value)
        if one.kind == "delta":
            return torch.as_tensor(one.values, dtype=value.dtype).reshape(value.shape)
        if one.kind == "noise":
            rms = value.square().mean().sqrt()
            return torch.full_like(value, one.amount * float(rms))  # the norm of such a draw
        factor = {
            "shrink": -one.amount * value,
            "scale": (one.amount - 1) * value,
            "extrapolate": one.amount * (value - self._start[name]),
            "reinit": self._initial[name] - value,  # as large as a fresh draw
        }
        return factor[one.kind]
