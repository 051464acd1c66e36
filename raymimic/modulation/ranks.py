"""Distributed training: rank 0 decides, every rank does the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def _several() -> bool:
    return bool(dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1)


def leads() -> bool:
    """Whether this process decides: rank 0, or the only one."""
    return not _several() or dist.get_rank() == 0


def shared(decision: T) -> T:
    """Give rank 0's object on every rank. All ranks must call it."""
    if not _several():
        return decision
    box: list[Any] = [decision if leads() else None]
    dist.broadcast_object_list(box, src=0)
    found: T = box[0]
    return found


def shared_tensors(mine: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give rank 0's tensors on every rank; ``like`` holds one of the same shape by each name."""
    if not _several():
        return dict(mine)
    found = {}
    for name in shared(list(mine)):
        found[name] = mine[name].contiguous() if name in mine else torch.empty_like(like[name])
        dist.broadcast(found[name], src=0)
    return found
