"""Weight operations through the modulator: what each adds, and that no bad one ever raises."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import Says, network, one_epoch, same, weights
from torch import nn
from torch.optim import SGD

from raymimic import Adjustment, Limits, Modulator, Operation
from raymimic.advisor import OPERATIONS
from raymimic.modulation.operations import DELTAS, GAINS, in_words

FREE = Limits(trust=math.inf, alpha=1.0)


def test_each_operation_that_can_be_named_has_its_function_and_no_other_has():
    assert sorted([*DELTAS, *GAINS]) == sorted(OPERATIONS)


def told(operations: tuple[Operation, ...], *, model=None, **options: Any):
    """What a whole interval adds: epoch 1 is trained, the operations act over epoch 2 alone."""
    model = model or network()
    optimizer = SGD(model.parameters(), 0.1)
    class_accuracy = options.pop("class_accuracy", [])
    says = Says(Adjustment(alpha=1.0, operations=operations))
    modulator = Modulator(model, optimizer, llm=says, limits=FREE, **options)
    start = weights(model)
    one_epoch(model, optimizer, modulator.step, 0)
    middle = weights(model)
    modulator.epoch_end({"val_loss": 1.0, "class_accuracy": class_accuracy})
    one_epoch(model, optimizer, modulator.step, 1)  # alpha 1: the optimizer's own part is 0
    return modulator, start, middle, weights(model)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (Operation("pull", amount=0.5, toward="initial"), lambda s, m: m + 0.5 * (s - m)),
        (Operation("pull", amount=1.0, toward="best"), lambda s, m: m),
        (Operation("shrink", amount=0.1), lambda s, m: 0.9 * m),
        (Operation("scale", amount=1.2), lambda s, m: 1.2 * m),
        (Operation("extrapolate", amount=2.0), lambda s, m: m + 2.0 * (m - s)),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_what_an_operation_adds(operation, expected):
    _, start, middle, end = told((operation,))
    for s, m, e in zip(start, middle, end, strict=True):
        torch.testing.assert_close(e, expected(s, m), rtol=1e-4, atol=1e-6)


def test_a_pull_toward_the_average_of_the_steps():
    modulator, start, middle, end = told((Operation("pull", toward="ema"),), ema=0.5)
    between = [(e - s) / (m - s) for s, m, e in zip(start, middle, end, strict=True)]
    assert modulator.history[0].dropped == ()
    assert all(0.0 < float(share.median()) < 1.0 for share in between)


def test_noise_and_fresh_weights_depend_on_the_seed_alone():
    operations = (Operation("noise", "0.weight", 0.5), Operation("reinit", "3.*"))
    ends = [told(operations, seed=seed)[3] for seed in (1, 1, 2)]
    assert same(ends[0], ends[1])
    assert not same(ends[0], ends[2])
    _, _, middle, end = told(operations)
    noise = end[0] - middle[0]
    ratio = float(noise.square().mean().sqrt() / middle[0].square().mean().sqrt())
    assert ratio == pytest.approx(0.5, rel=0.3)
    assert torch.equal(end[1], middle[1])
    assert float(end[2].abs().max()) <= 1 / math.sqrt(16)  # as nn.Linear begins


def test_weak_classes_get_a_larger_bias():
    operation = Operation("class_bias", "3.bias", 2.0)
    _, _, middle, end = told((operation,), class_accuracy=[0.9, 0.9, 0.3])
    torch.testing.assert_close(end[-1] - middle[-1], torch.tensor([-0.4, -0.4, 0.8]))


def test_what_was_done_is_told_in_words():
    told = [
        in_words(Operation("pull", "fc.*", 0.25, toward="ema")),
        in_words(Operation("lr_gain", "{amount}", 2)),
        in_words(Operation("freeze", "0.*")),
    ]
    assert told == ["pull fc.* toward ema by 0.25", "updates of {amount} x2", "freeze 0.*"]


REFUSED = [
    (Operation("shrink", "fc9.weight", 0.1), "no trained parameter is called so; there are 0."),
    (Operation("shrink", amount=1.5), "amount must be from 0 to 1"),
    (Operation("noise", amount=math.nan), "amount must be from 0 to 0.5"),
    (Operation("pull", toward="ema"), "there are no ema weights; there are initial, best"),
    (Operation("delta", "3.bias", values=[1.0, 2.0]), "has shape (3,), the values (2,)"),
    (Operation("delta", "3.bias", values=[1.0, math.inf, 0.0]), "is not finite"),
    (Operation("delta", "3.bias", values="big"), "must be nested lists of numbers"),
    (Operation("delta", "3.bias", values=[[1], [2, 3]]), "must be nested lists of numbers"),
    (Operation("class_bias", "3.bias"), 'given no "class_accuracy"'),
    (Operation("explode"), "there is no such operation"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("operation", "reason"), REFUSED, ids=lambda v: getattr(v, "kind", ""))
def test_a_bad_operation_costs_only_itself_and_is_reported_back(operation, reason):
    good = Operation("shrink", "0.*", 0.1)
    says = Says(Adjustment({"dropout": 0.3}, 1.0, (operation, good)))
    model = network()
    modulator = Modulator(model, SGD(model.parameters(), 0.1), llm=says, limits=FREE)
    modulator.step()
    modulator.epoch_end({"val_loss": 1.0})
    (past,) = modulator.history
    assert [reason in text for text in past.dropped] == [True]
    assert past.applied[:2] == ("dropout 0.1 -> 0.3", "shrink 0.* by 0.1")
    modulator.epoch_end({"val_loss": 1.0})
    assert says.seen[1].history[0].dropped == past.dropped  # the advisor is told


def test_a_tensor_of_256_elements_is_too_large_to_be_given():
    model = nn.Sequential(nn.Linear(64, 4))
    operation = Operation("delta", "0.weight", values=[[0.0] * 64] * 4)
    modulator = Modulator(
        model, SGD(model.parameters(), 0.1), llm=Says(Adjustment(operations=(operation,)))
    )
    modulator.epoch_end({"val_loss": 1.0})
    assert "has 256 elements; under 256 can be given" in modulator.history[0].dropped[0]


words = st.text(max_size=6) | st.sampled_from(["*", "0.*", "3.bias", "[", "?.weight"])
numbers = st.floats() | st.integers(-3, 3)
operations = st.builds(
    Operation,
    kind=st.sampled_from([*OPERATIONS, "strange"]),
    params=words,
    amount=numbers,
    toward=st.sampled_from(["best", "initial", "ema", "moon"]),
    values=st.none() | st.lists(numbers, max_size=4) | st.lists(st.lists(numbers), max_size=3),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Adjustment,
        knobs=st.dictionaries(st.sampled_from(["lr", "dropout", "mood"]), numbers, max_size=3),
        alpha=st.none() | numbers,
        operations=st.lists(operations, max_size=4).map(tuple),
    )
)
def test_whatever_an_advisor_says_training_goes_on_with_finite_weights(adjustment):
    model = network()
    optimizer = SGD(model.parameters(), 0.01)
    modulator = Modulator(model, optimizer, llm=Says(adjustment))
    for epoch in range(2):
        one_epoch(model, optimizer, modulator.step, epoch)
        modulator.epoch_end({"val_loss": 1.0})
    assert all(bool(torch.isfinite(w).all()) for w in weights(model))
    assert 0.0 <= modulator.knobs["dropout"] <= 0.9
    assert 0.01 / 3.001 <= modulator.knobs["lr"] <= 0.03001
