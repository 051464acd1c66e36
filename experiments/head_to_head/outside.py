"""SMAC3 and NePS's piBO as Ray searchers, both told what our keyless searcher believes at first.

Neither is a searcher of Ray Tune; both are asked and told here as their own documentation does.
One trial at a time. They are optional:

    pip install smac neural-pipeline-search "botorch<0.13"
"""

from __future__ import annotations

import math
import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from experiments.common.other_spaces import (
    configspace_of,
    first_guess,
    from_labels,
    labelled,
    neps_of,
)
from experiments.common.task import NotApplicable, Task
from raymimic.records import Config
from raymimic.space import SearchSpace
from raymimic.tune.domains import RaySpace

_CURE = 'pip install smac neural-pipeline-search "botorch<0.13"'


class Told(Searcher):
    """Asks an optimizer for one configuration after the other; a failed trial is told as such."""

    def __init__(self, task: Task, seed: int) -> None:
        super().__init__(metric=task.metric, mode=task.mode)
        self._sign = 1.0 if task.mode == "min" else -1.0
        self._ray_space = RaySpace.from_ray(task.param_space())
        self._asked: dict[str, Any] = {}
        self._worst = 0.0
        self._begin(self._ray_space.space, first_guess(self._ray_space.space), seed)

    @abstractmethod
    def _begin(self, space: SearchSpace, guess: Config, seed: int) -> None: ...

    @abstractmethod
    def _ask(self) -> tuple[Any, Config]:
        """Give the optimizer's own handle of its next configuration, and the configuration."""

    @abstractmethod
    def _tell(self, asked: Any, loss: float, failed: bool) -> None: ...

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any
    ) -> bool:
        """Everything is known since the task was."""
        del metric, mode, config, spec
        return True

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Return the optimizer's next configuration."""
        self._asked[trial_id], config = self._ask()
        return self._ray_space.nest(self._ray_space.space.check(config)[0])

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the result; a failed trial has the worst loss so far."""
        score = math.nan if error or not result else float(result[self.metric])
        failed = not math.isfinite(score)
        loss = self._worst if failed else self._sign * score
        self._worst = max(self._worst, loss)
        self._tell(self._asked.pop(trial_id), loss, failed)


class Smac(Told):
    """SMAC3's facade for hyperparameters as it comes, our first guess added to its first design."""

    def _begin(self, space: SearchSpace, guess: Config, seed: int) -> None:
        try:
            import ConfigSpace
            from smac import HyperparameterOptimizationFacade, Scenario
        except ImportError as error:
            raise NotApplicable(f"SMAC3 is not installed ({error}): {_CURE}") from None
        names = {name: configspace_of(name, d) for name, d in space.dimensions.items()}
        configs = ConfigSpace.ConfigurationSpace(space=list(names.values()), seed=seed)
        self._folder = tempfile.TemporaryDirectory()
        scenario = Scenario(
            configs,
            deterministic=True,
            n_trials=1000,
            seed=seed,
            output_directory=Path(self._folder.name),
        )
        first = ConfigSpace.Configuration(configs, values=labelled(space, guess))
        facade = HyperparameterOptimizationFacade
        self._smac = facade(
            scenario,
            _never_called,
            initial_design=facade.get_initial_design(
                scenario, n_configs_per_hyperparameter=1, additional_configs=[first]
            ),
            logging_level=False,
            overwrite=True,
        )
        self._space, self._first = space, first

    def _ask(self) -> tuple[Any, Config]:
        from smac.runhistory import TrialInfo

        if self._first is not None:  # the design's own order would bring it last
            asked, self._first = TrialInfo(self._first, seed=0), None
        else:
            asked = self._smac.ask()
        return asked, from_labels(self._space, dict(asked.config))

    def _tell(self, asked: Any, loss: float, failed: bool) -> None:
        from smac.runhistory import StatusType, TrialValue

        status = StatusType.CRASHED if failed else StatusType.SUCCESS
        self._smac.tell(asked, TrialValue(cost=loss, status=status))


class NepsPibo(Told):
    """NePS's piBO as it comes: the first guess as every parameter's prior, confidence medium."""

    def _begin(self, space: SearchSpace, guess: Config, seed: int) -> None:
        try:
            import neps
            import torch
            from neps.optimizers.algorithms import pibo
            from neps.optimizers.ask_and_tell import AskAndTell
            from neps.space import SearchSpace as NepsSpace
        except ImportError as error:
            raise NotApplicable(f"NePS is not installed ({error}): {_CURE}") from None
        del neps
        torch.manual_seed(seed)
        texts = labelled(space, guess)
        parameters = {
            name: neps_of(dimension, texts[name]) for name, dimension in space.dimensions.items()
        }
        self._optimizer = AskAndTell(pibo(NepsSpace(parameters), sample_prior_first=True))
        self._space = space

    def _ask(self) -> tuple[Any, Config]:
        trial = self._optimizer.ask()
        return trial, from_labels(self._space, dict(trial.config))

    def _tell(self, asked: Any, loss: float, failed: bool) -> None:
        del failed  # it learns from the worst loss only
        self._optimizer.tell(asked, loss)


def _never_called(config: Any, seed: int = 0) -> float:
    raise AssertionError(f"SMAC trains nothing itself, but asked for {config} with seed {seed}")
