"""Where the demo's images come from: each reader returns labels at once and pixels on request."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raymimic.errors import MissingExtra, RaymimicError

DIGITS_NOISE = 0.25  # standard deviation, as a share of full white; see `digits`


class DataError(RaymimicError, ValueError):
    """The data asked for is not there or not as it must be; the message carries the cure."""


@dataclass(frozen=True)
class Pool:
    """Labelled images: ``pick(rows)`` returns them as float32 in [0, 1], shape (n, c, h, w)."""

    labels: NDArray[np.int64]
    pick: Callable[[NDArray[np.int64]], NDArray[np.float32]]


def digits() -> Pool:
    """scikit-learn's 1,797 digits of 8x8 pixels, with a fixed pixel noise on top.

    The clean digits are too easy for a search to matter: most configurations end within a
    percent of each other. The noise is the same in every run, whatever the seed of the split.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise MissingExtra(
            "the digits need scikit-learn, which is not installed; "
            'cure: pip install "raymimic[demo]"'
        ) from None
    bunch = load_digits()
    images = (bunch.images / 16.0)[:, None]
    images = images + np.random.default_rng(0).normal(0.0, DIGITS_NOISE, images.shape)
    return _in_memory(images.astype(np.float32), bunch.target)


def torchvision_pools(class_name: str, data_dir: Path, layout: str) -> tuple[Pool, Pool]:
    """Read (train, test) of ``torchvision.datasets.<class_name>``, never downloading.

    ``layout`` says in words which files must lie under ``data_dir``.
    """
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        raise MissingExtra(
            f"{class_name} is read through torchvision, which cannot be imported ({error}); "
            'cure: pip install "raymimic[vision]"'
        ) from None
    reader = getattr(datasets, class_name)
    try:
        both = [reader(str(data_dir), train=train, download=False) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        found = str(error).partition(". You can use download")[0]  # an option of theirs, not ours
        raise _missing(class_name, data_dir, layout, found) from None
    train, test = (_torchvision_pool(dataset) for dataset in both)
    return train, test


def cifar10_pools(data_dir: Path) -> tuple[Pool, Pool]:
    """Read (train, test) of CIFAR-10: torchvision's own files, else Parquet of encoded images."""
    layout = (
        "cifar-10-batches-py/ (torchvision's layout), or *train*.parquet and *test*.parquet "
        "with columns image (JPEG or PNG bytes) and label, directly in it or in cifar10/"
    )
    if (data_dir / "cifar-10-batches-py").is_dir():
        return torchvision_pools("CIFAR10", data_dir, layout)
    for folder in (data_dir, data_dir / "cifar10", data_dir / "cifar-10"):
        train, test = (sorted(folder.glob(f"*{part}*.parquet")) for part in ("train", "test"))
        if train and test:
            return _parquet_pool(train), _parquet_pool(test)
    raise _missing("CIFAR10", data_dir, layout, "none of them is there")


def _missing(class_name: str, data_dir: Path, layout: str, found: str) -> DataError:
    return DataError(
        f"the data folder {str(data_dir)!r} must hold {layout}; found: {found}. Cure: give "
        "--data-dir the folder that holds them, or fetch them once with python -c "
        f"\"from torchvision import datasets; datasets.{class_name}('{data_dir}', download=True)\""
    )


def _in_memory(images: NDArray[np.float32], labels: Any) -> Pool:
    return Pool(np.asarray(labels, dtype=np.int64), lambda rows: images[rows])


def _torchvision_pool(dataset: Any) -> Pool:
    pixels = np.asarray(dataset.data)  # uint8; (n, h, w) for MNIST, (n, h, w, c) for CIFAR-10
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    return Pool(
        np.asarray(dataset.targets, dtype=np.int64), lambda rows: _to_unit_nchw(pixels[rows])
    )


def _to_unit_nchw(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(255)


def _parquet_pool(files: list[Path]) -> Pool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = pq.read_schema(files[0]).names
    image_column = next((name for name in ("image", "img") if name in names), None)
    if image_column is None or "label" not in names:
        raise DataError(
            f"{str(files[0])!r} must have the columns image and label, but has {names!r}; "
            "cure: rename its columns, or name another folder with --data-dir"
        )
    table = pa.concat_tables(pq.read_table(file, columns=[image_column, "label"]) for file in files)
    column = table.column(image_column)

    def pick(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        decoded = [_decode(column[int(row)].as_py()) for row in rows]
        return _to_unit_nchw(np.stack(decoded))

    return Pool(table.column("label").to_numpy().astype(np.int64), pick)


def _decode(image: bytes | dict[str, Any]) -> NDArray[np.uint8]:
    """Decode one encoded image; Hugging Face wraps the bytes as {"bytes": ..., "path": ...}."""
    try:
        from PIL import Image  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise MissingExtra(
            "images in Parquet files need Pillow, which is not installed; "
            'cure: pip install "raymimic[vision]"'
        ) from None
    encoded = image["bytes"] if isinstance(image, dict) else image
    with Image.open(io.BytesIO(encoded)) as opened:
        return np.asarray(opened.convert("RGB"))
