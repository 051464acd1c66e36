"""Calls a candidate's function on named arrays: the part that runs confined."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from raymimic.evolution.sandbox.arrays import SEPARATOR, write_arrays
from raymimic.evolution.sandbox.training import load


def call(source: str, function: str, data: Mapping[str, np.ndarray], seed: int, out: Path) -> None:
    """Call ``function`` with the data as keyword arguments; write the tensors that it returns.

    "base//w" is the tensor "w" of the mapping ``base``, "vectors//m//w" lies one mapping deeper.
    Raises TypeError unless it returns a mapping from names to tensors.
    """
    torch.manual_seed(seed)
    given: dict[str, dict[str, object]] = {}
    for name, array in data.items():
        *path, last = name.split(SEPARATOR)
        where: dict[str, object] = given  # type: ignore[assignment]
        for part in path:
            where = where.setdefault(part, {})  # type: ignore[assignment]
        where[last] = torch.from_numpy(array.copy())
    with torch.no_grad():
        made = load(source)[function](**given)
    if not isinstance(made, Mapping):
        raise TypeError(f"{function} must return a dict of tensors, got {type(made).__name__}")
    arrays = {}
    for name, tensor in made.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise TypeError(
                f"{function} must return tensors by name, got {type(tensor).__name__} for "
                f"{str(name)[:80]!r}"
            )
        arrays[name] = tensor.detach().float().numpy()
    write_arrays(out, arrays)
