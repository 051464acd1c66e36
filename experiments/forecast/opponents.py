"""Tune's OptunaSearch behind the question that `together` and `live` ask."""

from __future__ import annotations

from typing import Any, Protocol

from optuna.samplers import GPSampler, TPESampler
from ray.tune.search.optuna import OptunaSearch

from raymimic.advisor import SearchEvidence
from raymimic.records import Advice, Config, Proposal

SAMPLERS = {"tpe": TPESampler, "gp": GPSampler}


class Searched(Protocol):
    """A space, and what a practitioner would try first in it."""

    def param_space(self) -> dict[str, Any]: ...
    def default(self) -> Config: ...


class OptunaAdvisor:
    """Told the default first; told the last value of a trial that was stopped, as Tune does."""

    name, remote = "optuna", False

    def __init__(self, task: Searched, sampler: str, seed: int) -> None:
        self._search = OptunaSearch(
            sampler=SAMPLERS[sampler](seed=seed), points_to_evaluate=[task.default()]
        )
        self._search.set_search_properties("loss", "min", task.param_space())
        self._told: set[str] = set()

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Tell what has ended since the last question, and ask for one."""
        assert n == 1, "a study is asked for one at a time"
        for trial in evidence.trials:
            if trial.trial_id not in self._told:
                self._told.add(trial.trial_id)
                result = None if trial.score is None else {"loss": trial.score}
                self._search.on_trial_complete(trial.trial_id, result, error=result is None)
        config = self._search.suggest(f"t{evidence.budget.trials_started}")
        assert isinstance(config, dict), "Optuna has an answer at once"
        return Advice((Proposal(config, "", "statistical"),))
