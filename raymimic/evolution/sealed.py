"""Predictions on the test set, kept unscored until the end.

A candidate's last epoch predicts the test inputs, too; nobody who selects has their labels. For the
front alone they are scored, once, when the evolution is over.
"""

from __future__ import annotations

import base64
import zlib

import numpy as np

from raymimic.errors import ProgramError
from raymimic.evolution.engine import Evolution


def seal(predictions: np.ndarray) -> str:
    """Predicted classes (below 65,536) as a short text for a result."""
    return base64.b85encode(zlib.compress(predictions.astype("<u2").tobytes())).decode()


def unseal(text: str) -> np.ndarray:
    """Read back `seal`."""
    return np.frombuffer(zlib.decompress(base64.b85decode(text)), "<u2").astype(np.int64)


def test_front(evolution: Evolution, y_test: np.ndarray) -> dict[int, float]:
    """Test accuracy of each individual of the front that was trained to its end.

    Reads the test labels; call it once, when nothing more will be chosen. Raises `ProgramError`
    for labels that are not those of the task's test inputs.
    """
    scores = {}
    for one in evolution.state.front():
        if one.test_predictions is None:
            continue
        predicted = unseal(one.test_predictions)
        if len(predicted) != len(y_test):
            raise ProgramError(
                f"y_test must have a label for each of the {len(predicted)} test inputs, got "
                f"{len(y_test)}"
            )
        scores[one.id] = float((predicted == y_test).mean())
    evolution.note_test(scores)
    return scores
