"""Where the command's data come from: an npz file, or a small set by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from raymimic.errors import MissingExtra, ProgramError
from raymimic.evolution import TrainingTask

_VALID_SHARE = 0.25  # of what is not test
_TEST_SHARE = 0.2

Arrays = dict[str, np.ndarray]


def read_data(name: str) -> Arrays:
    """Arrays x_train, y_train, x_valid, y_valid and, where there is a test set, x_test, y_test.

    "digits" are scikit-learn's, pixel after pixel as one signal of 64 samples; "mnist1d" is made by
    the package of that name. Else an npz file with these arrays. Raises `ProgramError`,
    `MissingExtra`.
    """
    if name in _SETS:
        return _SETS[name]()
    try:
        with np.load(Path(name), allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (OSError, ValueError) as error:
        raise ProgramError(
            f"data must be one of {', '.join(_SETS)} or an npz file, got {name!r}: {error}"
        ) from None


def make_task(arrays: Arrays, **settings: object) -> TrainingTask:
    """The task of a command; raises `ProgramError` where an array is missing."""
    names = ("x_train", "y_train", "x_valid", "y_valid", "x_test")
    missing = [name for name in names[:4] if name not in arrays]
    if missing:
        raise ProgramError(f"the data must hold {', '.join(names[:4])}; missing: {missing}")
    given = {name: arrays[name] for name in names if name in arrays}
    return TrainingTask(**given, **settings)  # type: ignore[arg-type]


def split(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray) -> Arrays:
    """The last quarter of the training samples becomes validation."""
    cut = len(y) - int(len(y) * _VALID_SHARE)
    return {
        "x_train": x[:cut],
        "y_train": y[:cut],
        "x_valid": x[cut:],
        "y_valid": y[cut:],
        "x_test": x_test,
        "y_test": y_test,
    }


def _digits() -> Arrays:
    from raymimic.demo.sources import digits

    pool = digits()
    order = np.random.default_rng(0).permutation(len(pool.labels))
    x = pool.pick(order).reshape(len(order), 1, -1)
    y = pool.labels[order]
    cut = int(len(y) * (1 - _TEST_SHARE))
    return split(x[:cut], y[:cut], x[cut:], y[cut:])


def _mnist1d() -> Arrays:
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ImportError:
        raise MissingExtra("the data set mnist1d needs its package: pip install mnist1d") from None
    made = make_dataset(get_dataset_args())  # seeded: the same samples each time
    x, x_test = (made[name][:, None].astype(np.float32) for name in ("x", "x_test"))
    return split(x, made["y"], x_test, made["y_test"])


_SETS: dict[str, Callable[[], Arrays]] = {"digits": _digits, "mnist1d": _mnist1d}
