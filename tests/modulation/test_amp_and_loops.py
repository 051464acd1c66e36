"""Training loops of other shapes: mixed precision, accumulated gradients, closures, resuming."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from small_training import Says, data, network, same, weights
from torch import nn
from torch.optim import LBFGS, SGD, Adam, RAdam, Rprop
from torch.optim.lr_scheduler import OneCycleLR

from raymimic import Adjustment, Limits, Modulator, Operation

SHRINK = Adjustment(alpha=0.5, operations=(Operation("shrink", amount=0.1),))
FREE = Limits(trust=1e9)


def loss_of(model: nn.Module, part: slice = slice(0, 32)) -> torch.Tensor:
    inputs, labels = data()
    return nn.functional.cross_entropy(model(inputs[part]), labels[part])


def still(model: nn.Module) -> nn.Module:
    """Without dropout: the same gradients each time."""
    return model.eval()


# -- mixed precision -----------------------------------------------------------------------------


def scaled_step(model: nn.Module, optimizer: Any, scaler: Any, take: Any, *, broken: bool) -> None:
    optimizer.zero_grad()
    scaler.scale(loss_of(model)).backward()
    if broken:
        model[0].weight.grad[0, 0] = float("inf")
    take()
    scaler.update()


def test_a_gradient_scaler_keeps_its_own_way_and_may_skip_a_step():
    trained = []
    for steered in (False, True):
        model, scaler = still(network()), torch.amp.GradScaler("cpu", init_scale=8.0)
        optimizer = Adam(model.parameters(), 1e-2)
        modulator = Modulator(model, optimizer, llm=Says())
        for broken in (False, True, False):

            def take(o=optimizer, s=scaler, m=modulator, steered=steered):
                return m.step(scaler=s) if steered else s.step(o)

            before = weights(model)
            scaled_step(model, optimizer, scaler, take, broken=broken)
            assert same(before, weights(model)) is broken
        trained.append(weights(model))
        assert scaler.get_scale() == 4.0
    assert same(*trained)


def test_a_skipped_step_leaves_weights_finite_and_rates_alone_under_an_adjustment():
    model, scaler = still(network()), torch.amp.GradScaler("cpu", init_scale=8.0)
    optimizer = Adam(model.parameters(), 1e-2)
    turned = Adjustment({"lr": 0.02}, 0.5, (*SHRINK.operations, Operation("freeze", "3.*")))
    modulator = Modulator(model, optimizer, llm=Says(turned), limits=FREE)

    def take() -> None:
        modulator.step(scaler=scaler)

    scaled_step(model, optimizer, scaler, take, broken=False)
    scaled_step(model, optimizer, scaler, take, broken=False)
    modulator.epoch_end({"val_loss": 1.0})
    before, state = weights(model), copy.deepcopy(optimizer.state_dict())
    scaled_step(model, optimizer, scaler, take, broken=True)
    assert same(before, weights(model))  # a skipped step is none of the delta's either
    after = optimizer.state_dict()
    assert after["param_groups"] == state["param_groups"]
    for key, kept in state["state"].items():
        assert all(torch.equal(kept[name], after["state"][key][name]) for name in kept)
    for _ in range(2):
        scaled_step(model, optimizer, scaler, take, broken=False)
    assert modulator.metrics()["raymimic/alpha"] == 0.0  # all of the delta is in
    assert all(bool(torch.isfinite(weight).all()) for weight in weights(model))


# -- accumulated gradients, closures -------------------------------------------------------------


def test_accumulated_gradients_count_as_one_step():
    model = still(network())
    optimizer = SGD(model.parameters(), 1e-2)
    modulator = Modulator(model, optimizer, llm=Says(SHRINK), limits=FREE)

    def one_step() -> None:
        optimizer.zero_grad()
        for half in (slice(0, 16), slice(16, 32)):
            (loss_of(model, half) / 2).backward()
        modulator.step()

    for _ in range(3):
        one_step()
    modulator.epoch_end({"val_loss": 1.0})
    start = weights(model)
    for _ in range(3):
        assert modulator.metrics()["raymimic/alpha"] == 0.5
        before = weights(model)
        one_step()
        expected = [
            weight - 0.5 * 1e-2 * parameter.grad - 0.5 * 0.1 * first / 3
            for weight, parameter, first in zip(before, model.parameters(), start, strict=True)
        ]
        for got, wanted in zip(weights(model), expected, strict=True):
            torch.testing.assert_close(got, wanted)
    assert modulator.metrics()["raymimic/alpha"] == 0.0


def test_a_closure_reaches_lbfgs_and_its_memory_is_put_back_with_the_weights():
    models = [still(network()) for _ in range(2)]
    optimizers = [LBFGS(model.parameters(), lr=0.3, max_iter=3) for model in models]
    harm = Adjustment({"lr": 0.9}, 0.5, (Operation("noise", amount=0.5),))
    says = Says(Adjustment(), Adjustment(), harm)
    modulator = Modulator(models[1], optimizers[1], llm=says)

    def step(place: int) -> float:
        def closure() -> torch.Tensor:
            optimizers[place].zero_grad()
            loss = loss_of(models[place])
            loss.backward()
            return loss

        take = modulator.step if place else optimizers[place].step
        return float(take(closure).detach())

    for loss in (1.0, 0.9, 0.8):
        assert step(0) == step(1)
        modulator.epoch_end({"val_loss": loss})
    step(1)
    assert not same(weights(models[0]), weights(models[1]))
    modulator.epoch_end({"val_loss": 5.0})
    assert modulator.history[0].rolled_back
    for _ in range(2):  # as if the third adjustment had never been
        assert step(0) == step(1)
    assert same(weights(models[0]), weights(models[1]))


# -- loops that take the steps themselves --------------------------------------------------------


class Wrapped(Adam):
    """Torch runs the hooks of a step twice where it is made of another class's step."""

    def step(self, closure: Any = None) -> Any:
        return super().step(closure)


