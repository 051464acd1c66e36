"""Models, optimizers and advisors of other forms than usual: served, or refused in words."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from small_training import Says, network, one_epoch, same, weights
from torch import nn
from torch.optim import SGD, Adam, Optimizer

from raymimic import Adjustment, AdjustmentAdvice, Modulator, Operation

NOISE = Adjustment({"lr": 0.02}, 0.3, (Operation("noise", amount=0.3),))


def broken_in_the_third(model, optimizer, modulator, epochs: int = 5) -> float:
    """Train with one batch of NaN in the third epoch; returns how many epochs were undone."""
    inputs = torch.randn(16, 4)
    for epoch in range(epochs):
        for step in range(3):
            optimizer.zero_grad()
            loss = model(inputs).square().mean()
            (loss * (math.nan if (epoch, step) == (2, 1) else 1.0)).backward()
            modulator.step()
        modulator.epoch_end({"val_loss": 1.0 - 0.1 * epoch})
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
    assert modulator._harmless.faults == 0
    return modulator.metrics()["raymimic/rollbacks"]


class Keyed(Optimizer):
    """Keeps its momenta by parameter in an attribute of its own."""

    def __init__(self, parameters) -> None:
        super().__init__(parameters, {"lr": 0.01})
        self.momenta: dict[torch.Tensor, torch.Tensor] = {}

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for parameter in self.param_groups[0]["params"]:
            kept = self.momenta.setdefault(parameter, torch.zeros_like(parameter))
            kept.mul_(0.9).add_(parameter.grad)
            parameter.sub_(0.01 * kept)


class Bare:
    """A wrapper that is no `Optimizer`: no state, and its groups are made anew at each look."""

    def __init__(self, optimizer) -> None:
        self.inner = optimizer

    @property
    def param_groups(self):
        return list(self.inner.param_groups)

    def step(self) -> None:
        self.inner.step()

    def zero_grad(self) -> None:
        self.inner.zero_grad()


class NoCopies:
    def __deepcopy__(self, memo):
        raise ValueError("there is one of me")


@pytest.mark.parametrize(
    "make",
    [
        Keyed,
        lambda parameters: Bare(Adam(parameters, 0.01)),
        lambda parameters: SGD([{"params": list(parameters), "handle": NoCopies()}], 0.01),
    ],
    ids=["state by parameter in an attribute", "no state at all", "a setting without copies"],
)
def test_what_an_unusual_optimizer_keeps_is_put_back(make):
    model = nn.Linear(4, 2)
    optimizer = make(model.parameters())
    assert broken_in_the_third(model, optimizer, Modulator(model, optimizer, llm=Says())) == 1.0


def test_a_state_by_parameter_in_an_attribute_goes_on_after_a_resume():
    model = network()
    optimizer = Keyed(model.parameters())
    modulator = Modulator(model, optimizer, llm=Says())
    one_epoch(model, optimizer, modulator.step, 0)
    modulator.epoch_end({"val_loss": 1.0})
    before, kept = weights(model), [value.clone() for value in optimizer.momenta.values()]
    resumed = Modulator(model, optimizer, llm=Says())
    resumed.load_state_dict(modulator.state_dict())
    one_epoch(model, optimizer, resumed.step, 1)
    resumed.epoch_end({"val_loss": 1.0, "train_loss": math.nan})
    assert same(before, weights(model))
    assert all(map(torch.equal, kept, optimizer.momenta.values()))


@pytest.mark.parametrize("rate", [np.float32(0.01), np.float64(0.01)])
def test_numbers_of_numpy_are_rates_and_values(rate):
    model = network()
    optimizer = SGD(model.parameters(), rate)
    wanted = Adjustment({"lr": np.float32(0.02)}, np.float32(0.5), NOISE.operations)
    modulator = Modulator(model, optimizer, llm=Says(wanted))
    one_epoch(model, optimizer, modulator.step, 0)
    modulator.epoch_end({"val_loss": 1.0})
    assert modulator.knobs["lr"] == pytest.approx(0.02)
    assert "alpha 0.5" in modulator.history[0].applied


def test_layers_that_are_frozen_from_step_to_step_are_put_back():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    optimizer = Adam(model.parameters(), 0.01)
    modulator = Modulator(model, optimizer, llm=Says())
    inputs = torch.randn(8, 4)
    for epoch in range(2):
        before = weights(model)
        for step in range(2):
            model[0].requires_grad_(step == 0)
            optimizer.zero_grad()
            (model(inputs).mean() * (math.nan if epoch else 1.0)).backward()
            modulator.step()
        modulator.epoch_end({"val_loss": 0.5})
    assert same(before, weights(model))


class Holds(nn.Module):
    """A linear layer beside tensors of other layouts."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        parts = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])
        self.register_buffer("rows", torch.eye(3).to_sparse_csr())
        self.register_buffer("parts", parts, persistent=False)
        self.kept = torch.eye(3).to_sparse_csc()

    def forward(self, inputs):
        return self.layer(inputs)


