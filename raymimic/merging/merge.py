"""Merge whole models that are in memory, and group by group whatever they lie in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from raymimic.errors import MergeError
from raymimic.merging.grouping import By, groups_of
from raymimic.merging.methods import Method

State = Mapping[str, torch.Tensor]
"""A model's tensors by name, as ``state_dict()`` gives them."""


def task_vectors(base: State, models: Mapping[str, State]) -> dict[str, dict[str, torch.Tensor]]:
    """Each model's weights less the base's, in float32; tensors of whole numbers are left out.

    Raises `MergeError` where a model lacks a tensor or has it in another shape.
    """
    floating = [name for name, tensor in base.items() if tensor.is_floating_point()]
    return {
        model: {name: _vector(base[name], state, name, model) for name in floating}
        for model, state in models.items()
    }


def merge_states(
    base: State, models: Mapping[str, State], method: Method, *, by: By = "tensor"
) -> dict[str, torch.Tensor]:
    """The base plus what ``method`` makes of the models, in the base's dtypes.

    What is no float (counters, indices) stays the base's. Raises `MergeError` as `task_vectors`.
    """
    merged = dict(base)
    floating = [name for name, tensor in base.items() if tensor.is_floating_point()]
    for group, names in groups_of(floating, by).items():
        merged |= merge_group(group, {name: base[name] for name in names}, models, method)
    return merged


def merge_group(
    group: str, base: State, models: Mapping[str, State], method: Method
) -> dict[str, torch.Tensor]:
    """Merge the tensors of one group, which ``method`` sees as one (flat, if there are several)."""
    if not models:
        raise MergeError("there must be at least one model beside the base, got none")
    vectors = [
        _joined([_vector(tensor, state, name, model) for name, tensor in base.items()])
        for model, state in models.items()
    ]
    start = _joined([tensor.float() for tensor in base.values()])
    gained = start + method(vectors, start, group)
    if len(base) == 1:
        ((name, tensor),) = base.items()
        return {name: gained.to(tensor.dtype)}
    parts = gained.split([tensor.numel() for tensor in base.values()])
    return {
        name: part.reshape(tensor.shape).to(tensor.dtype)
        for (name, tensor), part in zip(base.items(), parts, strict=True)
    }


def _vector(base: torch.Tensor, state: State, name: str, model: str) -> torch.Tensor:
    tensor = state.get(name)
    if tensor is None or tensor.shape != base.shape:
        found = "none" if tensor is None else tuple(tensor.shape)
        raise MergeError(
            f"model {model!r} must have the base's architecture: {name!r} must have the shape "
            f"{tuple(base.shape)}, got {found}"
        )
    return tensor.float() - base.float()


def _joined(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat([tensor.flatten() for tensor in tensors])
