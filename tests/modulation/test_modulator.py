"""One training under the modulator: knobs, guard, verdicts, late and failing advice, resuming."""

from __future__ import annotations

import copy
import io
import json
import threading
from typing import Any

import pytest
import torch
from small_training import DOWN, Says, network, one_epoch, same, weights
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import StepLR

from raymimic import (
    Adjustment,
    Knob,
    Limits,
    Modulator,
    Operation,
    ScriptedLLM,
    read_events,
)


def begun(*answers: Any, **options: Any):
    model = network()
    optimizer = Adam(model.parameters(), 1e-2, weight_decay=1e-3)
    says = Says(*answers)
    return model, optimizer, says, Modulator(model, optimizer, llm=says, **options)


def run(modulator: Modulator, model: nn.Module, optimizer: Any, losses, first: int = 0) -> None:
    for epoch, loss in enumerate(losses, start=first):
        one_epoch(model, optimizer, modulator.step, epoch)
        modulator.epoch_end({"val_loss": loss})


# -- knobs ---------------------------------------------------------------------------------------


def test_knobs_of_model_optimizer_and_loop_are_found_and_turned():
    knobs = {"augment": Knob(0, 1, "share of images shifted"), "clip": Knob(0.1, 10, start=1.0)}
    wanted = {"lr": 0.02, "dropout": 0.3, "weight_decay": 0.01, "augment": 0.5, "mood": 1.0}
    model, optimizer, says, modulator = begun(Adjustment(wanted), knobs=knobs)
    assert dict(modulator.knobs) == {
        "lr": 0.01, "weight_decay": 0.001, "dropout": 0.1, "augment": 0.0, "clip": 1.0,
    }  # fmt: skip
    run(modulator, model, optimizer, [1.0])
    assert modulator.knobs["lr"] == pytest.approx(0.02)
    assert optimizer.param_groups[0]["lr"] == 0.01  # the optimizer's own stays the schedule's
    assert optimizer.param_groups[0]["weight_decay"] == 0.01
    assert model[2].p == pytest.approx(0.3)
    assert modulator.knobs["augment"] == 0.5
    assert "mood: there is no such knob" in modulator.history[0].dropped[0]
    assert {knob.name: knob.meaning for knob in says.seen[0].knobs}["augment"]
    assert modulator.metrics()["raymimic/augment"] == 0.5


def test_knobs_stay_within_their_bounds_and_clips_are_told():
    wanted = {"lr": 1.0, "dropout": 5.0, "clip": -3.0}
    model, optimizer, _, modulator = begun(
        Adjustment(wanted), knobs={"clip": Knob(0.1, 10, start=1.0)}, limits=Limits(dropout=0.6)
    )
    run(modulator, model, optimizer, [1.0])
    assert modulator.knobs["lr"] == pytest.approx(0.03)
    assert modulator.knobs["dropout"] == pytest.approx(0.6)
    assert modulator.knobs["clip"] == 0.1
    assert len(modulator.history[0].dropped) == 3


def test_a_schedule_and_the_proportions_of_groups_go_on_undisturbed():
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[3].parameters()}]
    optimizer = SGD(groups, lr=0.01)
    schedule = StepLR(optimizer, 1, gamma=0.5)
    modulator = Modulator(model, optimizer, llm=Says(Adjustment({"lr": 0.05})))
    modulator.epoch_end({"val_loss": 1.0})
    before = weights(model)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    modulator.step()
    moved = [float((b - a).mean()) for a, b in zip(weights(model), before, strict=True)]
    assert moved == pytest.approx([0.05, 0.05, 0.005, 0.005], rel=1e-4)
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.005])
    assert modulator.knobs["lr"] == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"knobs": {"lr": Knob(0, 1)}}, "found in the model or optimizer by itself"),
        ({"mode": "low"}, '"min" or "max"'),
        ({"optimizer": SGD([torch.zeros(2, requires_grad=True)], 0.1)}, "holds none of them"),
    ],
)
def test_what_does_not_fit_together_is_said_at_once(options, words):
    model = network()
    arguments = {"optimizer": SGD(model.parameters(), 0.1), "llm": "none", **options}
    with pytest.raises(ValueError, match=words):
        Modulator(model, **arguments)