def test_sparse_and_nested_tensors_of_a_model_hinder_nothing():
    model = Holds()
    optimizer = Adam(model.parameters(), 0.01)
    modulator = Modulator(model, optimizer, llm=Says(NOISE, NOISE))
    assert broken_in_the_third(model, optimizer, modulator) == 1.0


class Stateful(nn.Linear):
    reads = writes = True

    def get_extra_state(self):
        if not self.reads:
            raise RuntimeError("not on this rank")
        return 1

    def set_extra_state(self, state) -> None:
        raise RuntimeError("read only")


def test_a_module_that_takes_its_state_not_back_hinders_nothing_else(caplog):
    model = nn.Sequential(Stateful(4, 4), nn.Linear(4, 2))
    optimizer = Adam(model.parameters(), 0.01)
    assert broken_in_the_third(model, optimizer, Modulator(model, optimizer, llm=Says())) == 1.0
    assert caplog.text.count("set_extra_state() of 0 raises RuntimeError: read only") == 1


def test_what_is_no_module_or_hides_its_state_is_refused_in_words():
    optimizer = Adam(network().parameters())
    for model in ([network()], lambda inputs: inputs, None):
        with pytest.raises(ValueError, match="ModuleList"):
            Modulator(model, optimizer, llm="none")
    hiding = Stateful(4, 2)
    hiding.reads = False
    with pytest.raises(ValueError, match="get_extra_state"):
        Modulator(hiding, Adam(hiding.parameters()), llm="none")


def _holds_itself() -> list:
    values: list = []
    values.append(values)
    return values


@pytest.mark.parametrize(
    "answer",
    [
        lambda: AdjustmentAdvice(Adjustment({"lr": 10**400})),
        lambda: AdjustmentAdvice(
            Adjustment(operations=(Operation("delta", "bias", values=_holds_itself()),))
        ),
        sys.exit,
    ],
    ids=["beyond a float", "a list that holds itself", "the end of the process"],
)
def test_an_advisor_of_the_users_fails_and_is_counted(answer):
    class Own:
        name, remote = "own", False

        def adjust(self, evidence):
            return answer()

    model = network()
    optimizer = Adam(model.parameters())
    modulator = Modulator(model, optimizer, llm=Own())
    one_epoch(model, optimizer, modulator.step, 0)
    modulator.epoch_end({"val_loss": 1.0})
    assert modulator.metrics()["raymimic/failed_answers"] == 1.0
    assert modulator._harmless.faults == 0


class Elsewhere(dict):
    def items(self):
        raise OSError("the table is gone")


def test_metrics_that_cannot_be_read_are_a_gap_and_the_epoch_counts():
    model = network()
    optimizer = Adam(model.parameters())
    modulator = Modulator(model, optimizer, llm=Says())
    one_epoch(model, optimizer, modulator.step, 0)
    modulator.epoch_end(Elsewhere(val_loss=1.0))
    assert modulator._record.epoch == 1
    assert modulator._harmless.faults == 0
