"""`LLMScheduler`: stops trials that cannot win, and says why in numbers.

The adapter between Tune and `scheduling`. Everything happens on Tune's controller thread within a
fraction of a millisecond; a language model that judges running trials answers on a thread of its
own. Nothing raised here reaches Tune, where it would abort the whole experiment: the trial goes on
instead.
"""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ray.tune.result import DEFAULT_METRIC
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from raymimic.advisor import Judge, choose_judge, describe_judge
from raymimic.curves import Curve, CurveHistory
from raymimic.ledger import Ledger
from raymimic.llm import LLM
from raymimic.records import EpochReport, Mode, Objective
from raymimic.scheduling.decisions import Decisions
from raymimic.scheduling.population import Checkpoints
from raymimic.scheduling.rank_rule import CAREFUL, EAGER
from raymimic.scheduling.verdict import Verdict
from raymimic.scheduling.worth import COUNTED, TIMED
from raymimic.tune import restored_trials
from raymimic.tune.arguments import budget_seconds
from raymimic.tune.blind import FirstScore
from raymimic.tune.clock import Clock
from raymimic.tune.faults import Faults
from raymimic.tune.guarded import guarded
from raymimic.tune.live import LiveKnobs
from raymimic.tune.mailbox import ray_mailbox
from raymimic.tune.objectives import check_agrees, check_same, read_objectives
from raymimic.tune.places import settle
from raymimic.tune.results import TIME_ATTR, Reports

if TYPE_CHECKING:
    from raymimic.tune.searcher import LLMSearcher

logger = logging.getLogger(__name__)

_ENDLESS = 1_000_000  # from so many trials on it is not their number that limits a run
_TIMEOUT_S = 60.0  # longest answer of a judge


