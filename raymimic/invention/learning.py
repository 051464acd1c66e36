"""Between two iterations: the generator is trained to prefer the better programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from raymimic.evolution.events import Row
from raymimic.invention.questions import reply_text, request
from raymimic.invention.settings import Settings
from raymimic.invention.state import State

Trainer = Callable[[str, Sequence[Mapping[str, str]], Path], Mapping[str, Any]]
"""Trains the generator in a folder on (system, user, chosen, rejected) texts; writes the new one
into another folder; returns what to keep of it. See `raymimic.invention.dpo.train`."""


def must_learn(state: State, settings: Settings, iteration: int) -> bool:
    """Whether training is due once the programs of an iteration are scored."""
    return (
        settings.learn == "dpo"
        and iteration < settings.iterations
        and iteration not in state.learnt
    )


def generator_of(state: State, first: str, iteration: int) -> str:
    """The folder or name of an iteration's generator: what was learnt before it, else ``first``."""
    for earlier in range(iteration - 1, 0, -1):
        folder = state.learnt.get(earlier, {}).get("generator")
        if folder:
            return str(folder)
    return first


def learn(
    state: State,
    settings: Settings,
    trainer: Trainer | None,
    generator: str,
    iteration: int,
    out: Path,
) -> list[Row]:
    """Train ``generator`` on an iteration's pairs, into ``out``; without a pair it stays."""
    programs = [one for one in state.programs.values() if one.origin == "llm"]
    pairs = settings.pairing.pairs(programs, iteration)
    row: Row = {"event": "learnt", "iteration": iteration, "pairs": len(pairs)}
    if not pairs or trainer is None:
        return [{**row, "generator": None}]
    asked = request([], [], settings.timeout)
    texts = [
        {
            "system": asked.system,
            "user": asked.user,
            "chosen": reply_text(good.code, good.rationale),
            "rejected": reply_text(bad.code, bad.rationale),
        }
        for good, bad in pairs
    ]
    return [{**row, **trainer(generator, texts, out)}]
