"""The update: the plain optimizer's own bits without advice, the stated formula with it."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from small_training import STEPS, Says, network, one_epoch, same, validation, weights
from torch.optim import SGD, Adam, AdamW, RMSprop, Rprop

from raymimic import Adjustment, Limits, Modulator, Operation

OPTIMIZERS = {
    "sgd": lambda p: SGD(p, 0.1, momentum=0.9, weight_decay=1e-2),
    "adam": lambda p: Adam(p, 1e-2, weight_decay=1e-2),
    "adamw": lambda p: AdamW(p, 1e-2, weight_decay=1e-2),
    "rmsprop": lambda p: RMSprop(p, 1e-2, weight_decay=1e-2),
    "rprop": lambda p: Rprop(p, 1e-2),  # its update does not grow with the learning rate
}
FREE = Limits(trust=math.inf)


def shift(model, size: float) -> tuple[Operation, list[torch.Tensor]]:
    """A delta on the last bias, and on all parameters for comparison."""
    bias = list(model.named_parameters())[-1]
    deltas = [torch.zeros_like(parameter) for parameter in model.parameters()]
    deltas[-1] += size
    return Operation("delta", bias[0], values=[size] * bias[1].numel()), deltas


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("advice", ["none", "alpha of zero"])
def test_without_a_delta_a_whole_run_has_the_plain_optimizers_bits(make, advice):
    plain, guided = network(), network()
    own, steered = make(plain.parameters()), make(guided.parameters())
    operation, _ = shift(guided, 1.0)
    answers = [Adjustment(alpha=0.0, operations=(operation,))] * 3 if advice != "none" else []
    modulator = Modulator(guided, steered, llm=Says(*answers))
    for epoch in range(4):
        one_epoch(plain, own, own.step, epoch)
        one_epoch(guided, steered, modulator.step, epoch)
        modulator.epoch_end({"val_loss": validation(guided)})
    assert same(weights(plain), weights(guided))


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_each_step_adds_its_share_of_update_and_delta(make):
    """param += (1 - alpha) * update + alpha * delta / steps, with the optimizer's own update."""
    alpha, model = 0.25, network()
    optimizer = make(model.parameters())
    operation, deltas = shift(model, 0.5)
    says = Says(Adjustment(alpha=alpha, operations=(operation,)))
    modulator = Modulator(model, optimizer, llm=says, limits=FREE)
    one_epoch(model, optimizer, modulator.step, 0)
    modulator.epoch_end({"val_loss": 1.0})

    twin = network()  # what the optimizer alone would do from here, a step at a time
    for step in range(STEPS):
        twin.load_state_dict(model.state_dict())
        own = make(twin.parameters())
        own.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        before = weights(model)
        gradients = [torch.full_like(p, 0.01 * (step + 1)) for p in model.parameters()]
        for net, stepped in ((twin, own.step), (model, modulator.step)):
            for parameter, gradient in zip(net.parameters(), gradients, strict=True):
                parameter.grad = gradient.clone()
            stepped()
        for start, plain, now, delta in zip(
            before, weights(twin), weights(model), deltas, strict=True
        ):
            expected = start + (1 - alpha) * (plain - start) + alpha * delta / STEPS
            torch.testing.assert_close(now, expected, rtol=1e-5, atol=1e-7)
    assert modulator.metrics()["raymimic/alpha"] == 0.0  # the delta is spent


def test_for_sgd_it_is_the_seeds_formula():
    alpha, lr, model = 0.4, 0.1, network()
    optimizer = SGD(model.parameters(), lr)
    operation, deltas = shift(model, 0.5)
    says = Says(Adjustment(alpha=alpha, operations=(operation,)))
    modulator = Modulator(model, optimizer, llm=says, limits=FREE)
    modulator.step()  # one step an epoch
    modulator.epoch_end({"val_loss": 1.0})
    before = weights(model)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    modulator.step()
    for start, now, delta in zip(before, weights(model), deltas, strict=True):
        torch.testing.assert_close(now, start + (1 - alpha) * (-lr) + alpha * delta)


def test_a_frozen_layer_stays_where_it_is_and_a_gain_multiplies_updates():
    model = network()
    optimizer = SGD(model.parameters(), 0.1)
    freeze, gain = Operation("freeze", "0.*"), Operation("lr_gain", "3.bias", 3.0)
    thaw = Adjustment(operations=(Operation("unfreeze"),))
    says = Says(Adjustment(operations=(freeze, gain)), thaw)
    modulator = Modulator(model, optimizer, llm=says)
    modulator.epoch_end({"val_loss": 1.0})
    first, last = weights(model)[0], weights(model)[-1]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    modulator.step()
    assert torch.equal(weights(model)[0], first)
    torch.testing.assert_close(weights(model)[-1], last - 3.0 * 0.1)
    modulator.epoch_end({"val_loss": 1.0})
    modulator.step()
    torch.testing.assert_close(weights(model)[0], first - 0.1)
    torch.testing.assert_close(weights(model)[-1], last - 3.0 * 0.1 - 0.1)
