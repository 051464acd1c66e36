"""One running training as the model reads it: curve, knobs, layers, and past adjustments."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from raymimic.advisor.adjust.evidence import LayerState, PastAdjustment, RunEvidence
from raymimic.advisor.base import TrialRecord
from raymimic.advisor.curve_text import column_lines, number
from raymimic.advisor.text import fit
from raymimic.curves.series import read_series
from raymimic.foreign import name_text, quote, told_of

# Characters for each part; together with titles and task about 3,000 tokens at 3.5 each.
_STANDING_CHARS = 800
_CURVE_CHARS = 1_700
_LAYERS_CHARS = 2_700
_PAST_CHARS = 2_400

_POINTS = 16
_LAYERS_SHOWN, _GROUPS_SHOWN = 40, 6
_COLUMNS = 6
_CLASSES_SHOWN, _WEAKEST_SHOWN = 20, 12
_PAST_SHOWN = 8


def standing_lines(evidence: RunEvidence) -> list[str]:
    """The metric's best and last value, its noise, and the diagnosis."""
    series = read_series(evidence.curve, evidence.metric, evidence.mode == "min")
    metric, names = name_text(evidence.metric), [evidence.metric, *evidence.curve.columns]
    diagnosis = f"diagnosis: {told_of(names, evidence.diagnosis.text)}"
    if not len(series):
        return fit([f"No finite {metric} has come yet.", diagnosis], _STANDING_CHARS)
    best, best_epoch = float(series.raw[series.best]), int(series.epochs[series.best])
    last, last_epoch = float(series.raw[-1]), int(series.epochs[-1])
    text = f"best {metric} {number(best)} at epoch {best_epoch}"
    text += "" if best_epoch == last_epoch else f", {number(last)} at epoch {last_epoch}"
    if evidence.noise is None:
        text += "; too few epochs to tell its noise"
    else:
        text += f"; noise {evidence.noise:.2g} (standard deviation from epoch to epoch)"
    return fit([text, diagnosis], _STANDING_CHARS)


def run_curve_lines(evidence: RunEvidence) -> list[str]:
    """Every column over the epochs, thinned, the metric first; of many columns the first."""
    record = TrialRecord(
        evidence.run_id, {}, "running", "user", curve=evidence.curve, diagnosis=evidence.diagnosis
    )
    names = list(dict.fromkeys([evidence.metric, *evidence.curve.columns]))[:_COLUMNS]
    return fit(column_lines(record, evidence.metric, names, _POINTS), _CURVE_CHARS)


def class_lines(accuracies: Sequence[float]) -> list[str]:
    """Accuracy by class index; of many classes the weakest."""
    if not accuracies:
        return []
    mean = f"mean {number(math.fsum(accuracies) / len(accuracies))}"
    order = range(len(accuracies))
    if len(accuracies) <= _CLASSES_SHOWN:
        return [f"{mean}; class:accuracy {_classes(order, accuracies)}"]
    weakest = sorted(order, key=lambda index: accuracies[index])[:_WEAKEST_SHOWN]
    return [f"{mean}; the weakest of {len(order)} {_classes(weakest, accuracies)}"]


def _classes(indices: Iterable[int], accuracies: Sequence[float]) -> str:
    return " ".join(f"{index}:{accuracies[index]:.3g}" for index in indices)


def layer_lines(layers: Sequence[LayerState]) -> list[str]:
    """One line a parameter in the model's order; of many the extreme ones and where the rest is."""
    if not layers:
        return []
    order = {layer.name: index for index, layer in enumerate(layers)}
    picked = layers if len(layers) <= _LAYERS_SHOWN else _telling(layers)
    shown = picked[: len(fit(map(_layer, picked), _LAYERS_CHARS))]
    names = {layer.name for layer in shown}
    lines = [_layer(layer) for layer in sorted(shown, key=lambda layer: order[layer.name])]
    lines = fit(lines, _LAYERS_CHARS)  # one line longer than all the room is cut
    rest = [layer.name for layer in layers if layer.name not in names]
    return [*lines, f"(and {len(rest)} more: {_groups(rest)})"] if rest else lines