class LLMScheduler(FIFOScheduler):
    """Stops diverged, hopeless and persistently overfitting trials, under any searcher.

    A trial goes on while its chance to become the best, for the time it still takes, is at least
    that of a fresh trial of this search, both from this search's own history. Only in a run that
    its time limits, under a searcher that it is not told of, is it a race by rank (`RankRule` has
    the rules). It needs no grace period and no eta. Give the same object to
    ``RaymimicCallback(scheduler=...)`` to have each verdict in the results ("raymimic/decision")
    and on the screen. Without ``max_t`` the longest finished training tells how long one is.

    >>> from ray import tune
    >>> from raymimic import LLMScheduler
    >>> scheduler = LLMScheduler(llm="none", max_t=30)
    >>> config = tune.TuneConfig(metric="loss", mode="min", scheduler=scheduler)
    >>> scheduler.debug_string()
    'LLMScheduler: 0 trials stopped (none), 0 finished'

    Args:
        metric: Name of the metric; usually left to Tune. Of several objectives (a list, with a list
            of modes; those of ``searcher``, if it has several) the first one's curves are judged:
            a trial is hopeless only where another is no worse in all others.
        mode: "min" or "max"; usually left to Tune.
        searcher: The `LLMSearcher` of this run, if it is one: curves and ledger are shared, and
            trials are weighed against what it can be expected to propose.
        time_attr: What a result counts its epochs by: a whole number that all trials report alike
            (their own "epoch", or steps). ``grace_period`` and ``max_t`` are in its unit.
        grace_period: Epochs that every trial gets; by default a fiftieth of a full training.
        max_t: Epochs of a full training: a trial that reaches it ends there.
        patience: Stop by rank instead: at epoch e the best ``patience / e`` of all trials go on
            (with a grace period, e counts in grace periods). None: weigh each trial's chance
            against a fresh one's. Where the number of trials limits the run, an epoch saved buys
            only time and its price is small; where time does (``time_budget_s``,
            ``num_samples=-1``), it starts new trials. There, without ``searcher``, nothing is known
            of what new ones are good for: they are taken for random ones, and patience is 0.25.
        llm: Who judges trials that the rules nearly stopped (`Decisions` says which): "auto" (a
            model, if a key is in the environment), "none" (keyless rules, which stop nobody),
            "anthropic:MODEL", "openai:MODEL", an `LLM`, a `Guide`, or any object with ``judge``. A
            model is asked in the background, about several trials at once. The searcher's model is
            not used by itself: to share client, pace and budget give the same `Guide` or `Gateway`
            object as ``LLMSearcher(llm=...)`` and here.
        knobs: The knobs that the trainable lets be turned while it runs (`LiveKnobs`): trials in
            trouble go on with other values.
        population: Clone hopeless and diverged trials instead of stopping them, where a clearly
            better trial has a checkpoint: between two epochs such a trial is sent it with new knob
            values, and goes on from there (``TrialKnobs.checkpoint``); at most once in a quarter of
            a training. Needs ``knobs``, and trials that save checkpoints. A searcher is told the
            score that a cloned trial ends with under the configuration that it began with.
        instruction: What the judge should know about the task, in your words.
        ledger: File for the verdicts; by default the searcher's, or one in the
            experiment's folder.

    Raises:
        ValueError: an argument cannot work.
        LLMSetupError: ``llm`` names no model, or its key is missing.
    """

    def __init__(
        self,
        metric: str | Sequence[str] | None = None,
        mode: str | Sequence[str] | None = None,
        *,
        searcher: LLMSearcher | None = None,
        time_attr: str = TIME_ATTR,
        grace_period: int | None = None,
        max_t: int | None = None,
        patience: float | None = None,
        llm: str | LLM | Judge = "auto",
        knobs: LiveKnobs | None = None,
        population: bool = False,
        instruction: str = "",
        ledger: str | os.PathLike[str] | None = None,
    ) -> None:
        _check_arguments(grace_period, max_t, patience)
        first, its_mode, self._others = read_objectives(metric, mode)
        if population and knobs is None:
            raise ValueError(
                "LLMScheduler(population=True) sends weights to running trials through live knobs; "
                "got knobs=None: give it knobs=LiveKnobs(...), and let the trainable use them"
            )
        super().__init__()
        self._metric, self._mode = first, its_mode
        self._searcher, self._patience = searcher, patience
        self._history = CurveHistory()  # with a searcher its curves are read
        own = Reports(self._keep, self._epochs)
        self.reports = own if searcher is None else searcher.reports
        self.reports.time_attr = time_attr
        self._ledger = Ledger.at(ledger) if ledger or not searcher else None
        judge: Judge | None = choose_judge(llm, timeout=_TIMEOUT_S)
        if judge is not None and not judge.remote and knobs is None:
            judge = None  # rules without knobs have nothing to say
        self._decisions = Decisions(
            self,
            grace=grace_period,
            max_t=max_t,
            judge=judge,
            knobs=knobs.declared if knobs is not None else None,
            open_mailbox=ray_mailbox,
            population=population,
            instruction=instruction,
        )
        if judge is not None:
            logger.info("raymimic: %s.", describe_judge(judge, llm))
        if searcher is not None:
            searcher.steering.stops = True
            searcher.max_t = max_t
        self.faults = Faults("scheduler")
        self._first_score = FirstScore()
        self._begun = False
        self._clock = Clock()

    # -- what Tune calls -----------------------------------------------------------------------

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Take metric, mode and what limits the run from Tune; False if metric or mode clash."""
        if self._searcher is not None and self._searcher.metric is not None:
            known = self._searcher.objectives
            if self._metric is not None:
                self._mode = self._mode or known[0].mode
                check_same([Objective(*self.goal), *self._others], known)
            elif len(known) > 1:
                self._metric, self._mode, self._others = known[0].name, known[0].mode, known[1:]
            else:
                metric, mode = metric or known[0].name, mode or known[0].mode
        if self._others:
            check_agrees([Objective(*self.goal), *self._others], metric, mode)
        elif (self._metric and metric) or (self._mode and mode):
            return False
        self._metric = self._metric or metric or DEFAULT_METRIC
        self._mode = self._mode or mode
        if self._mode not in ("min", "max"):
            raise ValueError(f"LLMScheduler needs mode='min' or 'max', got {self._mode!r}")
        self.reports.metric = self._metric
        self.reports.others = tuple(other.name for other in self._others)
        limits = self._searcher.limits if self._searcher is not None else ()
        self._decisions.begin(*self.goal, *self._rule(spec), self._others, limits)
        self._clock.limit = budget_seconds(spec)
        return True

    def _rule(self, spec: Mapping[str, Any]) -> tuple[float, float | None]:
        """Give patience and price of the `RankRule` for what limits the run and who proposes."""
        if self._patience is not None:
            return self._patience, None
        samples = spec.get("num_samples")
        endless = samples is not None and not 0 <= samples < _ENDLESS
        timed = endless or spec.get("time_budget_s") is not None
        if timed and self._searcher is None:
            return EAGER, None
        return CAREFUL, TIMED if timed else COUNTED

    @guarded
    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Learn of a trial; after a restore, what it and the searcher's others did before."""
        del tune_controller
        ledger = self._searcher.ledger if self._ledger is None and self._searcher else self._ledger
        if ledger is not None:
            settle(ledger, trial)
        self._open()
        self._remember(trial)
        self._clock.open()
        if not self._decisions.knows(trial.trial_id):
            self._clock.begin(trial.trial_id)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Keep the epoch and say whether the trial goes on."""
        stop = self._on_result(tune_controller, trial, result)
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)

    @guarded
    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """The trial ended by itself, by a criterion, or because it was stopped here."""
        del tune_controller
        trial_id = trial.trial_id
        report = self.reports.last("scheduler", trial_id, result or {})
        self._decisions.complete(trial_id, report, self._clock.end(trial_id))
        if self._searcher is None:
            self._first_score.look([str(self._metric)], self.curve(trial_id), result or {})
            self.reports.forget(trial_id)

    @guarded
    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """A failed trial is no training to compare with; a retry takes it up again."""
        del tune_controller
        self._decisions.fail(trial.trial_id)

    @guarded
    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """A waiting trial was taken away."""
        del tune_controller
        self._decisions.fail(trial.trial_id)

    def wait(self, seconds: float) -> None:
        """Wait at most ``seconds`` for the judge's answer that is on its way; Tune never does."""
        self._decisions.wait(seconds)

    def debug_string(self) -> str:
        """One line for Tune's status."""
        return f"{type(self).__name__}: {self._text() or 'no status'}"

    # -- what others may read ------------------------------------------------------------------

    def verdict(self, trial_id: str) -> Verdict | None:
        """The latest verdict on a trial, None before its first result."""
        return self._decisions.verdict(trial_id)

    @property
    def stopped(self) -> Counter[str]:
        """How many trials were stopped, by kind of verdict."""
        return self._decisions.stopped

    @property
    def ledger(self) -> Ledger | None:
        """Where verdicts are written if not to the searcher's ledger."""
        return self._ledger

    @property
    def goal(self) -> tuple[str, Mode]:
        """Metric and mode."""
        return str(self._metric), "max" if self._mode == "max" else "min"

    @property
    def history(self) -> CurveHistory:
        """Every reported epoch; the searcher's, if there is one."""
        return self._history if self._searcher is None else self._searcher.history

    def curve(self, trial_id: str) -> Curve | None:
        """Every epoch of a trial that is known so far, None before the first."""
        history = self.history
        return history.curve(trial_id) if trial_id in history else None

    def note(self, event: str, /, **fields: Any) -> None:
        """Write an event to the ledger."""
        if self._ledger is not None:
            self._ledger.append(event, **fields)
        elif self._searcher is not None:
            self._searcher.note(event, **fields)

    def fault(self, hook: str, error: Exception) -> None:
        """Keep that a hook failed; the trial goes on."""
        self.faults.add(hook.lstrip("_"), error, self.note)

    # -- results -------------------------------------------------------------------------------

    def _on_result(self, controller: Any, trial: Any, result: Mapping[str, Any]) -> bool:
        """Whether the trial is stopped."""
        report, verdict = self._by_rule(trial, result) or (None, None)
        if report is None or verdict is None:
            return False
        if self._decisions.has_judge:  # the rules' verdict stands whatever happens there
            verdict = self._by_judge(controller, trial, report, verdict) or verdict
        if (
            self._searcher is not None
            and report.trial_id in self._searcher.steering.orders.stopping
        ):
            text = f"stopped by your wish at epoch {report.epoch}"
            verdict = Verdict("wished", report.epoch, text)
        self._settle(report, verdict)
        return verdict.stop

    @guarded
    def _by_rule(
        self, trial: Any, result: Mapping[str, Any]
    ) -> tuple[EpochReport, Verdict | None] | None:
        report = self.reports.hear("scheduler", trial.trial_id, result)
        if report is None:
            return None
        return report, self._decisions.by_rule(report, self._clock.left)

    @guarded
    def _by_judge(
        self, controller: Any, trial: Any, report: EpochReport, verdict: Verdict
    ) -> Verdict:
        config = self._config(trial)
        return self._decisions.by_judge(report, verdict, config, _checkpoints(controller))

    @guarded
    def _settle(self, report: EpochReport, verdict: Verdict) -> None:
        self._decisions.settle(report, verdict)

    def _config(self, trial: Any) -> Mapping[str, Any]:
        """What the search chose for a trial: constants of its configuration are nobody's matter."""
        record = self._searcher.trial(trial.trial_id) if self._searcher is not None else None
        if record is not None:
            return record.config
        return dict(getattr(trial, "evaluated_params", None) or {})

    def _keep(self, report: EpochReport) -> None:
        self._history.append(
            report.trial_id, report.epoch, report.metrics, restarted=report.restarted
        )

    def _epochs(self, trial_id: str) -> int:
        curve = self.curve(trial_id)
        return 0 if curve is None else int(curve.epochs[-1])

    @guarded
    def _text(self) -> str:
        return self._decisions.text()

    @guarded
    def _open(self) -> None:
        self._decisions.open()

    # -- after a restore -----------------------------------------------------------------------

    def _remember(self, trial: Any) -> None:
        """Take in what was known before: Tune saves no scheduler's state."""
        if not self._begun:
            self._begun = True
            if self._searcher is not None:
                for known in restored_trials.of_searcher(self._searcher):
                    self._decisions.remember(known.trial_id, known.curve, known.whole)
        if self._searcher is None and not self._decisions.knows(trial.trial_id):
            found = restored_trials.of_trial(trial, self.reports.time_attr)
            if found is not None:
                for epoch, row in found.curve.rows():
                    self._history.append(trial.trial_id, epoch, row)
                self._decisions.remember(trial.trial_id, found.curve, found.whole)


def _checkpoints(controller: Any) -> Checkpoints:
    """Find a trial's latest checkpoint; the controller is asked for its trials only then."""
    found: dict[str, Any] = {}

    def checkpoint_of(trial_id: str) -> Any:
        if not found:
            found.update((trial.trial_id, trial) for trial in controller.get_trials())
        trial = found.get(trial_id)
        return None if trial is None else trial.checkpoint

    return checkpoint_of


def _check_arguments(grace: int | None, max_t: int | None, patience: float | None) -> None:
    """Raise ValueError for arguments that cannot work."""
    for name, epochs in (("grace_period", grace), ("max_t", max_t)):
        if epochs is not None and epochs < 1:
            raise ValueError(f"{name} must be at least 1 epoch or None, got {epochs!r}")
    if patience is not None and not 0 < patience < math.inf:
        raise ValueError(f"patience must be a number above 0 or None, got {patience!r}")
