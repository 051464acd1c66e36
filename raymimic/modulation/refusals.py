"""What cannot be steered, said when a `Modulator` is built and not at the worst epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

_SHARDING = "FullyShardedDataParallel"
"""Where it keeps the original parameters nothing in their type tells of it."""

_SHARDED = (
    "sharded (FSDP, tensor parallel, ZeRO-3): no rank holds all of it, so a rollback is not "
    "possible; use DistributedDataParallel"
)


def check(model: nn.Module, trained: Mapping[str, Tensor], moved: Sequence[Tensor]) -> None:
    """Raise ValueError, with the cure, where model and optimizer cannot be steered."""
    lazy = [name for name, p in model.named_parameters() if isinstance(p, UninitializedParameter)]
    if lazy:
        raise ValueError(
            f"{lazy[0]} of a lazy module has no values yet; pass one batch through the model first"
        )
    if not trained:
        raise ValueError(
            "the optimizer must hold trained parameters of the model, and holds none of them; "
            "build it from this model's parameters(), with requires_grad"
        )
    if any(type(module).__name__ == _SHARDING for module in model.modules()):
        raise ValueError(f"a module is wrapped in {_SHARDING}: its parameters are {_SHARDED}")
    for name, parameter in trained.items():
        reason = _not_steerable(parameter)
        if reason:
            raise ValueError(f"{name} {reason}")
    twice = len(moved) - len({id(parameter) for parameter in moved})
    if twice:
        raise ValueError(f"{twice} parameters are held by more than one of the optimizers; by one")


def _not_steerable(parameter: Tensor) -> str:
    if parameter.is_meta:
        return "is on the meta device and has no values; materialise the model first"
    if type(parameter).__name__ in ("DTensor", "FlatParameter") or hasattr(parameter, "ds_id"):
        return f"is {_SHARDED}"
    if not (parameter.is_floating_point() or parameter.is_complex()):
        return f"is trained in {parameter.dtype}, in which no share of an update can be taken"
    if parameter.element_size() < 2:
        return f"is trained in {parameter.dtype}; keep the trained weights in 16 bits or more"
    return ""
