"""Copies of tensors and of whatever holds them, and how they are put back."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer

Copies = dict[str, Tensor]

_COMPRESSED = (torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc)


def copied(tensors: Mapping[str, Tensor], device: str | None = None) -> Copies:
    """Detached copies, on another device if given."""
    return {
        name: tensor.detach().to(device or tensor.device, copy=True)
        for name, tensor in tensors.items()
    }


def copy_of(value: Any) -> Any:
    """A copy that shares no tensor with ``value``; what cannot be copied is given as it is."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: copy_of(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(copy_of(entry) for entry in value)
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - an object of the user's: a handle, a lock, a generator
        return value


def put_back(kept: Any, present: Any = None) -> Any:
    """A copy of ``kept`` to stand where ``present`` stands, written into its tensor where it fits.

    What else refers to that tensor (a captured graph, an alias) then goes on with the old values.
    """
    if isinstance(kept, Tensor) and isinstance(present, Tensor) and _alike(kept, present):
        fill(present, kept)
        return present
    if isinstance(kept, dict):
        if not isinstance(present, dict):
            return copy_of(kept)
        entries = {key: put_back(entry, present.get(key)) for key, entry in kept.items()}
        present.clear()  # and not replaced: it may be of a kind of its own
        present.update(entries)
        return present
    return copy_of(kept)


@torch.no_grad()
def fill(tensor: Tensor, values: Tensor) -> None:
    """Write values into a tensor, in its own precision and on its own device."""
    tensor.detach().copy_(values)


def plain(value: Any) -> bool:
    """Whether it is numbers, text and tensors alone, in lists and dicts; no model's parameters."""
    if isinstance(value, dict):
        return all(plain(key) and plain(entry) for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return all(plain(entry) for entry in value)
    if isinstance(value, Tensor):
        return not isinstance(value, nn.Parameter)
    return value is None or isinstance(value, (bool, int, float, complex, str))


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether no value is NaN or infinite. Waits for the device once."""
    return not _any([~torch.isfinite(_readable(tensor)).all() for tensor in tensors])


def any_nan(value: Any) -> bool:
    """Whether a tensor or a number in it is NaN. Waits for the device once."""
    return _any([torch.isnan(_readable(tensor)).any() for tensor in _tensors(value)])


def is_broken_since(present: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> bool:
    """Whether a tensor of floating point is not finite that was finite before."""
    names = [n for n in present if n in before and present[n].is_floating_point()]
    bad = [name for name in names if not all_finite([present[name]])]
    return any(all_finite([before[name]]) for name in bad)


def values_of(tensor: Tensor) -> Tensor:
    """The values that a tensor holds as a dense one: of a sparse one, and of a nested one."""
    if tensor.is_nested:
        return torch.cat([part.reshape(-1) for part in tensor.unbind()])
    if tensor.layout == torch.sparse_coo:
        return tensor.coalesce().values()
    if tensor.layout != torch.strided:
        return tensor.values() if tensor.layout in _COMPRESSED else tensor.to_dense()
    return tensor.dequantize() if tensor.is_quantized else tensor


def fits(one: Tensor, other: Tensor) -> bool:
    """Whether they are of one shape; nested ones part by part."""
    if one.is_nested or other.is_nested:
        both = one.is_nested and other.is_nested
        return both and [p.shape for p in one.unbind()] == [p.shape for p in other.unbind()]
    return one.shape == other.shape


def holds_values(tensor: Tensor) -> bool:
    """Whether there is something to copy: not a lazy module's, nor on the meta device."""
    return not tensor.is_meta and not isinstance(tensor, UninitializedBuffer)


def _alike(one: Tensor, other: Tensor) -> bool:
    return fits(one, other) and (one.dtype, one.layout) == (other.dtype, other.layout)


def _any(found: Sequence[Tensor]) -> bool:
    if not found:
        return False
    return bool(torch.stack([one.to(found[0].device) for one in found]).any())


def _readable(tensor: Tensor) -> Tensor:
    """Its values, in a precision that `torch.isfinite` reads (it does not read float8)."""
    tensor = values_of(tensor.detach())
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() < 2 else tensor


def _tensors(value: Any) -> list[Tensor]:
    """The tensors of floating point in it, and its numbers as such."""
    if isinstance(value, Tensor):
        inexact = value.is_floating_point() or value.is_complex()
        return [value] if inexact and holds_values(value) else []
    if isinstance(value, float):
        return [torch.tensor(value)]
    entries = value.values() if isinstance(value, dict) else value
    return (
        [t for v in entries for t in _tensors(v)] if isinstance(value, (dict, list, tuple)) else []
    )
