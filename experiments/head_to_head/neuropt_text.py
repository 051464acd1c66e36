"""What neuropt's loop tells its model, and how it reads the answer: from the described behaviour.

Everything here is a description put into code afresh. Kept on purpose, because they are what is
measured: four decimals, only the last 20 trials and 8 curves, labels of five parameters, two
diagnoses by absolute thresholds, and one bad configuration that costs the whole batch.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from raymimic.records import Config
from raymimic.space import Choice, SearchSpace

SHOWN_TRIALS = 20
SHOWN_CURVES = 8
_LABEL_PARAMETERS = 5
_OVERFIT_GAP = 0.3  # nats, whatever the loss
_UNDERFIT_LOSS = 1.5  # nats, whatever the loss

CONTEXT = """\
You are a machine-learning researcher who searches hyperparameters and architectures. Study the
trials so far and propose better configurations.

How to read the training curves, which are the main signal:
- training loss falls, validation loss rises: overfitting; regularise more, shrink the model, raise
  weight decay
- training loss stays high: underfitting; more capacity, less regularisation, a higher learning rate
- both fall smoothly: a good fit; stay near it and refine
- the loss oscillates or explodes: the learning rate is too high; divide it by 2 to 5
- it falls very slowly: the learning rate is too low; raise it
- both are flat and close together: the capacity is used up; try another architecture

