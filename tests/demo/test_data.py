"""Loading and splitting the demo's data sets, through `raymimic.demo.load`."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raymimic.demo import DataError, load
from raymimic.errors import MissingExtra


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_digits_have_the_promised_sizes_and_types(digits):
    assert digits.train_images.shape == (600, 1, 8, 8)
    assert digits.val_images.shape == (400, 1, 8, 8)
    assert digits.test_images.shape == (797, 1, 8, 8)
    for images in (digits.train_images, digits.val_images, digits.test_images):
        assert images.dtype == np.float32
    for labels in (digits.train_labels, digits.val_labels, digits.test_labels):
        assert labels.dtype == np.int64


def test_training_images_are_standardised_and_set_the_scale_of_the_others(digits):
    assert digits.train_images.mean() == pytest.approx(0, abs=1e-4)
    assert digits.train_images.std() == pytest.approx(1, abs=1e-4)
    assert digits.val_images.mean() != pytest.approx(0, abs=1e-6)


def test_digits_carry_noise(digits):
    assert len(np.unique(digits.test_images)) > 10_000  # 17 grey levels without


def test_split_is_disjoint_and_uses_every_digit_once(digits):
    parts = (digits.train_images, digits.val_images, digits.test_images)
    rows = [image.tobytes() for images in parts for image in images]
    assert len(rows) == 1797
    assert len(set(rows)) == 1797


def test_split_is_stratified(digits):
    everything = np.concatenate([digits.train_labels, digits.val_labels, digits.test_labels])
    share = np.bincount(everything) / len(everything)
    for labels in (digits.train_labels, digits.val_labels, digits.test_labels):
        np.testing.assert_allclose(np.bincount(labels), share * len(labels), atol=1.01)


def test_split_depends_on_the_seed_only(digits):
    again, other = load("digits"), load("digits", seed=1)
    np.testing.assert_array_equal(digits.train_images, again.train_images)
    np.testing.assert_array_equal(digits.test_labels, again.test_labels)
    assert not np.array_equal(digits.train_labels, other.train_labels)


def test_a_trial_sees_no_test_samples(digits):
    seen = digits.without_test()
    assert len(seen.test_images) == len(seen.test_labels) == 0
    np.testing.assert_array_equal(seen.val_images, digits.val_images)


@pytest.mark.parametrize("train_samples", [0, 9, 1388, 5000])
def test_impossible_numbers_of_training_samples_are_refused(train_samples):
    with pytest.raises(DataError, match=rf"between 10 and 1387 .* is {train_samples}"):
        load("digits", train_samples=train_samples)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(DataError, match="digits, mnist, fashion-mnist, cifar10, but is 'emnist'"):
        load("emnist")


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
def test_no_data_folder_says_how_to_give_one(name, tmp_path):
    with pytest.raises(DataError, match=r"none was given; cure: .*--data-dir"):
        load(name)
    with pytest.raises(DataError, match=r"absent' is no folder; cure: .*--data-dir"):
        load(name, tmp_path / "absent")


def test_empty_folder_for_cifar10_says_what_must_lie_there(tmp_path):
    with pytest.raises(DataError, match=r"cifar-10-batches-py/ .*train\*\.parquet.*--data-dir"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("name", "where"), [("mnist", "MNIST/raw/"), ("fashion-mnist", "FashionMNIST/raw/")]
)
def test_empty_folder_says_what_must_lie_there(name, where, tmp_path):
    pytest.importorskip("torchvision", reason="needs torchvision: raymimic[vision]")
    with pytest.raises(DataError, match=f"must hold {where}.*--data-dir"):
        load(name, tmp_path)


def test_missing_torchvision_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingExtra, match=r'pip install "raymimic\[vision\]"'):
        load("mnist", tmp_path)


def test_mnist_is_read_from_torchvisions_layout(tmp_path):
    pytest.importorskip("torchvision", reason="needs torchvision: raymimic[vision]")
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, count in (("train", 2100), ("t10k", 30)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = np.zeros((count, 28, 28), np.uint8)
        pixels[:, 0, 0] = 20 * labels  # an image carries its label in its first pixel
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(_idx(labels))
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(_idx(pixels))
    split = load("mnist", tmp_path, train_samples=50)
    assert split.train_images.shape == (50, 1, 28, 28)
    assert split.val_images.shape == (2000, 1, 28, 28)
    assert split.test_images.shape == (30, 1, 28, 28)
    order = np.argsort(split.test_images[:, 0, 0, 0], kind="stable")
    np.testing.assert_array_equal(split.test_labels[order], np.repeat(np.arange(10), 3))


@pytest.mark.parametrize("wrapped", [False, True])
def test_cifar10_is_decoded_from_parquet(wrapped, tmp_path):
    pytest.importorskip("PIL", reason="needs Pillow: raymimic[vision]")
    folder = tmp_path / "cifar10"
    folder.mkdir()
    _write_parquet(folder / "cifar10-train.parquet", 2100, wrapped)
    _write_parquet(folder / "cifar10-test.parquet", 20, wrapped)
    split = load("cifar10", tmp_path, train_samples=50)
    assert split.train_images.shape == (50, 3, 32, 32)
    assert split.test_images.shape == (20, 3, 32, 32)
    red, green = split.test_images[:, 0], split.test_images[:, 1]
    np.testing.assert_allclose(red.std(axis=(1, 2)), 0, atol=1e-5)  # each image is one colour
    order = np.argsort(red[:, 0, 0], kind="stable")
    np.testing.assert_array_equal(split.test_labels[order], np.repeat(np.arange(10), 2))
    assert green[order][0, 0, 0] > green[order][-1, 0, 0]  # red rises, green falls with the label


def test_parquet_with_other_columns_is_refused(tmp_path):
    table = pa.table({"pixels": [b""], "label": [0]})
    for part in ("train", "test"):
        pq.write_table(table, tmp_path / f"{part}.parquet")
    with pytest.raises(DataError, match=r"must have the columns image and label.*'pixels'"):
        load("cifar10", tmp_path)


def _idx(array: np.ndarray) -> bytes:
    """Encode in the format of the original MNIST files: 8 for bytes, dimensions, sizes, data."""
    sizes = np.array(array.shape, dtype=">i4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def _write_parquet(path: Path, count: int, wrapped: bool) -> None:
    from PIL import Image

    labels = [row % 10 for row in range(count)]
    encoded = []
    for label in range(10):
        colour = (25 * label, 250 - 25 * label, 250 * (label % 2))
        buffer = io.BytesIO()
        Image.new("RGB", (32, 32), colour).save(buffer, "PNG")
        image = buffer.getvalue()
        encoded.append({"bytes": image, "path": None} if wrapped else image)
    pq.write_table(pa.table({"image": [encoded[label] for label in labels], "label": labels}), path)