@pytest.mark.parametrize(
    "make", [lambda: Knob(1, 0), lambda: Knob(0, 1, start=2.0), lambda: Limits(lr_change=0.5)]
)
def test_bounds_that_hold_nothing_are_refused(make):
    with pytest.raises(ValueError, match=r"must|needs"):
        make()


def test_a_missing_metric_is_said_once_with_the_cure(caplog):
    modulator = begun()[3]
    for _ in range(2):
        modulator.epoch_end({"loss": 1.0})
    (said,) = [r.getMessage() for r in caplog.records if "no number" in r.getMessage()]
    assert "'val_loss': nothing (there were loss)" in said
    assert "Modulator(..., metric=...)" in said


# -- the guard -----------------------------------------------------------------------------------

NOISE = Operation("noise", amount=0.5)


def test_the_trust_region_holds_deltas_to_what_the_optimizer_moved():
    model, optimizer, _, modulator = begun(
        Adjustment({"lr": 1e-2 / 3}, 0.5, (NOISE,)), limits=Limits(trust=0.5)
    )
    start = weights(model)
    run(modulator, model, optimizer, [1.0])
    middle = weights(model)
    moved = torch.cat([(b - a).flatten() for a, b in zip(start, middle, strict=True)]).norm()
    assert "(trust region)" in modulator.history[0].dropped[0]
    for _ in range(5):
        optimizer.zero_grad()  # without gradients the delta alone moves the weights
        modulator.step()
    added = torch.cat([(b - a).flatten() for a, b in zip(middle, weights(model), strict=True)])
    assert float(added.norm()) == pytest.approx(0.5 * float(moved), rel=1e-3)


def test_what_makes_it_worse_beyond_noise_is_undone_with_everything_it_touched():
    harm = Adjustment({"lr": 0.03, "dropout": 0.5}, 0.5, (NOISE, Operation("freeze", "0.*")))
    model, optimizer, says, modulator = begun(Adjustment(), Adjustment(), harm, Adjustment())
    run(modulator, model, optimizer, [1.0, 0.9, 0.8])
    before, state = weights(model), copy.deepcopy(optimizer.state_dict())
    assert modulator.knobs["dropout"] == 0.5
    run(modulator, model, optimizer, [1.4], first=3)
    assert same(weights(model), before)
    assert dict(modulator.knobs) == {"lr": 0.01, "weight_decay": 0.001, "dropout": 0.1}
    for key, kept in state["state"].items():
        assert all(torch.equal(kept[n], optimizer.state_dict()["state"][key][n]) for n in kept)
    (past,) = modulator.history
    assert (past.verdict, past.rolled_back, past.before, past.after) == ("worse", True, 0.8, 1.4)
    assert len(says.seen) == 3  # a rest of one epoch ...
    run(modulator, model, optimizer, [0.8], first=4)
    assert len(says.seen) == 4  # ... and the next question shows what came of it
    assert says.seen[3].history[0].rolled_back
    assert modulator.hit_rate == 0.0
    assert not torch.equal(weights(model)[0], before[0])  # no longer frozen


def test_the_curves_own_pace_is_no_success_of_an_adjustment_and_falling_behind_it_no_harm():
    model, optimizer, _, modulator = begun(*[Adjustment({"dropout": d / 10}) for d in range(2, 7)])
    run(modulator, model, optimizer, [1.0, 0.8, 0.7, 0.63, 0.58])
    assert modulator.hit_rate == 0.0  # 1.0 / (1 + t) as it was
    run(modulator, model, optimizer, [0.2], first=5)
    assert modulator.history[-1].verdict == "better"
    model, optimizer, _, modulator = begun(*[Adjustment({"dropout": d / 10}) for d in range(2, 7)])
    run(modulator, model, optimizer, [4.0, 3.0, 2.0, 1.0, 0.99, 1.005])
    last = modulator.history[-1]
    assert (last.verdict, last.rolled_back) == ("worse", False)