def _layer(layer: LayerState) -> str:
    shape = "x".join(map(str, layer.shape)) or "scalar"
    text = f"{name_text(layer.name)} {shape} norm {layer.norm:.3g}"
    if layer.grad_norm is not None:
        text += f" grad {layer.grad_norm:.3g}"
    if layer.update_ratio is not None:
        text += f" moved {layer.update_ratio:.2g}"
    if layer.lr_gain != 1.0:
        text += f" lr_gain {layer.lr_gain:.3g}" if layer.lr_gain else " frozen"
    return text


def _telling(layers: Sequence[LayerState]) -> list[LayerState]:
    """Those that are treated specially, move or pull most or least, are large, or come last."""
    steep = sorted(layers, key=lambda layer: _size(layer.grad_norm), reverse=True)
    moved = sorted(layers, key=lambda layer: _size(layer.update_ratio), reverse=True)
    large = sorted(layers, key=lambda layer: math.prod(layer.shape), reverse=True)
    still = [layer for layer in reversed(moved) if layer.update_ratio is not None]
    special = [layer for layer in layers if layer.lr_gain != 1.0]
    rows = zip_longest(special, reversed(layers), moved, large, steep, still)
    mixed = {layer.name: layer for row in rows for layer in row if layer is not None}
    return list(mixed.values())[:_LAYERS_SHOWN]


def _size(value: float | None) -> float:
    """A NaN is as telling as infinity, an unknown number tells nothing."""
    if value is None:
        return -1.0
    return math.inf if math.isnan(value) else value


def _groups(names: list[str]) -> str:
    """Patterns for the names below what they have in common, with their numbers."""
    paths = [name.split(".") for name in names]
    depth = 1
    while len({path[depth - 1] for path in paths}) == 1 and min(map(len, paths)) > depth:
        depth += 1
    heads = (".".join(path[:depth]) + (".*" if len(path) > depth else "") for path in paths)
    counts = Counter(heads).most_common()
    text = ", ".join(f"{name_text(head[:60])} {count}" for head, count in counts[:_GROUPS_SHOWN])
    return text + (", ..." if len(counts) > _GROUPS_SHOWN else "")


def record_line(evidence: RunEvidence) -> list[str]:
    """How many past moves were judged better and worse, and how many were rolled back."""
    verdicts = Counter(past.verdict for past in evidence.history)
    judged = verdicts["better"] + verdicts["worse"] + verdicts["within noise"]
    if not judged:
        return []
    undone = sum(past.rolled_back for past in evidence.history)
    return [
        f"Of {judged} judged moves {verdicts['better']} made {name_text(evidence.metric)} better "
        f"than its own pace (hit rate {verdicts['better'] / judged:.0%}), {verdicts['worse']} "
        f"worse; {undone} rolled back."
    ]


def past_lines(evidence: RunEvidence) -> list[str]:
    """The last adjustments with what came of them, newest last; older ones are counted."""
    history = evidence.history
    newest_first = reversed(history[-_PAST_SHOWN:])
    blocks = fit((_past(past, evidence.metric) for past in newest_first), _PAST_CHARS)
    older = len(history) - len(blocks)
    return ([f"({older} older not shown)"] if older else []) + blocks[::-1]


def _past(past: PastAdjustment, metric: str) -> str:
    who = "you" if past.adjustment.source == "llm" else past.adjustment.source
    reason = quote(past.adjustment.rationale, 200)
    lines = [f"after epoch {past.epoch} ({who}, on epochs to {past.asked_epoch}): {reason}"]
    applied = quote("; ".join(past.applied), 200) if past.applied else "nothing"
    lines.append(f"  applied: {applied}")
    if past.dropped:
        lines.append(f"  dropped: {quote('; '.join(past.dropped), 150)}")
    if past.after is None and past.verdict == "unknown":
        result = "no outcome yet"
    else:
        after = "not finite" if past.after is None else number(past.after)
        result = f"{name_text(metric)} {number(past.before)} -> {after}"
        if past.expected is not None:
            result += f" (expected without it {number(past.expected)}, luck {number(past.margin)})"
        result += f": {past.verdict}"
    lines.append(f"  {result}{', rolled back' if past.rolled_back else ''}")
    if past.review:
        lines.append(f"  your review: {quote(past.review, 200)}")
    return "\n".join(lines)
