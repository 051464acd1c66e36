"""The study's real trainings, on images made up here: no data folder is needed."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="real trainings need torch: NOT tested here")

import torch

from experiments.common.real import cnn, cnn_training, images, training
from experiments.common.task import NotApplicable, TrainingFailed
from experiments.head_to_head import run as command
from raymimic.demo import DataError
from raymimic.tune.domains import RaySpace

SMALL = "cpu,train_images=60,val_images=40,test_images=30,epochs=3,batch_size=20"
METRICS = {"train_loss", "val_loss", "train_accuracy", "val_accuracy"}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder with MNIST's four files: the label's row is white, the rest noise."""
    folder = tmp_path_factory.mktemp("data")
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part in ("train", "t10k"):
        labels = rng.integers(0, 10, 120).astype(np.uint8)
        pixels = rng.integers(0, 100, (120, 28, 28)).astype(np.uint8)
        for image, label in zip(pixels, labels, strict=True):
            image[4 + 2 * label : 6 + 2 * label] = 255
        (raw / f"{part}-images-idx3-ubyte").write_bytes(bytes(16) + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(bytes(8) + labels.tobytes())
    return folder


@pytest.fixture
def mnist(data_dir, tmp_path):
    return training.tasks(SMALL, data_dir=data_dir, cache_dir=tmp_path)["mnist_cnn"]


def again(data_dir, cache_dir, preset=SMALL):
    """The same task as a later process makes it."""
    return training.tasks(preset, data_dir=data_dir, cache_dir=cache_dir)["mnist_cnn"]


CORNERS = list(
    itertools.product([2, 8], [16, 128], [1.0, 2.5], [3, 5], [True, False], [True, False], [1, 4])
)


def corner_config(corner, number):
    names = ["n_blocks", "base_channels", "channel_growth", "kernel_size", "use_residual"]
    names += ["use_batchnorm", "pool_every"]
    return {
        **dict(zip(names, corner, strict=True)),
        "activation": list(cnn.ACTIVATIONS)[number % 4],
        "pool_type": ["max", "avg"][number // 2 % 2],
        "fc_hidden": [0, 512][number // 3 % 2],
        "dropout": [0.0, 0.5][number // 5 % 2],
        "lr": [1e-4, 1e-1][number // 7 % 2],
        "weight_decay": [1e-6, 1e-2][number // 11 % 2],
        "optimizer": ["sgd", "adam", "adamw"][number % 3],
    }


@pytest.mark.parametrize("side", [8, 14])
def test_every_corner_of_the_space_builds_and_takes_a_step(side):
    torch.manual_seed(0)
    inputs, labels = torch.randn(4, 1, side, side), torch.tensor([0, 1, 2, 3])
    space = RaySpace.from_ray(cnn.param_space()).space
    for number, corner in enumerate(CORNERS):
        config = corner_config(corner, number)
        assert space.check(config) == (config, ())
        model = cnn.ConfigurableCNN(config, (1, side, side), 10, width=0.25)
        optimizer = cnn.build_optimizer(config, model)
        loss = torch.nn.functional.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        assert math.isfinite(loss.item()), config


@pytest.mark.parametrize("key", ["activation", "pool_type", "optimizer"])
def test_an_unknown_choice_is_refused_by_name(key):
    config = {**cnn.default(), key: "banana"}
    with pytest.raises(ValueError, match=f"{key}.*banana"):
        cnn.build_optimizer(config, cnn.ConfigurableCNN(config, (1, 8, 8), 10))


@pytest.mark.parametrize("number", [0, 37, 90, 127])
def test_multiply_adds_are_what_torch_counts(number):
    from torch.utils.flop_counter import FlopCounterMode

    config = corner_config(CORNERS[number], number)
    model = cnn.ConfigurableCNN(config, (3, 14, 14), 10, width=0.25).eval()
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        model(torch.randn(1, 3, 14, 14))
    assert counted.get_total_flops() == 2 * cnn.multiply_adds(config, (3, 14, 14), 10, 0.25)


def test_defaults_are_in_their_spaces(mnist):
    for task in (mnist, training.DigitsTask()):
        config, repairs = RaySpace.from_ray(task.param_space()).space.check(task.default())
        assert config == task.default()
        assert repairs == ()


def test_a_training_learns_and_tells_nothing_of_the_test(mnist):
    config = {**mnist.default(), "lr": 1e-2}
    rows = list(mnist.train(config, seed=0, trial=0))
    assert [set(row) for row in rows] == [METRICS] * 3
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert mnist.value(config) == rows[-1]["val_loss"]
    assert 0 <= mnist.test(config) <= 1
    assert math.isnan(mnist.regret(config))
    assert len(mnist.train_seconds(config, 0)) == 3
    with pytest.raises(NotApplicable):
        mnist.worst(3)


def test_the_seed_decides_everything(data_dir, tmp_path):
    def run(folder, seed, trial):
        task = again(data_dir, tmp_path / folder)
        return list(task.train(task.default(), seed, trial))

    assert run("a", 0, 0) == run("b", 0, 7)
    assert run("a", 0, 0) != run("c", 1, 0)


def test_equal_configurations_train_once(mnist, data_dir, tmp_path, monkeypatch):
    config = mnist.default()
    rows = list(mnist.train(config, 0, 0))
    seconds = mnist.train_seconds(config, 0)
    monkeypatch.setattr(training, "CNNRun", None)  # training anything now would raise TypeError
    later = again(data_dir, tmp_path)
    assert math.isnan(later.value(config))
    assert list(later.train(dict(reversed(config.items())), 0, 5)) == rows
    assert (later.value(config), later.test(config)) == (mnist.value(config), mnist.test(config))
    assert later.train_seconds(config, 0) == seconds
    with pytest.raises(TypeError):
        next(later.train({**config, "lr": 2e-3}, 0, 0))
    with pytest.raises(TypeError):
        next(later.train(config, 1, 0))
    with pytest.raises(TypeError):
        next(again(data_dir, tmp_path, SMALL + ",train_images=50").train(config, 0, 0))


def test_a_stopped_training_goes_on_as_if_it_never_stopped(mnist, data_dir, tmp_path):
    config = mnist.default()
    stopped = mnist.train(config, 0, 0)
    first = next(stopped)
    stopped.close()
    assert math.isnan(mnist.value(config))
    assert math.isnan(mnist.test(config))
    rows = list(again(data_dir, tmp_path).train(config, 0, 1))
    assert rows[0] == first
    assert rows == list(again(data_dir, tmp_path / "fresh").train(config, 0, 1))


def test_all_is_known_with_the_last_epoch_though_the_iterator_is_not_at_its_end(mnist):
    run = mnist.train(mnist.default(), 0, 0)
    for epoch in range(1, 4):
        next(run)
        assert len(mnist.train_seconds(mnist.default(), 0)) == epoch
    assert math.isfinite(mnist.test(mnist.default()))
    assert math.isfinite(mnist.value(mnist.default()))


def test_a_network_beyond_the_limit_fails_with_its_size(mnist):
    config = corner_config((8, 128, 2.5, 5, True, True, 4), 0)
    for _ in range(2):  # computed, then read
        with pytest.raises(TrainingFailed, match=r"million multiply-adds.*limit is 75"):
            next(mnist.train(config, 0, 0))
    assert math.isnan(mnist.value(config))


def test_a_diverged_training_shows_its_nan_and_fails(mnist):
    config = {**mnist.default(), "lr": 1e30, "optimizer": "sgd", "use_batchnorm": False}
    for _ in range(2):  # computed, then read
        run = mnist.train(config, 0, 0)
        assert math.isnan(next(run)["val_loss"])
        with pytest.raises(TrainingFailed, match="diverged in epoch 1"):
            next(run)


def test_digits_need_no_folder(tmp_path):
    assert list(training.tasks()) == ["digits"]
    task = training.DigitsTask(tmp_path, epochs=1)
    (row,) = task.train(task.default(), 0, 0)
    assert set(row) == METRICS
    assert task.test(task.default()) > 0.3


def test_the_split_is_disjoint_fixed_and_resized(data_dir):
    one, two = (images.load("mnist", data_dir, (60, 60, 30), 14) for _ in range(2))
    assert one.shape == (1, 14, 14)
    assert torch.equal(one.train[0], two.train[0])
    together = torch.cat([one.train[1], one.val[1]]).bincount()
    raw = (data_dir / "MNIST/raw/train-labels-idx1-ubyte").read_bytes()[8:]
    assert together.tolist() == np.bincount(np.frombuffer(raw, np.uint8)).tolist()
    with pytest.raises(DataError, match="120 images"):
        images.load("mnist", data_dir, (100, 60, 30), 14)
    with pytest.raises(DataError, match="--data-dir"):
        images.load("mnist", data_dir / "none", (60, 40, 30), 14)


def test_a_preset_can_be_changed_field_by_field():
    changed = cnn_training.settings_of("cpu,image_size=16,width=0.5")
    assert changed == replace(cnn_training.PRESETS["cpu"], image_size=16, width=0.5)
    assert cnn_training.settings_of("full") == cnn_training.Settings()
    for wrong in ("huge", "cpu,colour=1", "cpu,epochs=many"):
        with pytest.raises(ValueError, match=r"huge|colour|many"):
            cnn_training.settings_of(wrong)


def test_one_folder_holds_trainings_of_one_size(tmp_path):
    def settle(preset, tasks="digits"):
        line = f"--methods random --tasks {tasks} --preset {preset} --out {tmp_path}"
        command.settle_preset(command.parse(line.split()))

    settle("cpu,epochs=3")
    settle("cpu,epochs=3")
    settle("full", tasks="tables")
    for other in ("cpu", "huge"):
        with pytest.raises(SystemExit, match=r"preset\.txt says cpu,epochs=3|huge"):
            settle(other)