def test_within_the_noise_nothing_is_undone():
    model, optimizer, _, modulator = begun(*[Adjustment({"dropout": d / 10}) for d in range(2, 7)])
    run(modulator, model, optimizer, [1.0, 0.7, 0.9, 0.75, 0.95])
    assert [past.rolled_back for past in modulator.history] == [False] * 5
    assert modulator.metrics()["raymimic/rollbacks"] == 0.0


def test_a_training_that_breaks_is_put_back_and_calmed():
    model, optimizer, _, modulator = begun()
    run(modulator, model, optimizer, [1.0, 0.9])
    before = weights(model)
    with torch.no_grad():
        model[0].weight.fill_(float("nan"))
    modulator.epoch_end({"val_loss": float("nan")})
    assert same(weights(model), before)
    assert modulator.knobs["lr"] == pytest.approx(1e-2 / 3)


def test_the_best_weights_come_back_on_request():
    model, optimizer, _, modulator = begun()
    with pytest.raises(RuntimeError, match="after"):
        modulator.restore_best()
    run(modulator, model, optimizer, [1.0, 0.5])
    best = weights(model)
    run(modulator, model, optimizer, [0.6, 0.7], first=2)
    assert not same(weights(model), best)
    modulator.restore_best()
    assert same(weights(model), best)


# -- advice that is late, fails, or comes from a model -------------------------------------------


class Slow(Says):
    remote = True

    def __init__(self, *answers: Adjustment | Exception) -> None:
        super().__init__(*answers)
        self.may_answer = threading.Event()

    def adjust(self, evidence):
        self.may_answer.wait(10)
        return super().adjust(evidence)


def test_training_never_waits_and_the_age_of_advice_is_kept():
    model = network()
    optimizer, slow = Adam(model.parameters(), 1e-2), Slow(Adjustment({"dropout": 0.4}))
    modulator = Modulator(model, optimizer, llm=slow)
    run(modulator, model, optimizer, [1.0, 0.9])
    assert modulator.knobs["dropout"] == pytest.approx(0.1)
    slow.may_answer.set()
    modulator._deciding.inquiry.wait(10)
    run(modulator, model, optimizer, [0.8], first=2)
    assert modulator.knobs["dropout"] == pytest.approx(0.4)
    assert (modulator.history[0].asked_epoch, modulator.history[0].epoch) == (1, 3)
    assert modulator.metrics()["raymimic/advice_age"] == 2.0


def test_a_failing_advisor_leaves_training_alone_and_is_counted():
    model, optimizer, _, modulator = begun(DOWN, ZeroDivisionError("a bug"), Adjustment())
    plain = network()
    own = Adam(plain.parameters(), 1e-2, weight_decay=1e-3)
    for epoch in range(3):
        one_epoch(plain, own, own.step, epoch)
    run(modulator, model, optimizer, [1.0, 0.9, 0.8])
    assert same(weights(plain), weights(model))
    assert modulator.metrics()["raymimic/failed_answers"] == 2.0


def test_a_models_words_become_changes_and_a_ledger(tmp_path):
    said = {
        "review": "first move", "rationale": "it still improves", "alpha": 0.2,
        "knobs": {"lr": 0.02},
        "operations": [
            {"kind": "shrink", "params": "3.*", "amount": 0.1, "toward": None, "values": None},
            {"kind": "melt", "params": "*", "amount": 1.0, "toward": None, "values": None},
        ],
    }  # fmt: skip
    deltas = {
        "knobs": {"dropout": 0.25, "lr": 0.007}, "alpha": 0.4,
        "operations": [
            {"kind": "delta", "params": "3.bias", "values": [0.1, 0.0, -0.1]},
            {"kind": "delta", "params": "fc.3.weight", "values": [1.0]},
        ],
    }  # fmt: skip
    steady = {"review": "it helped", "rationale": "steady", "knobs": {}, "operations": []}
    llm = ScriptedLLM([json.dumps(said), json.dumps(deltas), json.dumps(steady)])
    path = tmp_path / "ledger.jsonl"
    model = network()
    optimizer = Adam(model.parameters(), 1e-2)
    modulator = Modulator(
        model, optimizer, llm=llm, wait=True, ledger=path, instruction="stay small", epochs=9
    )
    run(modulator, model, optimizer, [1.0, 0.9, 0.8])
    first, second = modulator.history
    assert first.applied == ("lr 0.01 -> 0.02", "shrink 3.* by 0.1", "alpha 0.2")
    assert "melt" in first.dropped[0]
    assert second.applied[:2] == ("dropout 0.1 -> 0.25", "lr 0.02 -> 0.007")
    assert "no trained parameter is called so" in second.dropped[0]
    assert '"stay small"' in llm.requests[0].system
    assert "it still improves" in llm.requests[1].user
    assert second.review == "it helped"
    modulator._ledger.flush()
    events = read_events(path)
    assert [len(events.of(kind)) for kind in ("run", "call", "adjustment", "verdict")] == [
        1, 3, 3, 2,
    ]  # fmt: skip


