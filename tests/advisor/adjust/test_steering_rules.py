"""The keyless rules for a running training, told plain evidence."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from raymimic import Adjustment, HeuristicAdvisor, Operation
from raymimic.advisor import KnobState
from raymimic.curves import Curve, Diagnosis, Signal, diagnose
from raymimic.testing.runs import evidence, past


def seen(losses: list[float], train: list[float] | None = None, **changes: Any):
    columns = {"val_loss": losses} | ({"train_loss": train} if train else {})
    curve = Curve(range(1, len(losses) + 1), columns)
    found = {"curve": curve, "diagnosis": diagnose(curve, "val_loss", "min"), "epoch": len(losses)}
    return evidence(**{"epochs_total": 10, "steps_per_epoch": 10, **found, **changes})


def advised(*arguments: Any, **changes: Any) -> Adjustment:
    return HeuristicAdvisor().adjust(seen(*arguments, **changes)).adjustment


def raised(factor: float, **changes: Any):
    return past(1, changed={"lr": (0.001, 0.001 * factor)}, **changes)


def test_few_steps_that_still_improve_get_a_larger_rate_up_to_what_the_shortfall_asks():
    assert advised([2.3]).knobs["lr"] == pytest.approx(0.003)  # 100 steps: up to x4.5, x3 at a time
    second = advised([2.3, 2.0], history=(raised(3.0),))
    assert second.knobs["lr"] == pytest.approx(0.0013)  # and then gently
    assert "100 steps in all are few" in second.rationale
    assert "val_loss is at its best: learning rate x1.3" in second.rationale
    assert "few and no val_loss yet" in advised([math.nan], diagnosis=Diagnosis(())).rationale
    bounded = advised([2.3], knobs=(KnobState("lr", 0.001, 0.0001, 0.002),))
    assert bounded.rationale.endswith("learning rate x2")
    assert advised([2.3, 2.0, 1.7], history=(raised(20**0.5),)).empty
    assert advised([2.3], steps_per_epoch=1000).empty
    assert advised([2.3], epochs_total=None).empty
    assert advised([2.3], steps_per_epoch=None).empty
    tiny = advised([2.3, 2.0], steps_per_epoch=1, history=(raised(9.0),))
    assert tiny.knobs["lr"] == pytest.approx(0.001 * 10 / 9)  # never more than ten times


def test_what_was_lowered_may_be_raised_again_and_what_was_undone_does_not_count():
    few = {"steps_per_epoch": 90}  # 900 steps: up to x1.49
    assert advised([2.3], **few).knobs["lr"] == pytest.approx(0.001 * (20 / 9) ** 0.5)
    stands, undone = raised(0.8), raised(0.8, verdict="worse", rolled_back=True)
    again = advised([2.3, 2.0], history=(stands,), **few)
    assert again.knobs["lr"] == pytest.approx(0.001 * (20 / 9) ** 0.5 / 0.8)
    still = advised([2.3, 2.0], history=(undone,), **few)
    assert still.knobs["lr"] == pytest.approx(0.001 * (20 / 9) ** 0.5)
    assert advised([2.3, 2.0], history=(raised(0.0),)).knobs["lr"] == pytest.approx(0.003)


def test_before_the_first_step_the_rate_is_raised_where_few_are_to_come():
    none = Curve((), {})
    start = evidence(epoch=0, curve=none, diagnosis=Diagnosis(()), epochs_total=10)
    for steps, factor in ((1, 3.0), (150, 2000**0.5 / 1500**0.5), (200, 1.0)):
        found = HeuristicAdvisor().adjust(replace(start, steps_per_epoch=steps)).adjustment
        assert found.knobs.get("lr", 0.001) == pytest.approx(0.001 * factor)


def test_before_the_first_finite_value_nothing_speaks_against_a_larger_rate():
    assert advised([math.nan], diagnosis=Diagnosis(())).knobs["lr"] == pytest.approx(0.003)


def test_a_raise_that_was_undone_is_not_made_again():
    assert advised([2.3, 2.0], history=(raised(3.0, verdict="worse", rolled_back=True),)).empty
    assert advised([2.3, 2.0, 2.2]).empty  # and none is made where it does not improve
    assert not advised([0.1, 0.3], mode="max").empty
    assert advised([0.1, 0.3, 0.2], mode="max").empty


def test_toward_the_end_the_rate_falls_to_a_twentieth_by_the_last_epoch():
    lr = 1.0
    for epoch in range(5, 10):
        knobs = (KnobState("lr", lr, lr / 3, lr * 3),)
        found = advised([2.0 - 0.1 * e for e in range(epoch)], knobs=knobs, steps_per_epoch=500)
        lr = found.knobs.get("lr", lr)
        assert found.empty == (epoch < 6)
    assert lr == pytest.approx(0.05)


def test_where_reach_is_missing_to_the_end_the_rate_falls_later_and_less_far():
    lr = 1.0
    for epoch in range(6, 10):
        knobs = (KnobState("lr", lr, lr / 3, lr * 3),)
        found = advised([2.0] * epoch, knobs=knobs, steps_per_epoch=9, history=(raised(10.0),))
        lr = found.knobs.get("lr", lr)
        assert found.empty == (epoch < 7)
    assert lr == pytest.approx(0.4)


LAGS = ([1.8, 1.3, 1.1, 1.0], [2.2, 1.9, 1.7, 1.6])  # validation, training: with wrong labels
LEADS = ([1.8, 1.3, 1.1, 1.0], [2.2, 1.5, 1.2, 1.05])


def test_where_training_lags_behind_validation_the_rate_falls_and_a_raise_is_taken_back():
    up = (raised(3.0),)
    assert advised(*(part[:2] for part in LAGS), history=up).knobs["lr"] > 0.001
    found = advised(*(part[:3] for part in LAGS), history=up)
    line = 0.05 + 0.95 * 6 / 7  # from the second epoch to the last
    assert found.knobs["lr"] == pytest.approx(0.001 / 3 * line)
    assert "training lags behind validation" in found.rationale
    further = advised(*LAGS, history=(*up, raised(line / 3)))
    assert further.knobs["lr"] == pytest.approx(0.001 * (0.05 + 0.95 * 5 / 7) / line)
    assert advised(*LEADS, history=up).knobs["lr"] > 0.001
    one = ([1.8, 1.3, 1.1], [2.2, 1.9, 1.2])  # once is chance
    assert advised(*one, history=up).knobs["lr"] > 0.001
    gap = ([1.8, math.nan, 1.1, math.nan], LAGS[1])
    assert advised(*gap, history=up, diagnosis=Diagnosis(())).knobs["lr"] > 0.001


def test_the_rate_falls_as_fast_where_only_every_second_epoch_is_validated():
    rates = []
    for apart in (1, 2):
        lr = 1.0
        for epoch in range(6, 9, apart):
            knobs = (KnobState("lr", lr, lr / 3, lr * 3),)
            values = [2.0 - 0.1 * e if e % apart == 0 else math.nan for e in range(1, epoch + 1)]
            lr = advised(values, knobs=knobs, steps_per_epoch=500).knobs["lr"]
        rates.append(lr)
    assert rates[0] == pytest.approx(rates[1])


def test_late_weights_are_averaged_once_the_curve_is_flat():
    flat = [1.0, 0.6, 0.5, 0.49, 0.5, 0.49, 0.5, 0.49]
    found = advised(flat, anchors=("best", "ema"), steps_per_epoch=500)
    assert found.operations == (Operation("pull", amount=0.5, toward="ema"),)
    assert advised(flat, anchors=("best",), steps_per_epoch=500).operations == ()
    assert advised(flat[:7], anchors=("ema",), steps_per_epoch=500).operations == ()  # early
    improving = Diagnosis((Signal("improving", None, "still improving"),))
    late = advised(flat, anchors=("ema",), steps_per_epoch=500, diagnosis=improving)
    assert late.operations == ()


@pytest.mark.parametrize("total", [1, 2, 3])
def test_the_shortest_trainings_end_with_a_finite_rate(total):
    found = advised([1.0] * total, epochs_total=total, steps_per_epoch=9000)
    assert 0.0 < found.knobs["lr"] <= 0.001


def test_overfitting_regularises_and_goes_back_toward_the_best():
    train = [1.0 / (e + 1) for e in range(12)]
    val = [1.0, 0.8, 0.7, 0.65, 0.7, 0.76, 0.83, 0.9, 0.98, 1.05, 1.13, 1.2]
    knobs = (
        KnobState("lr", 0.001, 0.0003, 0.003), KnobState("dropout", 0.1, 0.0, 0.9),
        KnobState("weight_decay", 0.0, 0.0, 1.0), KnobState("augmentation", 0.0, 0.0, 1.0),
        KnobState("entropy", 0.1, 0.0, 1.0),
    )  # fmt: skip
    found = advised(val, train, knobs=knobs, epochs_total=40)
    assert found.knobs == pytest.approx(
        {"lr": 0.0005, "dropout": 0.2, "weight_decay": 1e-4, "augmentation": 0.25}
    )
    assert found.operations == (Operation("pull", amount=0.5, toward="best"),)
    assert "overfitting since epoch 4" in found.rationale
    assert "back toward the best weights" in found.rationale


OVERFITS = Diagnosis((Signal("overfitting", 2, "overfitting since epoch 2"),))


def test_what_has_reached_its_bound_is_not_turned_further():
    knobs = (KnobState("dropout", 0.45, 0.0, 0.9), KnobState("weight_decay", 0.05, 0.0, 1.0))
    found = advised([1.0, 0.9], diagnosis=OVERFITS, knobs=knobs)
    assert found.knobs == pytest.approx({"dropout": 0.5, "weight_decay": 0.1})
    knobs = (KnobState("dropout", 0.6, 0.0, 0.9), KnobState("weight_decay", 0.2, 0.0, 1.0))
    assert advised([1.0, 0.9], diagnosis=OVERFITS, knobs=knobs, anchors=()).empty


def test_overfitting_without_a_knob_still_goes_back_if_the_best_weights_are_known():
    knobs = (KnobState("entropy", 0.1, 0.0, 1.0),)
    found = advised([1.0, 0.9], diagnosis=OVERFITS, knobs=knobs)
    assert (found.knobs, [one.toward for one in found.operations]) == ({}, ["best"])


def test_where_a_cure_cannot_be_done_the_next_rule_is_asked():
    lowest = (KnobState("lr", 0.001, 0.001, 0.003),)
    losses = [1.0 - 0.1 * epoch for epoch in range(7)]
    found = advised(losses, diagnosis=OVERFITS, knobs=lowest, anchors=(), steps_per_epoch=500)
    assert "falls toward the end" in found.rationale


@pytest.mark.parametrize(("kind", "factor"), [("diverged", 1 / 3), ("oscillating", 0.5)])
def test_divergence_and_oscillation_lower_the_rate(kind, factor):
    diagnosis = Diagnosis((Signal(kind, 2, f"{kind} since epoch 2"),))
    found = advised([1.0, 0.9, 1.1], diagnosis=diagnosis, epochs_total=40)
    assert found.knobs == pytest.approx({"lr": 0.001 * factor})
    assert kind in found.rationale


def test_with_no_knob_there_is_nothing_to_say():
    assert advised([2.3], knobs=()).empty
    assert advised([2.3 - 0.1 * epoch for epoch in range(9)], knobs=(), anchors=()).empty
