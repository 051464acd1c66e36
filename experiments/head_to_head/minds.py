"""Language models that are no help, each in its own way, and one that is.

What does a search lose by those, and how far does it follow this one?

They answer in the form that a real model is asked for, so everything between is the real thing.
"""

from __future__ import annotations

import json
import random
import re
from abc import ABC, abstractmethod
from typing import Any

from experiments.common.tables import TableTask
from experiments.common.task import NotApplicable, Task
from raymimic import Reply, Request, SearchSpace
from raymimic.errors import LLMCallError
from raymimic.llm.prices import estimate_tokens
from raymimic.records import Config
from raymimic.space import Choice
from raymimic.tune.domains import RaySpace

_WANTED = re.compile(r"Propose exactly (\d+)")  # as `advisor/prompt.py` and `neuropt_text.py` ask
_WORST_KNOWN = 1000
_GOOD = 20  # the best of so many configurations of a table
_STEP = 0.1  # of a range
_SURE = 0.1  # of a range: the width of a belief


class Mind(ABC):
    """A fake model: `configs` makes the configurations, the rest is form. Costs nothing."""

    def __init__(self, task: Task, seed: int) -> None:
        self.model = type(self).__name__.lower()
        self.space: SearchSpace = RaySpace.from_ray(task.param_space()).space
        self.rng = random.Random(f"{self.model} {task.name} {seed}")

    @abstractmethod
    def configs(self, n: int) -> list[Config]:
        """The next ``n`` configurations."""

    def belief(self) -> dict[str, Any] | None:
        """What it says of the optimum's place, as JSON; None for nothing."""
        return None

    def complete(self, request: Request) -> Reply:
        """Propose as many configurations as the request asks for."""
        found = _WANTED.search(request.user)
        assert found, "the prompt no longer says how many configurations it wants"
        configs = [self.space.show(config) for config in self.configs(int(found[1]))]
        if "configs" in request.schema["properties"]:  # neuropt's form of a reply
            text = json.dumps({"configs": configs})
        else:
            about = {"rationale": "trust me", "expected": None}
            proposals = [{"config": config, **about} for config in configs]
            text = json.dumps({"proposals": proposals, "belief": self.belief()})
        asked = estimate_tokens(request.system + request.user)
        return Reply(text, self.model, tokens_in=asked, tokens_out=estimate_tokens(text))


class Hostile(Mind):
    """Always the worst corner: the worst configurations of the task, and sure of the very worst."""

    def __init__(self, task: Task, seed: int) -> None:
        super().__init__(task, seed)
        self._worst = task.worst(_WORST_KNOWN)
        self._next = 0

    def configs(self, n: int) -> list[Config]:
        self._next += n
        places = range(self._next - n, self._next)
        return [self._worst[place % len(self._worst)] for place in places]

    def belief(self) -> dict[str, Any]:
        return wrong_belief(self.space, self._worst[0])


class Expert(Mind):
    """Draws from the best twentieth of a table's configurations, and believes nothing."""

    def __init__(self, task: Task, seed: int) -> None:
        super().__init__(task, seed)
        if not isinstance(task, TableTask):
            raise NotApplicable(f"only of a table the best is known, {task.name} is none")
        self._best = task.best(max(1, len(task.values) // _GOOD))

    def configs(self, n: int) -> list[Config]:
        return [self.rng.choice(self._best) for _ in range(n)]


def wrong_belief(space: SearchSpace, worst: Config) -> dict[str, Any]:
    """A narrow belief, in a model's form, around the values of a bad configuration."""
    said: dict[str, Any] = {}
    for name, dimension in space.dimensions.items():
        if dimension.ordered:
            place = dimension.to_unit(worst[name])
            numbers = [dimension.from_unit(place + way * _SURE) for way in (-1, 0, 1)]
            said[name] = dict(zip(("low", "best", "high"), map(float, numbers), strict=True))
        elif isinstance(dimension, Choice):
            shown = dimension.index(worst[name])
            said[name] = {label: float(i == shown) for i, label in enumerate(dimension.labels)}
    return said


class Lazy(Mind):
    """Always the same configuration, drawn once."""

    def __init__(self, task: Task, seed: int) -> None:
        super().__init__(task, seed)
        self._only = self.space.sample(self.rng)

    def configs(self, n: int) -> list[Config]:
        return [self._only] * n


class Mediocre(Mind):
    """Half of the time a random configuration, else a step from a random earlier one of its own."""

    def __init__(self, task: Task, seed: int) -> None:
        super().__init__(task, seed)
        self._made: list[Config] = []

    def configs(self, n: int) -> list[Config]:
        return [self._one() for _ in range(n)]

    def _one(self) -> Config:
        if not self._made or self.rng.random() < 0.5:
            config = self.space.sample(self.rng)
        else:
            config = self._edited(self.rng.choice(self._made))
        self._made.append(config)
        return config

    def _edited(self, config: Config) -> Config:
        name, dimension = self.rng.choice(list(self.space.dimensions.items()))
        if isinstance(dimension, Choice):
            value = self.rng.choice(dimension.values)
        else:
            place = dimension.to_unit(config[name]) + self.rng.choice((-_STEP, _STEP))
            value = dimension.from_unit(min(max(place, 0.0), 1.0))
        return {**config, name: value}


class Silent(Mind):
    """Never answers: every call fails at once."""

    def configs(self, n: int) -> list[Config]:
        raise LLMCallError(f"no connection (asked for {n})", status="connection", retryable=False)
