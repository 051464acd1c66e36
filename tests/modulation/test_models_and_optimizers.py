"""Models and optimizers as people have them: served as a whole, or refused in words."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.distributed.fsdp
import torch.distributed.tensor
from small_training import Says, network, same, weights
from torch import nn, optim

from raymimic import Adjustment, Limits, Modulator, Operation

SHRINK = Adjustment(alpha=0.5, operations=(Operation("shrink", "*", amount=0.5),))
NAN = float("nan")


def backward(model: nn.Module, factor: float = 1.0) -> None:
    model.zero_grad()
    (factor * model(torch.ones(4, 4)).square().mean()).backward()


def epochs(modulator: Modulator, model: nn.Module, *factors: float) -> None:
    """One epoch of one step for each factor of the loss; the metric is always fine."""
    for factor in factors:
        backward(model, factor)
        modulator.step()
        modulator.epoch_end({"val_loss": 1.0})


def rollbacks(modulator: Modulator) -> float:
    return modulator.metrics()["raymimic/rollbacks"]


# -- what is trained -----------------------------------------------------------------------------


def test_frozen_layers_are_neither_shown_nor_moved_nor_kept():
    model = nn.Sequential(nn.Linear(4, 64), nn.Linear(64, 4))
    model[0].requires_grad_(False)
    before, says = copy.deepcopy(model[0].state_dict()), Says(SHRINK, SHRINK)
    modulator = Modulator(model, optim.Adam(model.parameters(), 1e-2), llm=says, limits=Limits())
    epochs(modulator, model, 1.0, 1.0, 1.0)
    assert all(torch.equal(before[name], value) for name, value in model[0].state_dict().items())
    assert [layer.name for layer in says.seen[0].layers] == ["1.weight", "1.bias"]
    state = modulator.state_dict()["steering"]
    for kept in (state["snapshot"]["weights"], *(state["anchors"][n] for n in ("initial", "best"))):
        assert set(kept) == {"1.weight", "1.bias"}


def test_a_layer_thawed_in_mid_run_is_put_back_to_where_it_was_frozen():
    model = network()
    model[0].requires_grad_(False)
    modulator = Modulator(model, optim.SGD(model.parameters(), 0.1), llm="none")
    epochs(modulator, model, 1.0)
    before = weights(model)
    model[0].requires_grad_(True)
    epochs(modulator, model, NAN)
    assert rollbacks(modulator) == 1.0
    assert same(weights(model), before)


def test_a_layer_added_in_mid_run_is_offered_and_put_back():
    model = nn.Sequential(nn.Linear(4, 4))
    optimizer, says = optim.Adam(model.parameters()), Says()
    modulator = Modulator(model, optimizer, llm=says, ema=0.9)
    epochs(modulator, model, 1.0)
    model.append(nn.Linear(4, 2))
    optimizer.add_param_group({"params": list(model[1].parameters())})
    before = weights(model)
    epochs(modulator, model, NAN, 1.0, 1.0)
    assert rollbacks(modulator) == 1.0
    assert "1.weight" in [layer.name for layer in says.seen[-1].layers]
    epochs(modulator, model, NAN)
    modulator.restore_best()
    assert torch.equal(model[1].weight, before[2])


def test_the_rollback_of_one_optimizer_leaves_the_others_parameters_alone():
    model = nn.Linear(4, 4)
    one, other = optim.SGD([model.weight], 0.1), optim.AdamW([model.bias], 0.1)
    first, second = (Modulator(model, o, llm="none") for o in (one, other))
    backward(model)
    second.step()
    bias, weight = model.bias.detach().clone(), model.weight.detach().clone()
    with torch.no_grad():
        model.weight[0] = NAN
    first.epoch_end({"val_loss": 1.0})
    assert torch.equal(model.weight, weight)
    assert torch.equal(model.bias, bias)
    assert other.state[model.bias]["step"] == 1.0


def test_a_list_of_optimizers_is_one_training():
    model = nn.Linear(4, 4)
    both = [optim.Muon([model.weight], lr=0.02), optim.AdamW([model.bias], lr=0.1)]
    modulator = Modulator(model, both, llm="none")
    epochs(modulator, model, 1.0, 1.0)
    before, states = weights(model), copy.deepcopy([o.state_dict()["state"] for o in both])
    epochs(modulator, model, NAN)
    assert same(weights(model), before)
    for optimizer, state in zip(both, states, strict=True):
        for name, kept in state[0].items():
            assert torch.equal(
                torch.as_tensor(kept), torch.as_tensor(optimizer.state_dict()["state"][0][name])
            )
    with pytest.raises(ValueError, match="attach\\(\\) takes one optimizer"):
        modulator.attach()


# -- what else is kept ---------------------------------------------------------------------------


class Estimates(optim.SGD):
    """Keeps its run state in its group, in itself, and under a name in its state."""

    def step(self, closure: Any = None) -> Any:
        gradient = self.param_groups[0]["params"][0].grad.sum().item()
        self.param_groups[0]["d"] = self.param_groups[0].get("d", 1.0) + gradient
        self.state["shared"] = {"sum": torch.tensor(gradient)}
        self.seen = getattr(self, "seen", 0) + 1
        return super().step(closure)


class Wrapper(optim.Optimizer):
    def __init__(self, inner: optim.Optimizer) -> None:
        super().__init__(inner.param_groups, {})
        self.inner, self.param_groups = inner, inner.param_groups

    def step(self, closure: Any = None) -> Any:
        self.inner.step()


def test_run_state_outside_the_optimizers_state_is_put_back():
    model = network()
    optimizer = Estimates(model.parameters(), 0.1)
    optimizer.seen = 0
    modulator = Modulator(model, optimizer, llm="none")
    epochs(modulator, model, 1.0)
    kept = (optimizer.param_groups[0]["d"], float(optimizer.state["shared"]["sum"]), 1)
    epochs(modulator, model, NAN)
    group = optimizer.param_groups[0]
    assert (group["d"], float(optimizer.state["shared"]["sum"]), optimizer.seen) == kept
    group["lr"] = 0.05  # a schedule's
    epochs(modulator, model, NAN)
    assert group["lr"] == 0.05


class SetsItsRate(optim.SGD):
    def step(self, closure: Any = None) -> Any:
        self.param_groups[0]["lr"] *= 0.5
        return super().step(closure)


def test_a_rate_that_the_optimizer_sets_itself_is_put_back():
    model = network()
    optimizer = SetsItsRate(model.parameters(), 0.1)
    epochs(Modulator(model, optimizer, llm="none"), model, 1.0, NAN)
    assert optimizer.param_groups[0]["lr"] == 0.05


def test_the_optimizer_inside_a_wrapper_is_put_back():
    model = network()
    inner = optim.Adam(model.parameters(), 0.1)
    modulator = Modulator(model, Wrapper(inner), llm="none")
    epochs(modulator, model, 1.0)
    before, state = weights(model), copy.deepcopy(inner.state_dict()["state"])
    epochs(modulator, model, NAN)
    assert same(weights(model), before)
    for place, held in inner.state_dict()["state"].items():
        assert all(torch.equal(state[place][name], held[name]) for name in held)


class Keeps(nn.Linear):
    """Has extra state, a buffer that no state_dict holds, and a tensor as an attribute."""

    def __init__(self) -> None:
        super().__init__(4, 4)
        self.seen = {"count": 0}
        self.register_buffer("hidden", torch.zeros(2), persistent=False)
        self.scale = torch.ones(1)

    def get_extra_state(self) -> Any:
        return self.seen

    def set_extra_state(self, state: Any) -> None:
        self.seen = state

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.seen["count"] += 1
        self.hidden += 1
        self.scale += 1
        return super().forward(inputs)


def test_what_no_state_dict_holds_is_put_back():
    model = Keeps()
    modulator = Modulator(model, optim.SGD(model.parameters(), 0.1), llm="none")
    epochs(modulator, model, 1.0, NAN)
    assert rollbacks(modulator) == 1.0
    assert (model.seen, float(model.hidden[0]), float(model.scale)) == ({"count": 1}, 1.0, 2.0)


@pytest.mark.parametrize("change", [lambda m: m.double(), lambda m: m.bfloat16()])
def test_a_change_of_precision_after_building_is_followed(change):
    model = network()
    modulator = Modulator(
        model, optim.SGD(model.parameters(), 0.01), llm=Says(Adjustment(), SHRINK), ema=0.5
    )
    epochs(modulator, model, 1.0)
    change(model)
    kind = next(model.parameters()).dtype
    for factor in (1.0, 1.0, NAN):
        model.zero_grad()
        (factor * model(torch.ones(4, 4, dtype=kind)).square().mean()).backward()
        modulator.step()
        modulator.epoch_end({"val_loss": 1.0})
    assert rollbacks(modulator) == 1.0
    assert all(w.dtype == kind and bool(torch.isfinite(w).all()) for w in weights(model))


# -- gradients, rates ----------------------------------------------------------------------------


def test_sparse_complex_and_missing_gradients_are_shown():
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.Embedding(5, 3, sparse=True)
            self.turn = nn.Parameter(torch.ones(3, dtype=torch.complex64))
            self.unused = nn.Parameter(torch.ones(2))

    model, says = Mixed(), Says(SHRINK, SHRINK)
    modulator = Modulator(model, optim.SGD(model.parameters(), 0.1), llm=says)
    for _ in range(3):
        model.zero_grad()
        (model.rows(torch.tensor([1, 2])) * model.turn).abs().sum().backward()
        modulator.step()
        modulator.epoch_end({"val_loss": 1.0})
    norms = {layer.name: layer.grad_norm for layer in says.seen[0].layers}
    assert norms["rows.weight"] > 0.0
    assert norms["turn"] > 0.0
    assert norms["unused"] is None


def test_a_rate_that_is_not_there_or_does_nothing_is_no_knob():
    model = network()
    for optimizer in (optim.SGD(model.parameters(), 0.1), optim.Rprop(model.parameters(), 0.1)):
        if isinstance(optimizer, optim.SGD):
            optimizer.param_groups[0]["lr"] = None
        assert "lr" not in Modulator(model, optimizer, llm="none").knobs


def test_a_rate_that_is_a_tensor_of_two_groups_is_turned_once_and_in_place():
    model, rate = network(), torch.tensor(0.1)
    groups = [{"params": model[0].parameters()}, {"params": model[3].parameters()}]
    optimizer = optim.SGD(groups, lr=rate)
    modulator = Modulator(model, optimizer, llm=Says(Adjustment({"lr": 0.2})))
    epochs(modulator, model, 1.0)
    before = weights(model)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    modulator.step()
    moved = [float((b - a).mean()) for a, b in zip(weights(model), before, strict=True)]
    assert moved == pytest.approx([0.2] * 4, rel=1e-4)
    assert all(group["lr"] is rate for group in optimizer.param_groups)
    assert float(rate) == pytest.approx(0.1)


# -- steps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_a_step_that_a_scaler_skips_counts_for_nothing(fused, attached):
    model, scaler = network(), torch.amp.GradScaler("cpu", init_scale=4.0)
    optimizer = optim.AdamW(model.parameters(), fused=fused)
    modulator = Modulator(model, optimizer, llm="none")
    if attached:
        modulator.attach()
    for factor, steps in ((float("inf"), 0), (1.0, 1)):
        optimizer.zero_grad()
        scaler.scale(factor * model(torch.ones(4, 4)).square().mean()).backward()
        if attached:
            scaler.step(optimizer)
        else:
            modulator.step(scaler=scaler)
        scaler.update()
        assert modulator.state_dict()["record"]["steps"] == steps


class Accumulates(Wrapper):
    calls = 0

    def step(self, closure: Any = None) -> Any:
        self.calls += 1
        if self.calls % 2 == 0:
            self.inner.step()


@pytest.mark.parametrize("attached", [False, True])
def test_a_wrapper_that_accumulates_counts_its_real_steps(attached):
    model = network()
    optimizer = Accumulates(optim.SGD(model.parameters(), 0.1))
    modulator = Modulator(model, optimizer, llm="none")
    if attached:
        modulator.attach()
    for _ in range(4):
        backward(model)
        (optimizer.step if attached else modulator.step)()
    assert modulator.state_dict()["record"]["steps"] == 2


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: nn.Sequential(nn.LazyLinear(3)), "pass one batch through the model first"),
        (lambda: nn.Linear(2, 2, device="meta"), "on the meta device"),
        (lambda: nn.Linear(2, 2).requires_grad_(False), "holds none of them"),
        (lambda: nn.Linear(2, 2).to(torch.float8_e4m3fn), "keep the trained weights in 16 bits"),
    ],
)
def test_a_model_that_cannot_be_steered_is_refused_when_it_is_built(model, words):
    made = model()
    with pytest.raises(ValueError, match=words):
        Modulator(made, optim.SGD(made.parameters(), 0.1), llm="none")


class FullyShardedDataParallel(nn.Linear):
    """By its name what torch.distributed.fsdp wraps, which runs on no CPU."""


@pytest.mark.parametrize("sharded", ["fully_shard", "distribute_module", "wrapped"])
def test_sharded_models_are_refused_when_the_modulator_is_built(sharded, tmp_path):
    dist.init_process_group("gloo", f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        model = network() if sharded != "wrapped" else FullyShardedDataParallel(4, 3)
        mesh = dist.device_mesh.init_device_mesh("cpu", (1,))
        if sharded == "fully_shard":
            dist.fsdp.fully_shard(model, mesh=mesh)
        if sharded == "distribute_module":
            dist.tensor.distribute_module(model, mesh)
        with pytest.raises(ValueError, match="no rank holds all of it"):
            Modulator(model, optim.SGD(model.parameters(), 0.1), llm="none")
    finally:
        dist.destroy_process_group()


class Complex(nn.Module):
    """Trained complex weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.w = nn.Parameter(torch.randn(4, 2, dtype=torch.complex64))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return (inputs.to(torch.complex64) @ self.w).abs()


def test_complex_weights_are_steered_and_put_back():
    model = Complex()
    kinds = ("noise", "shrink", "scale", "pull", "extrapolate", "lr_gain")
    says = Says(*[Adjustment({}, 0.3, (Operation(kind, amount=0.2),)) for kind in kinds])
    modulator = Modulator(model, optim.Adam(model.parameters(), 1e-2), llm=says, ema=0.9)
    epochs(modulator, model, *[1.0] * 7)
    assert all(past.applied for past in modulator.history)
    before = weights(model)
    epochs(modulator, model, NAN)
    assert same(before, weights(model))


def test_what_is_no_optimizer_is_refused_when_it_is_built():
    model = network()
    twice = [optim.SGD(model.parameters(), 0.1) for _ in range(2)]
    for wrong, words in ((object(), "must have step"), ([], "list is empty"), (twice, "more than")):
        with pytest.raises(ValueError, match=words):
            Modulator(model, wrong, llm="none")
