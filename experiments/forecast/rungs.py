"""Searches with rungs of their own under the same budget of epochs: NePS's PriorBand, SMAC3's.

    pip install smac neural-pipeline-search "botorch<0.13"
    python -m experiments.forecast.rungs --tables DIR --out rows.csv --methods priorband,smac

Each says itself to which epoch a configuration is trained next; a training goes on from where it
stopped, and only the new epochs are paid. Both are told what our keyless searcher believes at
first: PriorBand as every parameter's prior of medium confidence, SMAC3 as its first configuration.
The rows are those of `together`. ifBO is not here: its package holds no weights, it loads them from
a server.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from experiments.common import other_spaces, tables
from experiments.common.quiet import silence
from experiments.common.task import TrainingFailed
from experiments.forecast.together import DEVELOPED_ON, report, timed
from raymimic.records import Config
from raymimic.space import SearchSpace
from raymimic.tune.domains import RaySpace

ETA = 3
_MOST = 2000  # questions


class Method(Protocol):
    """Asks for a configuration and the epoch to train it to; ``loss``: lower is better."""

    def ask(self) -> tuple[Any, Config, int]: ...
    def tell(self, asked: Any, loss: float, failed: bool) -> None: ...


class PriorBand:
    """NePS's own, as it comes."""

    def __init__(self, space: SearchSpace, epochs: int, seed: int) -> None:
        import torch
        from neps.optimizers.algorithms import priorband
        from neps.optimizers.ask_and_tell import AskAndTell
        from neps.space import SearchSpace as NepsSpace
        from neps.space.parameters import HPOInteger

        torch.manual_seed(seed)
        guess = other_spaces.labelled(space, other_spaces.first_guess(space))
        parameters: dict[str, Any] = {
            name: other_spaces.neps_of(dimension, guess[name])
            for name, dimension in space.dimensions.items()
        }
        parameters["epochs"] = HPOInteger(1, epochs, is_fidelity=True)
        made = priorband(NepsSpace(parameters), eta=ETA, sample_prior_first=True)
        self._space, self._optimizer = space, AskAndTell(made)

    def ask(self) -> tuple[Any, Config, int]:
        trial = self._optimizer.ask()
        config = dict(trial.config)
        epochs = int(config.pop("epochs"))
        return trial, other_spaces.from_labels(self._space, config), epochs

    def tell(self, asked: Any, loss: float, failed: bool) -> None:
        del failed  # it learns from the worst loss only
        self._optimizer.tell(asked, loss)


class Smac:
    """SMAC3's multi-fidelity facade (Hyperband over a random forest), as it comes."""

    def __init__(self, space: SearchSpace, epochs: int, seed: int) -> None:
        import ConfigSpace
        from smac import MultiFidelityFacade, Scenario

        names = [other_spaces.configspace_of(name, d) for name, d in space.dimensions.items()]
        configs = ConfigSpace.ConfigurationSpace(space=names, seed=seed)
        guess = other_spaces.labelled(space, other_spaces.first_guess(space))
        self._folder = tempfile.TemporaryDirectory()
        scenario = Scenario(configs, deterministic=True, n_trials=_MOST, min_budget=1,
                            max_budget=epochs, seed=seed,
                            output_directory=Path(self._folder.name))  # fmt: skip
        first = [ConfigSpace.Configuration(configs, values=guess)]
        design = MultiFidelityFacade.get_initial_design(scenario, additional_configs=first)
        hyperband = MultiFidelityFacade.get_intensifier(scenario, eta=ETA)
        self._smac = MultiFidelityFacade(
            scenario, _never_called, initial_design=design, intensifier=hyperband,
            logging_level=False, overwrite=True,
        )  # fmt: skip
        self._space = space

    def ask(self) -> tuple[Any, Config, int]:
        asked = self._smac.ask()
        return asked, other_spaces.from_labels(self._space, dict(asked.config)), round(asked.budget)

    def tell(self, asked: Any, loss: float, failed: bool) -> None:
        from smac.runhistory import StatusType, TrialValue

        status = StatusType.CRASHED if failed else StatusType.SUCCESS
        self._smac.tell(asked, TrialValue(cost=loss, status=status))


def _never_called(config: Any, seed: int = 0, budget: float = 0.0) -> float:
    raise AssertionError(f"SMAC trains nothing itself: {config}, seed {seed}, budget {budget}")


METHODS: dict[str, type[PriorBand] | type[Smac]] = {"priorband": PriorBand, "smac": Smac}


class _Training:
    """A training that goes on where it stopped."""

    def __init__(self, epochs: Iterator[dict[str, float]]) -> None:
        self.epochs, self.done, self.loss, self.failed = epochs, 0, math.inf, False

    def go_on(self, until: int, metric: str, sign: float) -> None:
        try:
            while self.done < until:
                self.loss = sign * next(self.epochs)[metric]
                self.done += 1
        except TrainingFailed:
            self.failed = True


def run(task: tables.TableTask, method: Method, limit: int, seed: int) -> pd.DataFrame:
    """One search over ``limit`` full trainings' worth of epochs: `together`'s rows of trials."""
    sign = 1.0 if task.mode == "min" else -1.0
    trainings: dict[str, _Training] = {}
    rows, spent, worst = [], 0, 0.0
    for number in range(_MOST):
        if spent >= limit * task.epochs:
            break
        asked, config, until = method.ask()
        key = repr(sorted(config.items()))
        if key not in trainings:
            trainings[key] = _Training(iter(task.train(config, seed, number)))
        training = trainings[key]
        before = training.done
        training.go_on(min(until, task.epochs), task.metric, sign)
        spent += max(1 if training.failed else 0, training.done - before)
        failed = training.failed or not math.isfinite(training.loss)
        worst = worst if failed else max(worst, training.loss)
        method.tell(asked, worst if failed else training.loss, failed)
        rows.append({
            "spent": spent / task.epochs,
            "whole": training.done == task.epochs and not failed,
            "regret": task.regret(config),
        })  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="where the raw rows go")
    parser.add_argument("--methods", type=lambda text: text.split(","), default=list(METHODS))
    parser.add_argument("--tasks", type=lambda text: text.split(","), default=list(DEVELOPED_ON))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budgets", type=lambda text: [*map(int, text.split(","))],
                        default=[3, 5, 10, 20])  # fmt: skip
    arguments = parser.parse_args()
    silence()
    rows = []
    for seed in range(arguments.seeds):
        for name in arguments.tasks:
            task = tables.load(name, arguments.tables)
            space = RaySpace.from_ray(task.param_space()).space
            for method in arguments.methods:
                made = METHODS[method](space, task.epochs, seed)
                frame = run(task, made, max(arguments.budgets), seed)
                named = {"task": name, "searcher": method, "arm": "own", "seed": seed,
                         "slots": 1, "clock": "epochs", "run": "timed"}  # fmt: skip
                rows.append({**named, **timed(frame, arguments.budgets)})
                pd.DataFrame(rows).to_csv(arguments.out, index=False, float_format="%.5g")
    print(report(pd.DataFrame(rows)))


if __name__ == "__main__":
    main()
