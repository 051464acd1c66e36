"""What cannot be steered, said when a `Modulator` is built and not at the worst epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from raymimic.foreign import error_text

_SHARDING = "FullyShardedDataParallel"
"""Where it keeps the original parameters nothing in their type tells of it."""

_SHARDED = (
    "sharded (FSDP, tensor parallel, ZeRO-3): no rank holds all of it, so a rollback is not "
    "possible; use DistributedDataParallel"
)


def check_type(model: object) -> None:
    """Raise ValueError for what is no module."""
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"model must be a torch.nn.Module, got {type(model).__name__}; put several that one "
            "optimizer trains into torch.nn.ModuleList([...])"
        )


def check(model: nn.Module, trained: Mapping[str, Tensor], moved: Sequence[Tensor]) -> None:
    """Raise ValueError, with the cure, where model and optimizer cannot be steered."""
    _check_states(model)
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


def _check_states(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if type(module).get_extra_state is nn.Module.get_extra_state:
            continue
        try:
            module.get_extra_state()
        except Exception as error:  # noqa: BLE001 - the user's own code
            raise ValueError(
                f"get_extra_state() of {name or 'the model'} ({type(module).__name__}) raises "
                f"{error_text(error)}: what it keeps could not be put back; let it return its state"
            ) from None


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
