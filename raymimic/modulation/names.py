"""A model's parameters by the names that a user and an advisor know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

# Wrappers put these in front of every name: DistributedDataParallel and torch.compile.
_WRAPPERS = ("module.", "_orig_mod.")


def plain_name(name: str) -> str:
    """Return a parameter's name without what wrappers put in front of it."""
    while name.startswith(_WRAPPERS):
        name = name.partition(".")[2]
    return name


def trained_parameters(model: nn.Module, moved: Iterable[Tensor]) -> dict[str, Tensor]:
    """Give the model's parameters among ``moved`` that are trained, by plain name.

    Those with ``requires_grad=False`` are not, whether an optimizer holds them or not.
    """
    held = {id(parameter) for parameter in moved}
    return {
        plain_name(name): parameter
        for name, parameter in model.named_parameters()
        if id(parameter) in held and parameter.requires_grad
    }


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """Give the names equal to ``pattern`` or, if none is, those that fit it as a shell pattern."""
    names = list(names)
    wanted = plain_name(pattern)
    return [wanted] if wanted in names else [n for n in names if fnmatchcase(n, wanted)]


def owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """Give the module that holds the parameter of that plain name, and its name there."""
    path, _, leaf = name.rpartition(".")
    for module_name, module in model.named_modules():
        if plain_name(f"{module_name}.").rstrip(".") == path and leaf in module._parameters:
            return module, leaf
    raise KeyError(name)


def norms_of(tensors: Sequence[Tensor]) -> list[float]:
    """Euclidean norm of each tensor, dense, sparse or complex. Waits for the device once."""
    if not tensors:
        return []
    sizes = [torch.linalg.vector_norm(_wide(tensor.detach())).float() for tensor in tensors]
    found: list[float] = torch.stack([size.to(sizes[0].device) for size in sizes]).tolist()
    return found


def _wide(tensor: Tensor) -> Tensor:
    """Dense, and of no less than 32 bits."""
    if tensor.is_sparse:
        tensor = tensor.coalesce().values()
    return torch.view_as_real(tensor).float() if tensor.is_complex() else tensor.float()
