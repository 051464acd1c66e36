"""A language model that is none: answers as asked after two seconds, now and then badly."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Callable
from typing import Any

from raymimic import Reply, Request
from raymimic.errors import LLMCallError
from raymimic.llm.prices import estimate_tokens

_WANTED = re.compile(r"Propose exactly (\d+) new")
_FAULTS = ("no_json", "cut", "out_of_range", "empty", "refused")


class StubLLM:
    """Valid batches of the asked size, ``bad`` of the replies spoilt in one of five ways.

    ``prompts`` holds each prompt's size in tokens (characters / 3.5, the project's own estimate).
    """

    model = "stub"

    def __init__(
        self, latency: float, bad: float, seed: int, sleep: Callable[[float], None]
    ) -> None:
        self._sleep = sleep
        self.latency, self.bad = latency, bad
        self.prompts: list[int] = []
        self.wanted: list[int] = []
        self.faults: list[str] = []
        self._rng = random.Random(seed)
        self._lock = threading.Lock()

    def complete(self, request: Request) -> Reply:
        found = _WANTED.search(request.user)
        assert found is not None, "the prompt says how many are wanted"
        wanted = int(found.group(1))
        with self._lock:
            tokens = estimate_tokens(request.system + request.user)
            self.prompts.append(tokens)
            self.wanted.append(wanted)
            fault = self._rng.choice(_FAULTS) if self._rng.random() < self.bad else ""
            if fault:
                self.faults.append(fault)
            proposals = [self._proposal() for _ in range(wanted)]
        self._sleep(min(self.latency, request.deadline))
        text = _spoilt(proposals, fault)
        return Reply(text, self.model, tokens, estimate_tokens(text), self.latency, cost=0.0)

    def _proposal(self) -> dict[str, Any]:
        rng = self._rng
        config = {
            "lr": 10 ** rng.uniform(-4, -1),
            "weight_decay": 10 ** rng.uniform(-6, -2),
            "dropout": rng.uniform(0.0, 0.5),
            "width": int(2 ** rng.uniform(6, 10)),
            "optimizer": rng.choice(["sgd", "adam", "adamw"]),
        }
        rationale = (
            f"Trials near lr {config['lr']:.2g} were still improving at their last epoch, and this "
            "one is wider with more dropout, which should close the gap."
        )
        return {"config": config, "rationale": rationale, "expected": rng.uniform(0.2, 0.6)}


def _spoilt(proposals: list[dict[str, Any]], fault: str) -> str:
    """The reply's text with one fault in it; raises what a provider's error becomes."""
    if fault == "no_json":
        return "I would rather try a smaller learning rate first."
    if fault == "refused":
        raise LLMCallError("the service answered 529 (overloaded)", status="overloaded")
    if fault == "empty":
        return '{"proposals": []}'
    if fault == "out_of_range":
        proposals[0]["config"] |= {"lr": 1e9, "momentum": 0.9}
    text = json.dumps({"proposals": proposals})
    return text[: len(text) // 2] if fault == "cut" else text
