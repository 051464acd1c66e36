"""From a model's text to one adjustment of a running training. A bad item costs only itself."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from raymimic.advisor.adjust.evidence import (
    AMOUNTS,
    RAW_LIMIT,
    Adjustment,
    Anchor,
    Operation,
    OperationKind,
    RunEvidence,
)
from raymimic.advisor.propose.reply import plain
from raymimic.llm import read_object

KINDS: tuple[OperationKind, ...] = get_args(OperationKind)

MOST_VALUES = RAW_LIMIT - 1
MOST_OPERATIONS = 32
"""More in one reply are dropped."""

_ALIASES = {"learning_rate": "lr"}
_OLDER_KNOBS = ("dropout", "learning_rate")  # knobs of the older JSON stand beside "alpha"
_DROPS_KEPT = 16
_SHOWN_CHARS = 40


class _Fault(Exception):
    """Why one item cannot be used, in words."""


def read_adjustment(text: str, evidence: RunEvidence) -> tuple[Adjustment, tuple[str, ...]]:
    """Return what a reply asks for and what of it was dropped, in words.

    Knobs and alpha are finite but may lie outside their range, and a delta's values are finite but
    may not fit the parameter: whoever applies them checks that. Also reads the older form
    {"dropout": ..., "learning_rate": ..., "alpha": ..., "weight_modulation": {name: values}}.
    Raises `BadReply` if the text is not one JSON object.
    """
    data = read_object(text)
    drops: list[str] = []
    adjustment = Adjustment(
        knobs=_knobs(data, evidence, drops),
        alpha=_alpha(data.get("alpha"), drops),
        operations=_operations(data, evidence, drops),
        rationale=_sentence(data.get("rationale")),
        review=_sentence(data.get("review")),
        source="llm",
    )
    if len(drops) > _DROPS_KEPT:
        drops[_DROPS_KEPT:] = [f"and {len(drops) - _DROPS_KEPT} more"]
    return adjustment, tuple(drops)


def _alpha(value: Any, drops: list[str]) -> float | None:
    """An alpha that cannot be read is 0, since none at all would mean the largest there is."""
    if value is None:
        return None
    try:
        return _number(value)
    except _Fault as fault:
        drops.append(f"alpha: {fault}; taken as 0")
        return 0.0


def _knobs(data: Mapping[str, Any], evidence: RunEvidence, drops: list[str]) -> dict[str, float]:
    given = data.get("knobs")
    entries: list[tuple[str, Any]] = []
    if isinstance(given, dict):
        entries += given.items()
    elif given is not None:
        drops.append(f"knobs: must be an object, got {_show(given)}")
    entries += [(name, data.get(name)) for name in _OLDER_KNOBS]
    found: dict[str, float] = {}
    for written, value in entries:
        if value is None:  # null leaves a knob as it is
            continue
        known = evidence.knob(written) is not None
        name = written if known else _ALIASES.get(written, written)
        label = f"knob {_show(written)}"
        if evidence.knob(name) is None:
            drops.append(f"{label}: there is no such knob")
        elif name in found:
            drops.append(f"{label}: given twice")
        else:
            try:
                found[name] = _number(value)
            except _Fault as fault:
                drops.append(f"{label}: {fault}")
    return found


def _operations(
    data: Mapping[str, Any], evidence: RunEvidence, drops: list[str]
) -> tuple[Operation, ...]:
    items = list(_items(data, drops))
    if len(items) > MOST_OPERATIONS:
        drops.append(f"{len(items) - MOST_OPERATIONS} operations beyond the {MOST_OPERATIONS} read")
    found: list[Operation] = []
    for label, item in items[:MOST_OPERATIONS]:
        try:
            found.append(_operation(item, evidence))
        except _Fault as fault:
            drops.append(f"{label}: {fault}")
    return tuple(found)


def _items(data: Mapping[str, Any], drops: list[str]) -> Iterator[tuple[str, Any]]:
    """Every operation with what to call it; the older form's in the words of the new one."""
    given, older = data.get("operations"), data.get("weight_modulation")
    if isinstance(given, list):
        yield from ((f"operation {index}", item) for index, item in enumerate(given, start=1))
    elif given is not None:
        drops.append(f"operations: must be a list, got {_show(given)}")
    if isinstance(older, dict):
        for name, values in older.items():
            if values is not None:
                item = {"kind": "delta", "params": name, "values": values}
                yield f"weight_modulation {_show(name)}", item
    elif older is not None:
        drops.append(f"weight_modulation: must be an object, got {_show(older)}")


def _operation(item: Any, evidence: RunEvidence) -> Operation:
    """Read one operation; fields that its kind does not have are not looked at."""
    if not isinstance(item, dict):
        raise _Fault(f"must be an object, got {_show(item)}")
    kind = next((known for known in KINDS if known == item.get("kind")), None)
    if kind is None:
        raise _Fault(f"kind must be one of {', '.join(KINDS)}, got {_show(item.get('kind'))}")
    params = _params(item.get("params"))
    if kind == "delta":
        return Operation(kind, params, values=_values(item.get("values")))
    if kind not in AMOUNTS:
        return Operation(kind, params)
    amount = _within(item.get("amount"), AMOUNTS[kind], f"amount of {kind}")
    if kind == "pull":
        return Operation(kind, params, amount, toward=_anchor(item.get("toward"), evidence))
    return Operation(kind, params, amount)


def _params(value: Any) -> str:
    if not isinstance(value, str) or not value or plain(value) != value:
        raise _Fault(f"params must be a parameter's name or a pattern, got {_show(value)}")
    return value


def _anchor(value: Any, evidence: RunEvidence) -> Anchor:
    wanted = "best" if value is None else value
    for anchor in evidence.anchors:
        if anchor == wanted:
            return anchor
    there = ", ".join(evidence.anchors) or "no anchor"
    raise _Fault(f"toward must name an anchor that there is ({there}), got {_show(wanted)}")


def _values(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Fault(f"values must be nested lists of numbers, got {_show(value)}")
    nested = _nested(value)
    size = _size(nested)
    if not 0 < size <= MOST_VALUES:
        raise _Fault(f"values must hold 1 to {MOST_VALUES} numbers, got {size}")
    return nested


def _nested(value: list[Any]) -> list[Any]:
    return [_nested(item) if isinstance(item, list) else _number(item) for item in value]


def _size(nested: list[Any]) -> int:
    return sum(_size(item) if isinstance(item, list) else 1 for item in nested)


def _within(value: Any, bounds: tuple[float, float], what: str) -> float:
    number, (low, high) = _number(value), bounds
    if not low <= number <= high:
        raise _Fault(f"{what} must be {low:g} to {high:g}, got {_show(value)}")
    return number


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise _Fault(f"must be a finite number, got {_show(value)}")
    return float(value)


def _sentence(value: Any) -> str:
    return plain(value) if isinstance(value, str) else ""


def _show(value: Any) -> str:
    """The value as JSON in one short plain line."""
    text = plain(json.dumps(value, ensure_ascii=False)[: 10 * _SHOWN_CHARS])
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
