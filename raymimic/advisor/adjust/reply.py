"""From a model's text to one adjustment of a running training. A bad item costs only itself."""

from __future__ import annotations

from typing import Any

from raymimic.advisor.adjust.evidence import Adjustment, Anchor, Operation, RunEvidence
from raymimic.advisor.adjust.operations import OPERATIONS, RAW_LIMIT
from raymimic.advisor.text import Fault, capped, finite_number, plain, sentence, show_value
from raymimic.llm import read_reply

MOST_OPERATIONS = 32
"""More in one reply are dropped."""

_KEYS = ("knobs", "alpha", "operations", "rationale", "review")
_MOST_VALUES = RAW_LIMIT - 1


def read_adjustment(
    text: str, evidence: RunEvidence, repairs: list[str] | None = None
) -> tuple[Adjustment, tuple[str, ...]]:
    """Return what a reply asks for and what of it was dropped, in words.

    Knobs and alpha are finite but may lie outside their range, and a delta's values are finite but
    may not fit the parameter: whoever applies them checks that.
    What had to be mended in the reply is added to ``repairs``. Raises `BadReply` if no JSON object
    can be made out in the text.
    """
    data, mended = read_reply(text, _KEYS)
    if repairs is not None:
        repairs += mended
    drops: list[str] = []
    adjustment = Adjustment(
        knobs=_knobs(data.get("knobs"), evidence, drops),
        alpha=_alpha(data.get("alpha"), drops),
        operations=_operations(data.get("operations"), evidence, drops),
        rationale=sentence(data.get("rationale")),
        review=sentence(data.get("review")),
        source="llm",
    )
    return adjustment, capped(drops)


def _alpha(value: Any, drops: list[str]) -> float | None:
    """An alpha that cannot be read is 0, since none at all would mean the largest there is."""
    if value is None:
        return None
    try:
        return finite_number(value)
    except Fault as fault:
        drops.append(f"alpha: {fault}; taken as 0")
        return 0.0


def _knobs(given: Any, evidence: RunEvidence, drops: list[str]) -> dict[str, float]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        drops.append(f"knobs: must be an object, got {show_value(given)}")
        return {}
    found: dict[str, float] = {}
    for name, value in given.items():
        if value is None:  # null leaves a knob as it is
            continue
        if evidence.knob(name) is None:
            drops.append(f"knob {show_value(name)}: there is no such knob")
            continue
        try:
            found[name] = finite_number(value)
        except Fault as fault:
            drops.append(f"knob {show_value(name)}: {fault}")
    return found


def _operations(given: Any, evidence: RunEvidence, drops: list[str]) -> tuple[Operation, ...]:
    if given is None:
        return ()
    if not isinstance(given, list):
        drops.append(f"operations: must be a list, got {show_value(given)}")
        return ()
    if len(given) > MOST_OPERATIONS:
        drops.append(f"{len(given) - MOST_OPERATIONS} operations beyond the {MOST_OPERATIONS} read")
    found: list[Operation] = []
    for index, item in enumerate(given[:MOST_OPERATIONS], start=1):
        try:
            found.append(_operation(item, evidence))
        except Fault as fault:
            drops.append(f"operation {index}: {fault}")
    return tuple(found)


def _operation(item: Any, evidence: RunEvidence) -> Operation:
    """Read one operation; fields that its kind does not have are not looked at."""
    if not isinstance(item, dict):
        raise Fault(f"must be an object, got {show_value(item)}")
    name = item.get("kind")
    kind = OPERATIONS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise Fault(f"kind must be one of {', '.join(OPERATIONS)}, got {show_value(name)}")
    fields: dict[str, Any] = {"kind": name, "params": _params(item.get("params"))}
    if kind.bounds is not None:
        fields["amount"] = _within(item.get("amount"), kind.bounds, f"amount of {name}")
    if kind.needs == "toward":
        fields["toward"] = _anchor(item.get("toward"), evidence)
    if kind.needs == "values":
        fields["values"] = _values(item.get("values"))
    return Operation(**fields)


def _params(value: Any) -> str:
    if not isinstance(value, str) or not value or plain(value) != value:
        raise Fault(f"params must be a parameter's name or a pattern, got {show_value(value)}")
    return value


def _anchor(value: Any, evidence: RunEvidence) -> Anchor:
    wanted = "best" if value is None else value
    for anchor in evidence.anchors:
        if anchor == wanted:
            return anchor
    there = ", ".join(evidence.anchors) or "no anchor"
    raise Fault(f"toward must name an anchor that there is ({there}), got {show_value(wanted)}")


def _values(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Fault(f"values must be nested lists of numbers, got {show_value(value)}")
    nested = _nested(value)
    size = _size(nested)
    if not 0 < size <= _MOST_VALUES:
        raise Fault(f"values must hold 1 to {_MOST_VALUES} numbers, got {size}")
    return nested


def _nested(value: list[Any]) -> list[Any]:
    return [_nested(item) if isinstance(item, list) else finite_number(item) for item in value]


def _size(nested: list[Any]) -> int:
    return sum(_size(item) if isinstance(item, list) else 1 for item in nested)


def _within(value: Any, bounds: tuple[float, float], what: str) -> float:
    number, (low, high) = finite_number(value), bounds
    if not low <= number <= high:
        raise Fault(f"{what} must be {low:g} to {high:g}, got {show_value(value)}")
    return number
