"""Makes ledgers as a search writes them, of any size, with everything that can happen in one."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np

from raymimic.curves import Curve
from raymimic.ledger import Ledger
from raymimic.space import Choice, Condition, FloatRange, IntRange, SearchSpace

SPACE = SearchSpace(
    {
        "lr": FloatRange(1e-5, 1.0, log=True),
        "width": IntRange(8, 256, log=True),
        "dropout": FloatRange(0.0, 0.8),
        "optimizer": Choice(("sgd", "adam", "adamw")),
        "activation": Choice(("relu", "gelu", "tanh")),
        "momentum": FloatRange(0.0, 0.99),
    },
    {"momentum": Condition("optimizer", ("sgd",))},
)
HOSTILE = '</script><script>window.pwned = 1</script><img src=x onerror="window.pwned=1">'
SOURCES = ("llm", "llm", "llm", "statistical", "heuristic", "random")
EPOCHS = 20
_BEGAN = 1_750_000_000.0  # Unix seconds


class _Run:
    """Writes one trial after the other; ``t`` is the ledger's clock in seconds."""

    def __init__(self, ledger: Ledger, rng: random.Random, hostile: str) -> None:
        self.ledger, self.rng, self.hostile = ledger, rng, hostile
        self.ended: list[tuple[str, float]] = []
        self.configs: dict[int, dict[str, Any]] = {}

    def batch(self, first: int, size: int) -> None:
        sources = [self.rng.choice(SOURCES) for _ in range(size)]
        if "llm" in sources:
            self.call(first)
        for number, source in enumerate(sources, start=first):
            if number % 37 == 5:
                self.ledger.append("drop", reason="repeat", text=f"{number} was proposed before")
            if source == "random":
                text = "the advisor failed (429)"
                self.ledger.append("fallback", reason="429", text=text, source="random")
            self.proposal(number, source, first)
        for number in range(first, first + size):
            self.trial(number)

    def call(self, number: int) -> None:
        failed = number % 41 == 7
        self.ledger.append(
            "call", model="big-model-1", status="timeout" if failed else "ok", seconds=3.25,
            tokens_in=0 if failed else 1800 + number % 500, tokens_out=0 if failed else 320,
            cost=None if failed else 0.0031, tries=1, failed_tries=[],
            error="no answer within 30 s" if failed else "",
            request={"system": "You tune.", "user": f"{number} trials ended {self.hostile}",
                     "schema": {"properties": {"proposals": {}}}, "max_tokens": 900},
            reply='{"proposals": []}' + self.hostile,
        )  # fmt: skip

    def proposal(self, number: int, source: str, known: int) -> None:
        config = SPACE.show(SPACE.sample(self.rng))
        expected = _score(config) * self.rng.uniform(0.7, 1.3) if source == "llm" else None
        self.ledger.append(
            "proposal", id=number, source=source, config=config, expected=expected, made_from=known,
            rationale=f"lr {config['lr']:.3g} with {config['optimizer']}: the curves of the best "
            f"trials still fall at their end, and a width of {config['width']} "
            f"has not been tried with this rate{self.hostile}",
            repairs=["width: 300 clamped to 256"] if number % 23 == 3 else [],
        )  # fmt: skip
        self.ledger.append("start", trial_id=trial_id(number), proposal=number)
        self.configs[number] = config

    def trial(self, number: int) -> None:
        config, name = self.configs.pop(number), trial_id(number)
        if number % 19 == 11:
            self.ledger.append(
                "outcome", trial_id=name, status="failed", score=None, seconds=2.0, diagnosis="",
                error="", stopped=False, curve=None,
            )  # fmt: skip
            text = f"Traceback\nRuntimeError: CUDA out of memory{self.hostile}"
            self.ledger.append("error", trial_id=name, text=text)
            return
        values = self.values(config)
        stopped = number % 5 == 4
        if stopped:
            values = values[: self.rng.randint(3, 12)]
        self.events(number, name, values)
        if stopped:
            self.ledger.append(
                "stop", trial_id=name, kind="hopeless", epoch=len(values), place=7, rivals=9,
                kept=3.0, reach=7, beats=0.012, length=EPOCHS,
                text=f"hopeless: val_loss {values[-1]:.4g} at epoch {len(values)}; place 7 of 9, "
                "the best 3 go on; forecast 0.61 (80%: 0.55 to 0.7), chance 1.2% to beat 0.41",
            )  # fmt: skip
        columns = {"train_loss": np.array([0.8 * v for v in values]), "val_loss": np.array(values)}
        curve = Curve(np.arange(1, len(values) + 1), columns).to_json()
        score = values[-1] if math.isfinite(values[-1]) else None
        self.ledger.append(
            "outcome", trial_id=name, status="done", score=score, seconds=4.0, diagnosis="",
            error="", stopped=stopped, curve=curve,
        )  # fmt: skip
        self.ended.append((name, values[-1]))

    def events(self, number: int, name: str, values: list[float]) -> None:
        at = max(1, len(values) // 2)
        if number % 7 == 2:
            self.ledger.append(
                "redirect", trial_id=name, epoch=at, knobs={"lr": [0.01, 0.003]}, before=values[0],
                reason="the curve swings: a lower rate", source="heuristic",
            )  # fmt: skip
            self.ledger.append(
                "verdict", trial_id=name, epoch=at, ended=len(values), verdict="better",
                before=values[0], after=values[-1], expected=values[-1] * 1.1, margin=0.01,
            )  # fmt: skip
        if number % 11 == 6 and self.ended:
            origin, value = min(self.ended, key=lambda one: one[1])
            self.ledger.append(
                "clone", trial_id=name, epoch=at, **{"from": origin}, from_epoch=9,
                from_value=value, knobs={"lr": [0.1, 0.05]}, before=values[0],
                reason="the leader's weights are far ahead", source="llm",
            )  # fmt: skip
        if number % 13 == 3:
            self.ledger.append(
                "adjustment", run_id=name, epoch=at, asked_epoch=at, applied=["lr 0.01 -> 0.005"],
                dropped=[], adjustment={"rationale": "a plateau", "knobs": {"lr": 0.005}},
            )  # fmt: skip
        if number % 29 == 9:
            self.ledger.append(
                "judgement", trial_id=name, action="continue", reason="it still falls", knobs={},
                outcome="applied", epoch=at, asked_epoch=at, age=0, model="big-model-1",
                tokens=900, cases=2,
            )  # fmt: skip

    def values(self, config: dict[str, Any]) -> list[float]:
        end, noise = _score(config), 0.01
        values = []
        for epoch in range(EPOCHS):
            value = end + 2.0 * math.exp(-epoch * (0.2 + 2 * config["lr"] ** 0.3))
            if config["dropout"] < 0.15 and epoch > 8:
                value += 0.04 * (epoch - 8)
            values.append(value + self.rng.gauss(0, noise))
        if config["lr"] > 0.6:
            values[-1] = math.inf
        return values


def write_ledger(
    path: Path, trials: int, *, hostile: str = "", ended: bool = True, seed: int = 0
) -> Path:
    """Write a search of ``trials`` trials; ``hostile`` is put into every text that is foreign."""
    ledger = Ledger(path)
    ledger.append(
        "search", metric="val_loss", mode="min", advisor="big-model-1", space=SPACE.to_json(),
        trials_total=trials, seconds_total=None, concurrency=4, batch=4,
        instruction=f"prefer small models{hostile}", seed=0,
    )  # fmt: skip
    run = _Run(ledger, random.Random(seed), hostile)
    for first in range(0, trials, 4):
        run.batch(first, min(4, trials - first))
    if ended:
        ledger.append("summary", text="the end")
    ledger.flush(60)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:  # as if it had taken a while
        row["t"] = _BEGAN + 1.7 * row["n"]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def trial_id(number: int) -> str:
    """The id of the trial that began as the ``number``-th, from 0."""
    return f"{(number * 2654435761) % 2**32:08x}"


def _score(config: dict[str, Any]) -> float:
    away = math.log10(config["lr"] / 3e-3)
    tuned = 0.25 + 0.12 * away**2 + 0.3 * (config["dropout"] - 0.25) ** 2
    return tuned + (0.08 if config["optimizer"] == "sgd" else 0.0)
