"""Scikit-learn's 8x8 digits, enlarged, for the seed's CNN: needs no data, is done in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from experiments.modulation.mnist import EPOCHS, network
from experiments.modulation.supervised import Parts, Supervised
from experiments.modulation.task import Study, StudyError

_TEST = 500


def build(size: int, seed: int, data_dir: Path | None) -> Supervised:  # noqa: ARG001
    """As the MNIST study; validation is as large as training, test is 500 images for all seeds."""
    from sklearn.datasets import load_digits

    table = load_digits()
    small = torch.from_numpy(table.images.astype(np.float32))[:, None] / 8 - 1
    images = functional.interpolate(small, size=(28, 28), mode="bilinear", align_corners=False)
    labels = torch.from_numpy(table.target.astype(np.int64))
    rows = np.random.default_rng(0).permutation(len(labels))
    test, rest = rows[:_TEST], rows[_TEST:]
    if not 0 < 2 * size <= len(rest):
        raise StudyError(f"a size of digits must lie between 1 and {len(rest) // 2}, not {size}")
    train, val = np.split(np.random.default_rng(seed).permutation(rest)[: 2 * size], 2)
    parts = Parts(*((images[some], labels[some]) for some in (train, val, test)))
    return Supervised(network(seed), parts, seed, EPOCHS)


STUDIES = (
    Study("digits", "Scikit-learn's digits at 28x28: a trial of the machinery.", build, (100,)),
)
