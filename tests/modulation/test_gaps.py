"""A metric that is no number is a gap; what is undone broke weights, memory or training loss."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from small_training import Says, network, one_epoch, same, weights
from torch import nn
from torch.optim import SGD, Adam

from raymimic import Adjustment, Modulator, Operation, read_events

NAN = math.nan
HARM = Adjustment({"dropout": 0.5}, 0.5, (Operation("noise", amount=0.5),))


class Wordless:
    """An object of the user's that can tell nothing of itself."""

    def __float__(self) -> float:
        raise ZeroDivisionError

    __str__ = __float__  # type: ignore[assignment]


def begun(*answers: Adjustment, **options):
    model = network()
    optimizer = Adam(model.parameters(), 1e-2)
    return model, optimizer, Modulator(model, optimizer, llm=Says(*answers), **options)


def epochs(training, values, first: int = 0) -> None:
    model, optimizer, modulator = training
    for epoch, value in enumerate(values, start=first):
        one_epoch(model, optimizer, modulator.step, epoch)
        modulator.epoch_end({"val_loss": value})


def rollbacks(training) -> float:
    return training[2].metrics()["raymimic/rollbacks"]


def test_a_metric_that_is_nan_in_the_first_epochs_costs_nothing():
    plain = network()
    own = Adam(plain.parameters(), 1e-2)
    training = begun()
    for epoch in range(6):
        one_epoch(plain, own, own.step, epoch)
    epochs(training, [NAN, NAN, NAN, 0.9, NAN, 0.8])
    assert same(weights(plain), weights(training[0]))
    assert rollbacks(training) == 0.0
    assert training[2].knobs["lr"] == 0.01


NO_NUMBERS = [None, "0.5", NAN, np.array([1.0, 2.0]), torch.zeros(3), object(), 1j, np.ma.masked]


@pytest.mark.parametrize("value", [*NO_NUMBERS, Wordless()])
def test_whatever_is_no_number_is_a_gap_said_once(caplog, value):
    training = begun()
    modulator = training[2]
    for _ in range(2):
        modulator.epoch_end({"val_loss": 1.0, "val_auc": value})
    assert sum("no number for 'val_auc'" in r.getMessage() for r in caplog.records) == 1
    assert rollbacks(training) == 0.0


@pytest.mark.parametrize(
    "value", [1, True, np.float32(1), np.array(1.0), torch.tensor(1.0, requires_grad=True)]
)
def test_scalars_of_all_kinds_are_numbers(value):
    says = Says()
    model = network()
    modulator = Modulator(model, SGD(model.parameters(), 0.1), llm=says)
    modulator.epoch_end({"val_loss": value})
    assert says.seen[0].curve.final("val_loss") == 1.0


@pytest.mark.parametrize("metrics", [None, [("val_loss", 1.0)], 0.5, {}])
def test_what_is_no_mapping_holds_no_metrics_and_the_next_epoch_is_judged_as_ever(metrics):
    training = begun()
    training[2].epoch_end(metrics)
    epochs(training, [0.9])
    assert training[2].metrics()["raymimic/failed_answers"] == 0.0
    assert len(training[2]._deciding.inquiry.adjuster.seen) == 1


def test_names_that_are_no_text_are_read_as_text():
    says = Says()
    model = network()
    modulator = Modulator(model, SGD(model.parameters(), 0.1), llm=says)
    for _ in range(2):
        modulator.epoch_end({3: 1.0, "val_loss": 0.5, None: 2.0})
    assert says.seen[1].curve.final("3") == 1.0


def test_where_the_loop_steps_the_optimizer_by_itself_it_is_told_once(caplog):
    model, optimizer, modulator = begun()
    for epoch in range(2):
        one_epoch(model, optimizer, optimizer.step, epoch)
        modulator.epoch_end({"val_loss": 1.0})
    (said,) = [r.getMessage() for r in caplog.records if "no optimizer step was seen" in r.message]
    assert "modulator.step()" in said


def test_an_adjustment_waits_for_the_validation_of_a_later_epoch_and_is_undone_as_a_whole():
    training = begun(Adjustment(), Adjustment(), HARM)
    epochs(training, [1.0, 0.9, 0.8])
    before = weights(training[0])
    epochs(training, [None], first=3)
    assert training[2].history[0].ended is None
    epochs(training, [5.0], first=4)
    assert training[2].history[0].rolled_back
    assert same(weights(training[0]), before)


def test_a_metric_that_never_comes_again_leaves_nothing_open_for_ever():
    training = begun(Adjustment({"dropout": 0.3}))
    epochs(training, [1.0] + [None] * 11)
    (past,) = training[2].history
    assert (past.verdict, past.ended, past.rolled_back) == ("unknown", 11, False)


def test_a_training_loss_that_is_nan_is_a_breakdown_said_once_and_written_each_time(
    tmp_path, caplog
):
    path = tmp_path / "ledger.jsonl"
    model, optimizer, modulator = begun(ledger=path)
    epochs((model, optimizer, modulator), [1.0])
    before = weights(model)
    for epoch in range(5):
        one_epoch(model, optimizer, modulator.step, epoch)
        modulator.epoch_end({"val_loss": 0.9, "train_loss": NAN})
        assert same(weights(model), before) is (epoch < 3)  # then it is the loop's way to report
    modulator._ledger.flush()
    reasons = [row["reason"] for row in read_events(path).of("rollback")]
    assert reasons == ["train_loss is nan"] * 3
    assert sum("was undone" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("where", ["weight", "state", "statistics"])
def test_what_broke_is_found_where_the_metric_is_fine(where):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    model.register_buffer("mask", torch.full((3, 3), -math.inf).triu(1))
    optimizer = Adam(model.parameters(), 1e-2)
    modulator = Modulator(model, optimizer, llm=Says())
    one_epoch(model, optimizer, modulator.step, 0)
    modulator.epoch_end({"val_loss": 1.0})
    kept, state = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    with torch.no_grad():
        broken = {
            "weight": model[0].weight,
            "state": optimizer.state[model[0].weight]["exp_avg"],
            "statistics": model[1].running_mean,
        }[where]
        broken[0] = NAN
    modulator.epoch_end({"val_loss": 1.0})
    assert modulator.metrics()["raymimic/rollbacks"] == 1.0
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())
    for place, held in optimizer.state_dict()["state"].items():
        assert all(torch.equal(state["state"][place][name], held[name]) for name in held)


def test_an_error_of_ours_ends_no_training_and_is_written(keeps_errors, tmp_path, caplog):
    path = tmp_path / "ledger.jsonl"
    model, optimizer, modulator = begun(ledger=path)

    def fails(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    modulator._steering.go_on = fails
    epochs((model, optimizer, modulator), [1.0, 0.9])
    modulator._steering.blend.before_step = fails
    one_epoch(model, optimizer, modulator.step, 2)
    modulator._ledger.flush()
    assert {row["hook"] for row in read_events(path).of("fault")} == {"epoch_end", "step"}
    assert sum("failed in epoch_end" in record.getMessage() for record in caplog.records) == 1
    assert optimizer.param_groups[0]["lr"] == 0.01
