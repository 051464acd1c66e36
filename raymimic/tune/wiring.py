"""`Raymimic`: searcher, scheduler and callback of one run, made for each other by one call."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ray import tune

from raymimic.llm import LLM, resolve_llm
from raymimic.search.closing import as_html
from raymimic.tune.callback import RaymimicCallback
from raymimic.tune.given import Constraints
from raymimic.tune.live import LiveKnobs
from raymimic.tune.scheduler import LLMScheduler
from raymimic.tune.searcher import LLMSearcher


class Raymimic:
    """A whole run: it searches, stops what cannot win, and writes every reason into the results.

    >>> from ray import tune
    >>> from raymimic import Raymimic
    >>> def train(config):
    ...     from ray import tune
    ...     for epoch in range(1, 6):
    ...         tune.report({"loss": abs(config["lr"] - 0.1) + 1 / epoch})
    >>> results = Raymimic(llm="none", seed=0).tuner(
    ...     train,
    ...     param_space={"lr": tune.loguniform(1e-4, 1.0)},
    ...     tune_config=tune.TuneConfig(metric="loss", mode="min", num_samples=2),
    ...     run_config=tune.RunConfig(verbose=0),
    ... ).fit()  # doctest: +ELLIPSIS
    [1/2 ...
    >>> "raymimic/reason" in results.get_best_result().metrics
    True

    A model is told the trainable's name and the first lines of its docstring.

    `tuner` takes what ``tune.Tuner`` takes, `run` what ``tune.run`` takes. The parts are
    ``searcher``, ``scheduler`` and ``callback``, and each can be used alone instead. One object
    serves one run: a restored one is ``tune.Tuner.restore``, as always.

    Args:
        metric, mode: Usually left to Tune; lists for several objectives, as in `LLMSearcher`.
        llm: Who proposes, and judges running trials in doubt: as in `LLMSearcher`; both ask the
            same client.
        instruction: What the advisor should know about the task, in your words.
        constraints: What configurations and results must keep to, as in `LLMSearcher`.
        knobs: What a training lets be turned while it runs, as in `LLMScheduler`.
        population: Clone hopeless trials from better ones, as in `LLMScheduler`; needs ``knobs``.
        points_to_evaluate: Configurations to run first, in this order.
        lessons: What an earlier search learnt, as in `LLMSearcher`.
        belief: Where you think that the optimum lies, as in `LLMSearcher`.
        seed: Makes the keyless part repeatable.
        ledger: File for the record of all decisions, as in `LLMSearcher`.

    Raises what the parts raise.
    """

    def __init__(
        self,
        *,
        metric: str | Sequence[str] | None = None,
        mode: str | Sequence[str] | None = None,
        llm: str | LLM = "auto",
        instruction: str = "",
        constraints: Constraints = (),
        knobs: LiveKnobs | None = None,
        population: bool = False,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        lessons: str | os.PathLike[str] | None = None,
        belief: Mapping[str, Any] | None = None,
        seed: int | None = None,
        ledger: str | os.PathLike[str] | None = None,
    ) -> None:
        shared = resolve_llm(llm) or llm  # one client, with one pace and one bill
        self.searcher = LLMSearcher(
            metric=metric,
            mode=mode,
            llm=shared,
            instruction=instruction,
            constraints=constraints,
            points_to_evaluate=points_to_evaluate,
            lessons=lessons,
            belief=belief,
            seed=seed,
            ledger=ledger,
        )
        self.scheduler = LLMScheduler(
            searcher=self.searcher,
            llm=shared,
            knobs=knobs,
            population=population,
            instruction=instruction,
        )
        self.callback = RaymimicCallback(self.searcher, scheduler=self.scheduler)

    def tuner(
        self,
        trainable: Any,
        *,
        param_space: Mapping[str, Any],
        tune_config: tune.TuneConfig,
        run_config: tune.RunConfig | None = None,
    ) -> tune.Tuner:
        """Return a ``tune.Tuner`` with all three parts; your own callbacks stay.

        Raises ValueError where ``tune_config`` has a searcher or a scheduler of its own.
        """
        _refuse("tune_config.search_alg", tune_config.search_alg)
        _refuse("tune_config.scheduler", tune_config.scheduler)
        run_config = run_config or tune.RunConfig()
        callbacks = self._with(run_config.callbacks)
        self.searcher.note_trainable(trainable)
        return tune.Tuner(
            trainable,
            param_space=dict(param_space),
            tune_config=replace(tune_config, search_alg=self.searcher, scheduler=self.scheduler),
            run_config=replace(run_config, callbacks=callbacks),
        )

    def run(self, trainable: Any, **arguments: Any) -> tune.ExperimentAnalysis:
        """Call ``tune.run`` with all three parts; your own callbacks stay.

        Raises ValueError for a ``search_alg`` or ``scheduler`` of its own.
        """
        _refuse("search_alg", arguments.get("search_alg"))
        _refuse("scheduler", arguments.get("scheduler"))
        arguments |= {
            "search_alg": self.searcher,
            "scheduler": self.scheduler,
            "callbacks": self._with(arguments.get("callbacks")),
        }
        self.searcher.note_trainable(trainable)
        start: Callable[..., tune.ExperimentAnalysis] = tune.run
        return start(trainable, **arguments)

    def _with(self, callbacks: Sequence[Any] | None) -> list[Any]:
        """Put ours before the user's: their loggers find our words in the results."""
        self.callback.loggers.meet(callbacks or ())
        return [self.callback, *(callbacks or ())]

    def summary(self) -> str:
        """The run so far in plain words: the best, who proposed what, what was stopped, money."""
        return self.searcher.summary()

    def _repr_html_(self) -> str:
        return as_html(self.summary())


def _refuse(name: str, given: Any) -> None:
    if given is not None:
        raise ValueError(
            f"{name} must be left to Raymimic, got {type(given).__name__}; to combine it with our "
            "other parts, give Tune Raymimic's .searcher, .scheduler and .callback yourself"
        )
