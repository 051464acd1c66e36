"""The optimizers that `optimizers.py` checks: all of `torch.optim`, and libraries that are here."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn, optim

_SETTINGS: dict[str, dict[str, Any]] = {
    "ranger21": {"num_iterations": 100},
    "sara": {"lr": 1e-2, "threshold": 0.2},  # its defaults train no weight of this model
}

_NO_FIT = frozenset(
    # They need a model's layers, an outer loop or other arguments than parameters and a rate.
    ("lomo", "adalomo", "alig", "bsam", "distributedmuon", "demo", "emozeal", "spectralsphere")
)


@dataclass(frozen=True)
class Make:
    """How to make a tiny model and its optimizers; ``closure`` is what a step of it takes."""

    name: str
    optimizers: Callable[[nn.Module], list[Any]]
    model: Callable[[], nn.Module]
    closure: Literal["", "closure", "graph"] = ""


def _dense() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def _sparse() -> nn.Module:
    return nn.Sequential(nn.Embedding(10, 4, sparse=True))


def _wide() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 1200), nn.Tanh(), nn.Linear(1200, 4))


def _one(kind: Callable[..., Any], **settings: Any) -> Callable[[nn.Module], list[Any]]:
    return lambda model: [kind(model.parameters(), **settings)]


def catalog() -> Iterator[Make]:
    """Everything that is installed here, `torch.optim` first."""
    yield from _of_torch()
    for package in ("prodigyopt", "schedulefree", "lion_pytorch"):
        if importlib.util.find_spec(package) is not None:
            yield from _SMALL[package](importlib.import_module(package))
    if importlib.util.find_spec("bitsandbytes") is not None:
        yield from _of_bitsandbytes()
    if importlib.util.find_spec("pytorch_optimizer") is not None:
        yield from _of_pytorch_optimizer()
    if importlib.util.find_spec("torch_optimizer") is not None:
        library = importlib.import_module("torch_optimizer")
        for name in ("AccSGD", "AdaMod", "QHM", "SWATS", "DiffGrad", "Yogi", "MADGRAD"):
            kind = getattr(library, name, None)
            if kind is not None:
                yield Make(f"torch_optimizer {name}", _one(kind, lr=1e-2), _dense)


def _of_torch() -> Iterator[Make]:
    for name in sorted(vars(optim)):
        kind = getattr(optim, name)
        if not (isinstance(kind, type) and issubclass(kind, optim.Optimizer)):
            continue
        if name in ("Optimizer", "Muon"):
            continue
        model = _sparse if name == "SparseAdam" else _dense
        closure: Literal["", "closure"] = "closure" if name == "LBFGS" else ""
        settings = {"max_iter": 3} if name == "LBFGS" else {}
        yield Make(name, _one(kind, lr=1e-2, **settings), model, closure)
    yield Make("Adam, foreach", _one(optim.Adam, lr=1e-2, foreach=True), _dense)
    yield Make("AdamW, fused", _one(optim.AdamW, lr=1e-2, fused=True), _dense)
    yield Make(
        "Adam, rate a tensor", lambda m: [optim.Adam(m.parameters(), torch.tensor(1e-2))], _dense
    )
    if hasattr(optim, "Muon"):
        yield Make("[Muon, AdamW], a list", _muon_and_adamw, _dense)


def _muon_and_adamw(model: nn.Module) -> list[Any]:
    every = list(model.parameters())
    matrices, rest = [p for p in every if p.ndim == 2], [p for p in every if p.ndim != 2]
    return [optim.Muon(matrices, lr=1e-2), optim.AdamW(rest, lr=1e-2)]


_SMALL: dict[str, Callable[[Any], list[Make]]] = {
    "prodigyopt": lambda library: [Make("prodigyopt Prodigy", _one(library.Prodigy), _dense)],
    "schedulefree": lambda library: [
        Make(f"schedulefree {name}", _one(getattr(library, name), lr=1e-2), _dense)
        for name in ("AdamWScheduleFree", "SGDScheduleFree", "RAdamScheduleFree")
    ],
    "lion_pytorch": lambda library: [
        Make("lion_pytorch Lion", _one(library.Lion, lr=1e-3), _dense)
    ],
}


def _of_bitsandbytes() -> Iterator[Make]:
    """On a model wide enough (4,096 values a tensor) for the state to be kept in 8 bits."""
    kinds = vars(importlib.import_module("bitsandbytes").optim)
    for name, kind in sorted(kinds.items()):
        if isinstance(kind, type) and issubclass(kind, optim.Optimizer):
            momentum = {"momentum": 0.9} if name.startswith(("SGD", "LARS")) else {}
            yield Make(f"bitsandbytes {name}", _one(kind, lr=1e-3, **momentum), _wide)


def _of_pytorch_optimizer() -> Iterator[Make]:
    library = importlib.import_module("pytorch_optimizer")
    for name in sorted(set(library.get_supported_optimizers()) - _NO_FIT):
        kind = library.load_optimizer(name)
        if kind.__module__.startswith("pytorch_optimizer"):
            graph = name in ("sophiah", "adahessian")
            closure: Literal["", "graph"] = "graph" if graph else ""
            settings = _SETTINGS.get(name, {})
            yield Make(
                f"pytorch_optimizer {kind.__name__}", _one(kind, **settings), _dense, closure
            )
    yield Make(
        "pytorch_optimizer Lookahead(AdamW)",
        lambda m: [library.Lookahead(optim.AdamW(m.parameters(), lr=1e-2), k=3)],
        _dense,
    )
    yield Make(
        "pytorch_optimizer SAM(SGD)",
        lambda m: [library.SAM(m.parameters(), base_optimizer=optim.SGD, lr=1e-2, momentum=0.9)],
        _dense,
        "closure",
    )
