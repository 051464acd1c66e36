"""MNIST's own files."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from raymimic.demo import DataError


def mnist(data_dir: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels, uint8 (n, 1, 28, 28), and labels, int64, of ``part`` ("train" or "t10k").

    Read from MNIST/raw, gzipped or not (http://yann.lecun.com/exdb/mnist). Raises `DataError`.
    """
    folder = data_dir / "MNIST" / "raw"
    pixels = _bytes(folder / f"{part}-images-idx3-ubyte", header=16).reshape(-1, 1, 28, 28)
    return pixels, _bytes(folder / f"{part}-labels-idx1-ubyte", header=8).astype(np.int64)


def _bytes(path: Path, header: int) -> np.ndarray:
    """The bytes of an idx file behind its ``header``."""
    packed = path.with_name(path.name + ".gz")
    if path.is_file():
        content = path.read_bytes()
    elif packed.is_file():
        content = gzip.decompress(packed.read_bytes())
    else:
        raise DataError(
            f"{str(path)!r} is missing; cure: give --data-dir the folder that holds MNIST/raw/ "
            "with the four *-ubyte files"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header)
