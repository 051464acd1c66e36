"""What a method is run on: a space, a training that reports every epoch, and the truth behind it.

Searchers, schedulers and language models see the space and what `train` yields, nothing else;
`value`, `regret` and `test` are for the record only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from raymimic.records import Config, Mode


class TrainingFailed(Exception):
    """A configuration that cannot be trained to the end (a loss that is no number)."""


class NotApplicable(Exception):
    """A method that makes no sense on a task, or that needs what is not installed."""


class Task(Protocol):
    """One problem. Configurations are flat dicts from parameter name to value.

    ``epochs`` is what a full training takes. Objects are made anew for every (method, seed) run or
    shared by runs of one process, one after the other: what they cache must not depend on who asks.
    """

    name: str
    family: str
    metric: str
    mode: Mode
    epochs: int

    def param_space(self) -> dict[str, Any]:
        """Ray Tune's domains by parameter name."""
        ...

    def default(self) -> Config:
        """The configuration that libraries' defaults or published practice would give."""
        ...

    def train(self, config: Config, seed: int, trial: int) -> Iterator[dict[str, float]]:
        """Yield the metrics of each epoch; raises `TrainingFailed`.

        ``seed`` is the run's, the same for all methods; the same (seed, trial, config) always gives
        the same numbers.
        """
        ...

    def train_seconds(self, config: Config, seed: int) -> list[float]:
        """What each epoch took when it was computed (not when read from a cache); [] for tables."""
        ...

    def value(self, config: Config) -> float:
        """The true score; on real training, the score of the latest training of ``config``."""
        ...

    def regret(self, config: Config) -> float:
        """(value - best) / (median - best) of the table, 0 the best; NaN if the best is unknown."""
        ...

    def test(self, config: Config) -> float:
        """The metric on data that nothing decides by; NaN if there are none."""
        ...

    def worst(self, n: int) -> list[Config]:
        """The ``n`` worst configurations, worst first; raises `NotApplicable` where unknown."""
        ...
