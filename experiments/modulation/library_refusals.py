"""What cannot be steered in libraries, and the words with which a `Modulator` says so."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator

import torch
from torch import nn

from raymimic import Modulator


def said() -> Iterator[tuple[str, str]]:
    """Name and words of each refusal; "NOT REFUSED" where a `Modulator` was built."""
    for name, build in _CASES.items():
        try:
            Modulator(*build(), llm="none")
        except ValueError as refusal:
            yield name, str(refusal)
        else:
            yield name, "NOT REFUSED"


def _sharded() -> tuple[nn.Module, torch.optim.Optimizer]:
    from torch.distributed.fsdp import fully_shard

    with tempfile.NamedTemporaryFile() as meeting:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{meeting.name}_fsdp", rank=0, world_size=1
        )
        mesh = torch.distributed.init_device_mesh("cpu", (1,))
        model: nn.Module = fully_shard(nn.Linear(4, 4), mesh=mesh)
        optimizer = torch.optim.AdamW(model.parameters())
        torch.distributed.destroy_process_group()
    return model, optimizer


def _lazy() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(nn.LazyLinear(4))
    return model, torch.optim.AdamW(model.parameters())


def _on_meta() -> tuple[nn.Module, torch.optim.Optimizer]:
    with torch.device("meta"):
        model = nn.Linear(4, 4)
    return model, torch.optim.AdamW(model.parameters())


def _eight_bits() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(4, 4)
    model.weight = nn.Parameter(model.weight.detach().to(torch.float8_e4m3fn))
    return model, torch.optim.SGD([model.weight])


def _frozen() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Linear(4, 4).requires_grad_(False)
    return model, torch.optim.AdamW(model.parameters())


_CASES: dict[str, Callable[[], tuple[nn.Module, torch.optim.Optimizer]]] = {
    "torch fully_shard (FSDP2)": _sharded,
    "a lazy module before its first batch": _lazy,
    "a model on the meta device": _on_meta,
    "weights trained in float8": _eight_bits,
    "a model whose parameters are all frozen": _frozen,
}
