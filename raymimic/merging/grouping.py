"""Which weights a method sees as one: each tensor alone, or all those of a layer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

By = Literal["tensor", "layer"]

_LAYER = re.compile(r"^(.*?\.\d+)(?:\.|$)|^(\d+)\.")


def groups_of(names: Iterable[str], by: By) -> dict[str, list[str]]:
    """Names of tensors under the name of their group, in the order in which they come.

    A layer is a name up to its first number ("model.layers.3"); other tensors stand alone.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        found = _LAYER.match(name) if by == "layer" else None
        groups.setdefault((found[1] or found[2]) if found else name, []).append(name)
    return groups