# -- resuming ------------------------------------------------------------------------------------


def test_a_resumed_run_goes_on_as_if_nothing_had_happened():
    answers = [
        Adjustment({"lr": 0.02, "dropout": 0.3}, 0.3, (Operation("pull", toward="initial"),)),
        Adjustment({"augment": 0.5}, 0.3, (NOISE, Operation("freeze", "0.bias"))),
        Adjustment({"lr": 0.01}, 0.3, (Operation("extrapolate"),)),
    ]
    knobs, losses = {"augment": Knob(0, 1)}, [1.0, 0.9, 0.85, 0.8]
    model, optimizer, _, modulator = begun(*answers, knobs=knobs, ema=0.9)
    run(modulator, model, optimizer, losses[:2])
    modulator.step()  # in the middle of an interval
    file = io.BytesIO()
    torch.save([x.state_dict() for x in (model, optimizer, modulator)], file)
    file.seek(0)
    saved = torch.load(file)

    other, again, _, resumed = begun(*answers[2:], knobs=knobs, ema=0.9)
    for part, state in zip((other, again, resumed), saved, strict=True):
        part.load_state_dict(state)
    for net, opt, guide in ((model, optimizer, modulator), (other, again, resumed)):
        run(guide, net, opt, losses[2:], first=2)
    assert same(weights(model), weights(other))
    assert dict(modulator.knobs) == dict(resumed.knobs)
    assert modulator.history == resumed.history
    assert modulator.metrics() == resumed.metrics()


def test_the_ledger_says_from_where_a_killed_training_goes_on(tmp_path):
    path, saved = tmp_path / "ledger.jsonl", {}
    for life in range(2):
        moves = [Adjustment({"lr": 0.02}), Adjustment({"lr": 0.03}), Adjustment({"lr": 0.04})]
        model, optimizer, _, modulator = begun(*moves[life:], ledger=path, run_id="a")
        if life:
            modulator.load_state_dict(saved)
        run(modulator, model, optimizer, [1.0], first=life)
        saved = modulator.state_dict()
        run(modulator, model, optimizer, [0.9], first=life + 1)  # lost with its process
        modulator._ledger.flush()
    kinds = ("run", "resumed", "adjustment")
    told = [(row["event"], row.get("epoch")) for row in read_events(path).rows]
    assert [(kind, epoch) for kind, epoch in told if kind in kinds] == [
        ("run", None), ("adjustment", 1), ("adjustment", 2),
        ("run", None), ("resumed", 1), ("adjustment", 2), ("adjustment", 3),
    ]  # fmt: skip


def test_an_answer_that_comes_with_the_breakdown_is_counted_all_the_same():
    model = network()
    optimizer, slow = Adam(model.parameters(), 1e-2), Slow(DOWN)
    modulator = Modulator(model, optimizer, llm=slow)
    run(modulator, model, optimizer, [1.0])
    slow.may_answer.set()
    modulator._deciding.inquiry.wait(10)
    modulator.epoch_end({"val_loss": 1.0, "train_loss": float("nan")})
    assert modulator.metrics()["raymimic/rollbacks"] == 1.0
    assert modulator.metrics()["raymimic/failed_answers"] == 1.0
