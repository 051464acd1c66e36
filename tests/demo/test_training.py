"""Training the demo's network on small random or shipped data."""

from __future__ import annotations

import math
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import ray
from ray import tune

from raymimic.demo import (
    EPOCHS,
    NAMES,
    SPACE,
    Split,
    evaluate_test,
    load,
    train_cnn,
    trainable,
)

CONFIG = {
    "lr": 3e-3,
    "weight_decay": 1e-4,
    "dropout": 0.2,
    "width": 12,
    "depth": 2,
    "optimizer": "adam",
    "batch_size": 32,
    "activation": "relu",
    "batch_norm": True,
}
METRICS = {"train_loss", "val_loss", "train_accuracy", "val_accuracy"}
DIVERGING = {**CONFIG, "lr": 1e6, "optimizer": "sgd", "batch_norm": False}


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def curve(config, split, epochs, seed=0):
    """Run the trainable itself and return what it reported to Tune."""
    running = ray.is_initialized()
    with mock.patch.object(tune, "report") as report:
        train_cnn(config, split=split, epochs=epochs, seed=seed)
    assert ray.is_initialized() == running  # asking for a GPU must not start a Ray
    return [call.args[0] for call in report.call_args_list]


def random_split(channels, size, seed=0):
    rng = np.random.default_rng(seed)

    def part(count):
        images = rng.normal(size=(count, channels, size, size)).astype(np.float32)
        return images, rng.integers(0, 10, count)

    return Split("random", *part(40), *part(20), *part(10))


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (1, 28), (3, 32)])
@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize("batch_norm", [True, False])
def test_network_fits_every_image_size(channels, size, depth, batch_norm):
    split = random_split(channels, size)
    (metrics,) = curve({**CONFIG, "depth": depth, "batch_norm": batch_norm}, split, epochs=1)
    assert set(metrics) == METRICS
    assert all(type(value) is float and math.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize("optimizer", SPACE["optimizer"].categories)
@pytest.mark.parametrize("activation", SPACE["activation"].categories)
def test_every_category_of_the_space_trains(optimizer, activation):
    config = {**CONFIG, "optimizer": optimizer, "activation": activation}
    assert math.isfinite(curve(config, random_split(1, 8), epochs=1)[0]["val_loss"])


@pytest.mark.parametrize("key", ["optimizer", "activation"])
def test_unknown_category_names_the_known_ones(key):
    with pytest.raises(ValueError, match=rf"{key} must be one of \w+, .*'best'"):
        curve({**CONFIG, key: "best"}, random_split(1, 8), epochs=1)


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 1e-3},
        {"weight_decay": 1e-2},
        {"dropout": 0.5},
        {"width": 8},
        {"depth": 1},
        {"batch_size": 16},
        {"batch_norm": False},
        {"activation": "tanh"},
        {"optimizer": "adamw", "weight_decay": 1e-2},
    ],
)
def test_every_setting_changes_the_curve(change):
    split = random_split(1, 8)
    like = {**CONFIG, "weight_decay": 1e-2} if "optimizer" in change else CONFIG
    assert curve({**CONFIG, **change}, split, epochs=1) != curve(like, split, epochs=1)


def test_space_has_a_domain_for_each_setting():
    assert set(SPACE) == set(CONFIG)
    assert SPACE["width"].is_valid(CONFIG["width"])


def test_every_data_set_has_a_number_of_epochs():
    assert set(EPOCHS) == set(NAMES)


def test_a_fair_configuration_learns_the_digits(digits):
    epochs = curve(CONFIG, digits, epochs=6)
    assert len(epochs) == 6
    assert epochs[-1]["val_loss"] < epochs[0]["val_loss"]
    assert epochs[-1]["val_accuracy"] > 0.7


def test_equal_seeds_give_equal_curves_and_others_do_not(digits):
    first, again = (curve(CONFIG, digits, epochs=2, seed=3) for _ in range(2))
    assert first == again
    assert curve(CONFIG, digits, epochs=2, seed=4) != first


def test_a_diverging_trial_reports_nan_once_and_ends(digits):
    epochs = curve(DIVERGING, digits, epochs=5)
    assert len(epochs) < 5
    assert set(epochs[-1]) == METRICS
    assert all(math.isnan(value) for value in epochs[-1].values())
    assert not any(math.isnan(value) for epoch in epochs[:-1] for value in epoch.values())


def test_test_accuracy_comes_from_the_same_training(digits):
    final = evaluate_test(CONFIG, digits, epochs=4)
    trial = curve(CONFIG, digits.without_test(), epochs=4)
    assert {key: final[key] for key in METRICS} == trial[-1]
    assert final["test_accuracy"] == pytest.approx(final["val_accuracy"], abs=0.1)


def test_test_accuracy_is_taken_on_the_test_samples(digits):
    shifted = replace(digits, test_labels=(digits.test_labels + 1) % 10)
    final = evaluate_test(CONFIG, shifted, epochs=4)
    assert final["val_accuracy"] > 0.6
    assert final["test_accuracy"] < 0.2


def test_test_scores_are_nan_when_training_broke_off():
    split = random_split(1, 8)
    split.train_images[0] = math.nan  # the loss breaks while the weights may still be sound
    final = evaluate_test({**CONFIG, "batch_norm": False}, split, epochs=2)
    assert set(final) == METRICS | {"test_loss", "test_accuracy"}
    assert all(math.isnan(value) for value in final.values())


@pytest.mark.ray
@pytest.mark.usefixtures("ray_here", "quiet_ray")
def test_it_runs_under_tune(digits, tmp_path):
    results = tune.Tuner(
        trainable(digits, epochs=2),
        param_space={**DIVERGING, "lr": tune.grid_search([3e-3, 1e6])},
        tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=1),
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    ).fit()
    assert not results.errors
    fair, diverged = sorted(results, key=lambda result: result.config["lr"])
    assert set(fair.metrics) >= METRICS
    assert fair.metrics["training_iteration"] == 2
    assert math.isnan(diverged.metrics["val_loss"])
