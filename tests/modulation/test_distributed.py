"""Two processes train one model: rank 0 decides, both do the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from small_training import Says, data, network, validation
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from raymimic import Adjustment, Knob, Modulator, Operation
from raymimic.advisor import PastAdjustment

EPOCHS = 7
PLAN = [
    Adjustment({"lr": 0.02, "dropout": 0.2}, 0.4, (Operation("noise", "0.*", 0.2),)),
    Adjustment({}, 0.3, (Operation("reinit", "3.*"), Operation("freeze", "0.bias"))),
    Adjustment({"weight_decay": 0.01}, 0.3, (Operation("pull", toward="best", amount=0.5),)),
    Adjustment({"spoil": 1.0, "lr": 0.06}),  # uphill: it must get worse
    Adjustment({"dropout": 0.3}, 0.2, (Operation("unfreeze", "0.bias"),)),
]


@dataclass(frozen=True)
class Seen:
    """What one rank had at an epoch's end."""

    weights: list[torch.Tensor]
    knobs: dict[str, float]
    history: tuple[PastAdjustment, ...]
    metrics: dict[str, float]
    loss: float


def train(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    model = DistributedDataParallel(network())
    optimizer = torch.optim.Adam(model.parameters(), 1e-2, weight_decay=1e-3)
    says = Says(*PLAN)
    modulator = Modulator(
        model, optimizer, llm=says, knobs={"spoil": Knob(0, 1)}, seed=rank, epochs=EPOCHS
    )
    seen: list[Seen] = []
    for epoch in range(EPOCHS):
        one_epoch(model, optimizer, modulator, seed=20 * epoch + rank)
        loss = validation(model.module)
        told = loss if rank == 0 else float("nan")
        modulator.epoch_end({"val_loss": told, f"of_rank_{rank}": 1.0})
        weights = [parameter.detach().clone() for parameter in model.parameters()]
        seen.append(
            Seen(weights, dict(modulator.knobs), modulator.history, modulator.metrics(), loss)
        )
    torch.save((seen, len(says.seen)), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def one_epoch(model: nn.Module, optimizer: Any, modulator: Modulator, seed: int) -> None:
    torch.manual_seed(seed)
    model.train()
    for batch in range(10):
        inputs, labels = data(seed=100 + seed + 2 * batch, count=16)  # each rank has its own
        direction = 1.0 - 2.0 * modulator.knobs["spoil"]
        optimizer.zero_grad()
        (direction * nn.functional.cross_entropy(model(inputs), labels)).backward()
        modulator.step()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[list[Seen], int]]:
    folder = tmp_path_factory.mktemp("ranks")
    torch.multiprocessing.spawn(train, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def test_both_ranks_are_alike_at_every_epochs_end(ranks):
    (first, _), (second, _) = ranks
    assert len(first) == len(second) == EPOCHS
    for mine, other in zip(first, second, strict=True):
        assert all(map(torch.equal, mine.weights, other.weights))
        assert (mine.knobs, mine.history) == (other.knobs, other.history)
        assert mine.metrics == other.metrics


def test_rank_0_alone_asks_and_its_metrics_decide(ranks):
    (first, asked), (second, also_asked) = ranks
    assert (asked, also_asked) == (5, 0)  # neither after the harm, nor in the rest, nor at the end
    past = first[-1].history
    assert [adjustment.adjustment for adjustment in past] == PLAN
    assert not any(adjustment.dropped for adjustment in past if adjustment.adjustment.knobs)
    words = " ".join(word for adjustment in past for word in adjustment.applied)
    for kind in ("noise of", "initialise", "pull", "freeze", "unfreeze", "alpha", "spoil 0 -> 1"):
        assert kind in words
    assert [adjustment.rolled_back for adjustment in past].index(True) == 3
    assert first[-1].metrics["raymimic/rollbacks"] == 1.0  # rank 1 said NaN each time
    start, harm = first[3], first[4]
    assert harm.loss > start.loss
    assert all(map(torch.equal, start.weights, harm.weights))
    assert harm.knobs == first[2].knobs != start.knobs
    assert second[-1].history == past
