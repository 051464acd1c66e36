"""The demo: a small CNN on real images, trained through Ray Tune. Needs raymimic[demo]."""

from __future__ import annotations

from raymimic.demo.data import NAMES, Split, load
from raymimic.demo.sources import DataError
from raymimic.demo.training import EPOCHS, SPACE, evaluate_test, train_cnn, trainable

__all__ = [
    "DataError",
    "EPOCHS",
    "NAMES",
    "SPACE",
    "Split",
    "evaluate_test",
    "load",
    "train_cnn",
    "trainable",
]
