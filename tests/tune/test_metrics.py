"""A search never goes blind without a word: numbers in every form, and a warning without any."""

from __future__ import annotations

import logging
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ray import tune

from raymimic import LLMScheduler, LLMSearcher, RaymimicCallback
from raymimic.tune.results import epoch_of, metrics_of


class OneElement:
    """As a JAX or TensorFlow array of no dimension."""

    shape = ()

    def __float__(self) -> float:
        return 0.25


@pytest.mark.parametrize(
    "value",
    [
        0.25,
        np.float16(0.25),
        np.array(0.25),
        np.array([0.25]),
        torch.tensor(0.25),
        torch.tensor([[0.25]], requires_grad=True),
        OneElement(),
        Decimal("0.25"),
        Fraction(1, 4),
        "0.25",
    ],
)
def test_a_metric_is_read_in_every_form(value):
    assert metrics_of({"loss": value}, "loss") == {"loss": 0.25}
    assert metrics_of({"eval": {"loss": value}}, "eval/loss") == {"eval/loss": 0.25}


@pytest.mark.parametrize(
    "value", [None, "a", [0.25], np.array([1, 2]), torch.tensor(1.0, device="meta"), 1 + 2j, {}]
)
def test_what_is_no_single_number_is_none(value):
    assert metrics_of({"loss": value}, "loss") == {}


def test_other_texts_are_no_curves_and_a_huge_integer_is_infinite():
    assert metrics_of({"date": "2024", "big": 10**400}, "loss") == {"big": float("inf")}
    assert epoch_of({"training_iteration": np.array(3)}) == 3


@pytest.mark.parametrize("metric", ["time_total_s", "training_iteration"])
def test_a_metric_that_tune_keeps_itself_is_readable(make_searcher, metric):
    searcher = make_searcher(metric)
    searcher.suggest("a")
    searcher.on_trial_complete("a", {"time_total_s": 4.0, "training_iteration": 4})
    assert searcher.trial("a").score == 4.0


@pytest.fixture
def make_searcher(tmp_path):
    def make(metric):
        space = {"lr": tune.uniform(0, 1)}
        return LLMSearcher(space, metric, "min", llm="none", ledger=tmp_path / "l.jsonl")

    return make


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"acc": 1, "eval": {"Loss": 2.0}}, ["'loss' was not reported", "'acc', 'eval/Loss'"]),
        ({"loss": "high"}, ["'loss' came as str ('high')", "float(...)"]),
        ({"loss": np.zeros(3)}, ["'loss' came as ndarray"]),
    ],
)
def test_a_search_without_a_readable_score_says_so_once(make_searcher, caplog, result, words):
    searcher = make_searcher("loss")
    with caplog.at_level(logging.WARNING):
        for trial_id in "ab":
            searcher.suggest(trial_id)
            searcher.on_trial_complete(trial_id, {**result, "training_iteration": 1})
    (said,) = [record.getMessage() for record in caplog.records if "blind" in record.message]
    assert all(word in said for word in words)


@pytest.mark.parametrize("loss", [1.0, float("nan")])
def test_a_score_that_was_read_is_no_reason_to_warn(make_searcher, caplog, loss):
    searcher = make_searcher("loss")
    searcher.suggest("a")
    searcher.on_trial_complete("a", {"loss": loss, "training_iteration": 1})
    searcher.suggest("b")
    searcher.on_trial_complete("b", {"training_iteration": 1})
    assert "blind" not in caplog.text


def ended(hooks, alone):
    """One trial ends with a result whose metric has another name, before ``alone``'s hooks."""
    result = {"val_acc": 0.5, "training_iteration": 1}
    trial = SimpleNamespace(trial_id="a", last_result=result)
    if alone == "scheduler":
        hooks.set_search_properties("loss", "min")
        hooks.on_trial_add(None, trial)
        hooks.on_trial_result(None, trial, result)
        hooks.on_trial_complete(None, trial, result)
    else:
        hooks.on_trial_result(0, [], trial, dict(result))
        hooks.on_trial_complete(0, [], trial)


@pytest.mark.parametrize("alone", ["scheduler", "callback"])
def test_scheduler_and_callback_alone_say_it_too(alone, tmp_path, caplog):
    if alone == "scheduler":
        hooks = LLMScheduler(llm="none", ledger=tmp_path / "x.jsonl")
    else:
        hooks = RaymimicCallback(metric="loss", mode="min")
    for _ in range(2):
        ended(hooks, alone)
    said = [record.getMessage() for record in caplog.records if "blind" in record.message]
    assert len(said) == 1
    assert "'loss' was not reported" in said[0]
    assert "'val_acc'" in said[0]


@pytest.mark.parametrize("epoch", [10**30, -(10**30), float("nan"), "one", None, 1.5])
def test_an_epoch_that_is_no_count_loses_no_trial(make_searcher, epoch):
    searcher = make_searcher("loss")
    searcher.suggest("a")
    searcher.on_trial_complete("a", {"loss": 0.5, "training_iteration": epoch})
    assert (searcher.trial("a").status, searcher.trial("a").score) == ("done", 0.5)
    assert not searcher.tally.faults


def test_the_searcher_hears_of_pauses_as_hyperband_for_bohb_says_them(make_searcher):
    searcher = make_searcher("loss")
    searcher.suggest("a")
    searcher.on_pause("a")
    searcher.on_unpause("a")
    assert searcher.trial("a").status == "running"