Strategy: explore broadly at first, exploit what works once patterns show, and always include one
configuration that tries something new."""


@dataclass
class Trial:
    """A finished trial as the loop keeps it; ``score`` is inf or -inf when it failed."""

    config: Config
    score: float
    status: str
    curves: dict[str, list[float]] = field(default_factory=dict)

    @property
    def accuracy(self) -> float | None:
        """The last validation accuracy, where one was reported."""
        return self.curves["val_accuracy"][-1] if self.curves.get("val_accuracy") else None


def question(
    space: SearchSpace, mode: str, trials: Sequence[Trial], best: Trial | None, batch: int
) -> str:
    """Return the question: space, direction, best, table, curves, signals, task."""
    better = "lower" if mode == "min" else "higher"
    parts = [_space_text(space), f"Score direction: {better} is better"]
    if best is not None:
        parts.append(f"## Best result so far\n{_result(best)}\nConfig: {_json(best.config)}")
    recent = trials[-SHOWN_TRIALS:]
    if recent:
        first = len(trials) - len(recent) + 1
        parts.append(f"## Recent experiments (last {SHOWN_TRIALS})\n{_table(space, recent, first)}")
    good = [trial for trial in recent if trial.status == "ok" and trial.curves]
    if good:
        curves = "\n".join(_curves(trial) for trial in good[-SHOWN_CURVES:])
        parts.append(f"## Curves by epoch (last {SHOWN_CURVES} successful)\n{curves}")
    signals = [line for trial in recent[-SHOWN_CURVES:] for line in signal(trial)]
    if signals:
        parts.append("## Signals\n" + "\n".join(signals))
    parts.append(
        f"## Task\nPropose exactly {batch} configurations to try next. Each must differ from the "
        "history and from the others. At least one must explore something new. Do not repeat the "
        "best one with tiny changes; if the best ones cluster, leave the cluster.\n"
        + _answer_format(batch)
    )
    return "\n\n".join(parts)


def retry_question(
    space: SearchSpace,
    repeated: Iterable[Config],
    trials: Sequence[Trial],
    best: Trial | None,
    batch: int,
) -> str:
    """Return the question after a batch with duplicates: no direction, no history, no curves."""
    seen = {identity(trial.config): trial for trial in trials}
    lines = []
    for config in repeated:
        before = seen.get(identity(config))
        outcome = f" -> {_result(before)}" if before else ""
        lines.append(f"{_json(config)}{outcome}")
    parts = [_space_text(space), "## Proposed before; do not propose again\n" + "\n".join(lines)]
    if best is not None:
        parts.append(f"## Best so far\n{_result(best)}\nConfig: {_json(best.config)}")
    parts.append(
        f"## Task\nPropose exactly {batch} new configurations, different from everything tried, "
        "with meaningfully different values.\n" + _answer_format(batch)
    )
    return "\n\n".join(parts)


def signal(trial: Trial) -> list[str]:
    """Return the one line of diagnosis that a trial gets, if any."""
    train, val = trial.curves.get("train_loss", []), trial.curves.get("val_loss", [])
    if trial.status != "ok" or min(len(train), len(val)) < 2:
        return []
    gap = val[-1] - train[-1]
    name = _label(trial.config, len(trial.config))
    if train[-1] < train[0] and val[-1] > min(val) and gap > _OVERFIT_GAP:
        return [f"- OVERFITTING: {name} (gap={gap:.2f})"]
    if train[-1] > _UNDERFIT_LOSS:
        return [f"- UNDERFITTING: {name} (train={train[-1]:.3f})"]
    return []


def read_batch(space: SearchSpace, text: str, batch: int) -> list[Config] | None:
    """Return exactly ``batch`` configurations, None if anything about the reply is wrong.

    Numbers are rounded and clamped whatever their distance, choices must match, keys beyond the
    space are ignored.
    """
    found = re.search(r"\[.*\]", text, re.DOTALL)
    try:
        configs = json.loads(found.group()) if found else None
        if not isinstance(configs, list) or len(configs) != batch:
            return None
        return [_cleaned(space, config) for config in configs]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def identity(config: Config) -> str:
    """Return what makes two configurations duplicates: six decimals of every float."""
    rounded = {k: round(v, 6) if isinstance(v, float) else v for k, v in config.items()}
    return _json(dict(sorted(rounded.items())))


def _cleaned(space: SearchSpace, raw: dict[str, Any]) -> Config:
    """One configuration within its ranges; raises for a missing key or an unknown choice."""
    clean: Config = {}
    for name, dimension in space.dimensions.items():
        value = raw[name]
        if isinstance(dimension, Choice):
            clean[name] = dimension.values[dimension.values.index(value)]
            continue
        schema = dimension.schema()
        number = round(float(value)) if schema["type"] == "integer" else float(value)
        if getattr(dimension, "log", False) and number <= 0:
            raise ValueError(f"{name} must be above 0")
        low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        clean[name] = min(high, max(low, number))
    config, _ = space.check(clean)
    return config


def _json(config: Config) -> str:
    return json.dumps(config, default=str)


def _space_text(space: SearchSpace) -> str:
    return f"## Config space\nEach configuration is a JSON object with:\n{space.describe()}"


def _answer_format(batch: int) -> str:
    return (
        f'Answer with ONLY {{"configs": [...]}}, a JSON array of {batch} configuration objects. '
        "No explanation, no markdown fences."
    )


def _table(space: SearchSpace, trials: Sequence[Trial], first: int) -> str:
    names = list(space.dimensions)
    accuracy = any(trial.accuracy is not None for trial in trials)
    header = ["#", *names, "score", *(["accuracy"] if accuracy else []), "status"]
    rows = [header, ["---"] * len(header)]
    for number, trial in enumerate(trials, start=first):
        shown = [_short(trial.config[name]) for name in names]
        extra = [_decimals(trial.accuracy)] if accuracy else []
        rows.append([str(number), *shown, _decimals(trial.score), *extra, trial.status])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _curves(trial: Trial) -> str:
    lines = [_label(trial.config, _LABEL_PARAMETERS) + ":"]
    for epoch in range(max(len(values) for values in trial.curves.values())):
        shown = [
            f"{name}={values[epoch]:.4f}"
            for name, values in trial.curves.items()
            if epoch < len(values)
        ]
        lines.append(f"  ep{epoch + 1}: {' '.join(shown)}")
    return "\n".join(lines)


def _result(trial: Trial) -> str:
    extra = "" if trial.accuracy is None else f", accuracy: {trial.accuracy:.4f}"
    return f"Score: {_decimals(trial.score)}{extra}"


def _label(config: Config, count: int) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in list(config.items())[:count])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _decimals(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
