"""neuropt's proposing loop as a Ray Tune searcher around any language model.

Written afresh from a description of neuropt 0.6 (github.com/loevlie/neuropt), not copied. What it
does on purpose as neuropt does: a batch of three is asked for with everything known when the last
batch is used up, so nothing inside a batch informs it; the call blocks; a reply with anything wrong
in it, or a failed call, makes the whole batch random; a batch with duplicates is asked for again,
twice, then the duplicates become random.

Two things are kinder than the original: the model is given the wanted JSON schema, as every model
behind this interface is, and random draws are said to be random in the record.
"""

from __future__ import annotations

import math
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from ray.tune.search import Searcher

from experiments.head_to_head.neuropt_text import (
    CONTEXT,
    Trial,
    identity,
    question,
    read_batch,
    retry_question,
)
from raymimic import LLM
from raymimic.errors import LLMError
from raymimic.llm import Request
from raymimic.records import Config
from raymimic.space import SearchSpace
from raymimic.tune.domains import RaySpace
from raymimic.tune.results import metrics_of

BATCH = 3
_TRIES = 3  # questions for one batch, as long as the replies hold duplicates
_MAX_TOKENS = 2048


@dataclass(frozen=True)
class Proposed:
    """A configuration and who made it: "llm", or "random" with the reason as the rationale."""

    config: Config
    source: str
    rationale: str = ""


@dataclass
class Spent:
    """Tokens, US dollars and random fallbacks so far; an unknown price adds no dollars."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    fallbacks: Counter[str] = field(default_factory=Counter)


class NeuroptSearcher(Searcher):
    """Proposes as neuropt does. ``llm=None`` is its mode without a model: random search.

    ``trial(trial_id)`` says who made a configuration, ``tally`` what the model has cost: both as
    `LLMSearcher` has them. ``deadline`` is the wall seconds a call may take, ``batch`` how
    many configurations a question asks for.
    """

    def __init__(
        self, llm: LLM | None, *, seed: int = 0, deadline: float = 60.0, batch: int = BATCH
    ) -> None:
        super().__init__()
        self._batch_size = batch
        self._llm = llm
        self._deadline = deadline
        self._random = random.Random(seed)
        self._queue: deque[Proposed] = deque()
        self._trials: dict[str, Proposed] = {}
        self._curves: dict[str, dict[str, list[float]]] = {}
        self._history: list[Trial] = []
        self._ray_space = RaySpace.from_ray({})
        self.tally = Spent()

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Take metric, mode and space from Tune."""
        del spec
        self._metric, self._mode = metric or self._metric, mode or self._mode
        self._ray_space = RaySpace.from_ray(config)
        return True

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Return the next configuration, asking for a batch when the last one is used up."""
        if not self._queue:
            self._queue.extend(self._batch())
        proposed = self._queue.popleft()
        self._trials[trial_id] = proposed
        if proposed.rationale.startswith("random fallback"):
            self.tally.fallbacks["random"] += 1
        return self._ray_space.nest(proposed.config)

    def trial(self, trial_id: str) -> Proposed | None:
        """Return who proposed a trial."""
        return self._trials.get(trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Keep the curve of a running trial."""
        curves = self._curves.setdefault(trial_id, {})
        for name, value in metrics_of(result).items():
            curves.setdefault(name, []).append(value)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Note the score; a failed trial has the worst there is, no curve and no reason."""
        made = self._trials.get(trial_id)
        if made is None:
            return
        worst = math.inf if self._mode == "min" else -math.inf
        if error or not result:
            self._history.append(Trial(made.config, worst, "error"))
            return
        self.on_trial_result(trial_id, result)
        score = float(result.get(self._metric, math.nan))
        score = score if math.isfinite(score) else worst
        self._history.append(Trial(made.config, score, "ok", self._curves.pop(trial_id)))

    # -- one batch ---------------------------------------------------------------------------------

    @property
    def _space(self) -> SearchSpace:
        return self._ray_space.space

    @property
    def _best(self) -> Trial | None:
        sign = 1.0 if self._mode == "min" else -1.0
        finite = [trial for trial in self._history if math.isfinite(trial.score)]
        return min(finite, key=lambda trial: sign * trial.score, default=None)

    def _batch(self) -> list[Proposed]:
        if self._llm is None:
            return self._random_batch("no model")
        asked = question(self._space, str(self._mode), self._history, self._best, self._batch_size)
        for attempt in range(1, _TRIES + 1):
            try:
                text = self._ask(asked)
            except LLMError as error:
                return self._random_batch(f"random fallback: {error}")
            configs = read_batch(self._space, text, self._batch_size)
            if configs is None:
                return self._random_batch("random fallback: the reply cannot be read")
            repeated = self._duplicates(configs)
            if not repeated or attempt == _TRIES:
                break
            again = [configs[index] for index in repeated]
            asked = retry_question(self._space, again, self._history, self._best, self._batch_size)
        return [
            self._draw("random fallback: a duplicate") if index in repeated else Proposed(c, "llm")
            for index, c in enumerate(configs)
        ]

    def _ask(self, text: str) -> str:
        request = Request(CONTEXT, text, self._schema(), _MAX_TOKENS, self._deadline)
        try:
            reply = self._llm.complete(request)
        except LLMError as error:
            self._pay(error)
            raise
        self._pay(reply)
        return reply.text

    def _pay(self, bill: Any) -> None:
        self.tally.tokens_in += bill.tokens_in
        self.tally.tokens_out += bill.tokens_out
        self.tally.cost += bill.cost or 0.0

    def _schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"configs": {"type": "array", "items": self._space.schema()}},
            "required": ["configs"],
            "additionalProperties": False,
        }

    def _duplicates(self, configs: list[Config]) -> list[int]:
        seen = {identity(trial.config) for trial in self._history}
        repeated = []
        for index, config in enumerate(configs):
            if identity(config) in seen:
                repeated.append(index)
            seen.add(identity(config))
        return repeated

    def _random_batch(self, reason: str) -> list[Proposed]:
        return [self._draw(reason) for _ in range(self._batch_size)]

    def _draw(self, reason: str) -> Proposed:
        return Proposed(self._space.sample(self._random), "random", reason)