@pytest.mark.parametrize("kind", [Adam, Wrapped, RAdam, Rprop])
def test_an_attached_modulator_does_the_same_as_its_own_step(kind):
    freeze = Operation("freeze", "0.bias")
    trained = []
    for attached in (False, True):
        model = still(network())
        optimizer = kind(model.parameters(), 1e-2)
        turned = Adjustment({"lr": 0.02}, 0.5, (*SHRINK.operations, freeze))
        modulator = Modulator(model, optimizer, llm=Says(turned), ema=0.9)
        detach = modulator.attach() if attached else None
        for loss in (1.0, 0.9):
            for _ in range(3):
                optimizer.zero_grad()
                loss_of(model).backward()
                (optimizer.step if attached else modulator.step)()
            modulator.epoch_end({"val_loss": loss})
        trained.append((weights(model), modulator.state_dict()["record"]))
    assert detach is not None
    assert trained[0][1] == trained[1][1]
    if kind is not Wrapped:  # its own step is no simple multiple of the learning rate
        assert same(trained[0][0], trained[1][0])
    for own, hooked in zip(trained[0][0], trained[1][0], strict=True):
        torch.testing.assert_close(own, hooked)
    detach()
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


def test_a_step_that_breaks_off_leaves_no_trace_in_the_next():
    model = still(network())
    optimizer = Adam(model.parameters(), 1e-2)
    modulator = Modulator(model, optimizer, llm=Says(Adjustment({"lr": 0.02})))
    modulator.attach()
    modulator.epoch_end({"val_loss": 1.0})

    def breaks() -> torch.Tensor:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            optimizer.step(breaks)
        assert modulator.state_dict()["record"]["steps"] == 0
    loss_of(model).backward()
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 1e-2
    assert modulator.state_dict()["record"]["steps"] == 1


# -- schedules and resuming ----------------------------------------------------------------------


def test_two_groups_under_a_schedule_keep_its_rates_and_their_proportion():
    model, plain = network(), network()

    def groups(of: nn.Module) -> SGD:
        return SGD([{"params": of[0].parameters()}, {"params": of[3].parameters()}], lr=0.1)

    optimizer, own = groups(model), groups(plain)
    peaks = {"max_lr": [0.1, 0.01], "total_steps": 9, "cycle_momentum": False}
    schedules = [OneCycleLR(o, **peaks) for o in (optimizer, own)]
    # Three times the rate at the peak of the schedule, so three times whatever it says later.
    modulator = Modulator(model, optimizer, llm=Says(Adjustment({"lr": 1.0})))
    for place in range(8):
        if place == 4:
            modulator.epoch_end({"val_loss": 1.0})
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        rates = [group["lr"] for group in optimizer.param_groups]
        factor = modulator.knobs["lr"] / rates[0]
        assert factor == pytest.approx(3.0 if place >= 4 else 1.0)
        before = weights(model)
        modulator.step()
        moved = [float((b - a).mean()) for a, b in zip(weights(model), before, strict=True)]
        expected = [factor * rates[0]] * 2 + [factor * rates[1]] * 2
        assert moved == pytest.approx(expected, rel=1e-3, abs=1e-7)
        assert [group["lr"] for group in optimizer.param_groups] == rates
        own.step()
        for schedule in schedules:
            schedule.step()
        assert schedules[0].get_last_lr() == schedules[1].get_last_lr()


def test_the_weight_decay_knob_turns_the_optimizer_that_was_loaded():
    model, again = network(), network()
    optimizer = Adam(model.parameters(), 1e-2, weight_decay=1e-3)
    modulator = Modulator(model, optimizer, llm=Says(Adjustment({"weight_decay": 0.01})))
    modulator.epoch_end({"val_loss": 1.0})
    loaded = Adam(again.parameters(), 1e-2, weight_decay=1e-3)
    says = Says(Adjustment({"weight_decay": 0.1}))
    resumed = Modulator(again, loaded, llm=says)
    loaded.load_state_dict(optimizer.state_dict())  # replaces the groups
    resumed.load_state_dict(modulator.state_dict())
    assert resumed.knobs["weight_decay"] == 0.01
    resumed.epoch_end({"val_loss": 0.9})
    assert resumed.knobs["weight_decay"] == loaded.param_groups[0]["weight_decay"] == 0.1


def test_unequal_dropout_rates_come_back_as_they_were():
    def make(*answers: Adjustment) -> tuple[list[nn.Dropout], Modulator]:
        drops = [nn.Dropout(0.1), nn.Dropout(0.5)]
        model = nn.Sequential(nn.Linear(2, 2), *drops)
        optimizer = SGD(model.parameters(), 0.1)
        return drops, Modulator(model, optimizer, llm=Says(*answers))

    drops, modulator = make(Adjustment({"dropout": 0.9}), Adjustment({"dropout": 0.2}))
    modulator.epoch_end({"val_loss": 1.0})
    rates = [drop.p for drop in drops]
    assert max(rates) == pytest.approx(0.9)
    others, resumed = make()
    resumed.load_state_dict(modulator.state_dict())
    assert [drop.p for drop in others] == rates
    for loss in (0.9, float("nan")):
        modulator.epoch_end({"val_loss": 1.0, "train_loss": loss})
    assert [drop.p for drop in drops] == rates
