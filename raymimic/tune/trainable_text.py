"""What a trainable says of itself: its name and the first lines of its docstring."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from raymimic.foreign import without_secrets

_LINES, _CHARS = 10, 800
_WRAPPERS = 5  # as deep as people wrap: parameters, resources, a partial


def describe_trainable(trainable: Any) -> str:
    """Give its name and, below, at most ten lines of its own docstring, without keys.

    What `tune.with_parameters`, `tune.with_resources` and `functools.partial` wrapped is seen
    through. Empty for what has no name of its own (a name registered with Tune, a trainer of Ray).

    >>> def train(config):
    ...     "Train a small CNN on CIFAR-10."
    >>> describe_trainable(train)
    'train\\nTrain a small CNN on CIFAR-10.'
    """
    for _ in range(_WRAPPERS):
        inner = _inside(trainable)
        if inner is None:
            break
        trainable = inner
    named = _own(trainable if hasattr(trainable, "__name__") else type(trainable))
    if named is None:
        return ""
    lines = [named.__name__, *inspect.cleandoc(named.__doc__ or "").splitlines()[:_LINES]]
    return without_secrets("\n".join(lines)).strip()[:_CHARS]


def _inside(trainable: Any) -> Any:
    """What a wrapper calls, None where there is none."""
    if isinstance(trainable, functools.partial):
        return trainable.func
    if inspect.isfunction(trainable):
        if hasattr(trainable, "__wrapped__"):
            return trainable.__wrapped__
        if _is_rays(trainable):  # Tune's wrappers keep neither docstring nor __wrapped__
            held = inspect.getclosurevars(trainable).nonlocals.values()
            return next((one for one in held if callable(one) and not _is_rays(one)), None)
    return None


def _own(named: Any) -> Any:
    """The function, or of a class the nearest that is the user's; None where all are Ray's."""
    above = inspect.getmro(named) if inspect.isclass(named) else (named,)
    return next((one for one in above if not _is_rays(one)), None)


def _is_rays(named: Any) -> bool:
    module = getattr(named, "__module__", None) or ""
    return module in ("ray", "builtins") or module.startswith("ray.")
