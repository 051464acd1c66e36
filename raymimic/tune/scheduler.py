"""`LLMScheduler`: stops trials that cannot win, and says why in numbers.

Everything happens on Tune's controller thread within a fraction of a millisecond; a language model
that judges running trials answers on a thread of its own (`Judging`). Nothing raised here reaches
Tune, where it would abort the whole experiment: the trial goes on instead.
"""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ray.tune.result import DEFAULT_METRIC
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from raymimic import events
from raymimic.advisor import Judge, choose_judge, describe_judge
from raymimic.curves import Curve, CurveHistory, Diagnosis, diagnose
from raymimic.ledger import Ledger, default_ledger_path
from raymimic.llm import LLM
from raymimic.records import Mode
from raymimic.scheduling.judging import Judging
from raymimic.scheduling.rank_rule import CAREFUL, EAGER, Stopping
from raymimic.scheduling.verdict import (
    Verdict,
    diverged,
    going_on,
    going_on_redirected,
    hopeless,
    may_be_ill,
    overfitting,
    whole,
)
from raymimic.tune import restored_trials as earlier
from raymimic.tune.live import LiveKnobs
from raymimic.tune.results import epoch_of, metrics_of, restarted

if TYPE_CHECKING:
    from raymimic.tune.searcher import LLMSearcher

logger = logging.getLogger(__name__)

_ENDLESS = 1_000_000  # from so many trials on it is not their number that limits a run
_TIMEOUT_S = 60.0  # longest answer of a judge


class LLMScheduler(FIFOScheduler):
    """Stops diverged, hopeless and persistently overfitting trials, under any searcher.

    A trial is hopeless if neither its place among all trials nor its best, its pace or its noise
    keeps it among those that go on, and, with a patience of 1 or more, no forecast of its curve
    from the finished ones spares it (`Stopping` has the rules). It needs no grace period and no
    eta. Give the same object to ``RaymimicCallback(scheduler=...)`` to have each verdict in the
    results ("raymimic/decision") and on the screen. Without ``max_t`` the longest finished training
    tells how long one is.

    Args:
        metric: Name of the metric; usually left to Tune.
        mode: "min" or "max"; usually left to Tune.
        searcher: The `LLMSearcher` of this run, if it is one: curves and ledger are shared.
        grace_period: Epochs that every trial gets; by default a fiftieth of a full training.
        max_t: Epochs of a full training: a trial that reaches it ends there.
        patience: At epoch e the best ``patience / e`` of all trials go on. None: 2 if the number
            of trials limits the run, where hardly ever the best one may be lost; 0.25 if its time
            does (``time_budget_s``, ``num_samples=-1``), where each stopped one makes room for new
            ones. With a grace period, e counts in grace periods.
        advisor: Who judges trials that the rules nearly stopped (`Judging` says which): "none"
            (keyless rules, which stop nobody), "auto" (a key in the environment, else those),
            "anthropic:MODEL", "openai:MODEL", an `LLM`, a `Guide`, or any object with ``judge``. A
            model is asked in the background, about several trials at once. The searcher's model is
            not used by itself: to share client, pace and budget give the same `Guide` or `Gateway`
            object as ``LLMSearcher(llm=...)`` and here.
        redirect: The knobs that the trainable lets be turned while it runs (`LiveKnobs`): trials in
            trouble go on with other values.
        population: Clone hopeless and diverged trials instead of stopping them, where a clearly
            better trial has a checkpoint: between two epochs such a trial is sent it with new knob
            values, and goes on from there (``TrialKnobs.checkpoint``); at most once in a quarter of
            a training. Needs ``redirect``. A searcher is told the score that a cloned trial ends
            with under the configuration that it began with.
        instruction: What the advisor should know about the task, in your words.
        ledger: File for the verdicts; by default the searcher's, or a new one in
            ``~/ray_results/raymimic/``.

    Raises:
        ValueError: an argument cannot work.
        LLMSetupError: ``advisor`` names no model, or its key is missing.
    """

    def __init__(
        self,
        metric: str | None = None,
        mode: str | None = None,
        *,
        searcher: LLMSearcher | None = None,
        grace_period: int | None = None,
        max_t: int | None = None,
        patience: float | None = None,
        advisor: str | LLM | Judge = "none",
        redirect: LiveKnobs | None = None,
        population: bool = False,
        instruction: str = "",
        ledger: str | os.PathLike[str] | None = None,
    ) -> None:
        _check_arguments(mode, grace_period, max_t, patience)
        if population and redirect is None:
            raise ValueError(
                "LLMScheduler(population=True) sends weights to running trials through live knobs; "
                "got redirect=None: give it redirect=LiveKnobs(...)"
            )
        super().__init__()
        self._metric = metric
        self._mode: str | None = mode
        self._searcher, self._max_t = searcher, max_t
        self._patience = patience
        self._stopping = Stopping(grace=grace_period, length=max_t, patience=patience or CAREFUL)
        # With a searcher its curves are read.
        self._history = None if searcher else CurveHistory()
        self._ledger = Ledger(ledger or default_ledger_path()) if ledger or not searcher else None
        judge = choose_judge(advisor, timeout=_TIMEOUT_S)
        self._judging: Judging | None = None
        if judge.remote or redirect is not None:  # rules without knobs have nothing to say
            self._judging = Judging(judge, redirect, instruction, population=population)
            logger.info("raymimic: %s.", describe_judge(judge))
        self._verdicts: dict[str, Verdict] = {}
        self._looked: dict[str, tuple[int, Diagnosis | None]] = {}
        self.stopped: Counter[str] = Counter()
        self._begun = self._failed = False

    # -- what Tune calls -----------------------------------------------------------------------

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Take metric, mode and what limits the run from Tune; False if metric or mode clash."""
        if (self._metric and metric) or (self._mode and mode):
            return False
        self._metric = self._metric or metric or DEFAULT_METRIC
        self._mode = self._mode or mode
        if self._mode not in ("min", "max"):
            raise ValueError(f"LLMScheduler needs mode='min' or 'max', got {self._mode!r}")
        if self._patience is None:
            samples = spec.get("num_samples")
            endless = samples is not None and not 0 <= samples < _ENDLESS
            timed = endless or spec.get("time_budget_s") is not None
            self._stopping.patience = EAGER if timed else CAREFUL
        return True

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Learn of a trial; after a restore, what it and the searcher's others did before."""
        del tune_controller
        self._safely(lambda: self._remember(trial))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Keep the epoch and say whether the trial goes on."""
        verdict = self._safely(lambda: self._judge(tune_controller, trial, result))
        stop = verdict is not None and verdict.stop
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """The trial ended by itself, by a criterion, or because it was stopped here."""
        del tune_controller
        self._safely(lambda: self._complete(trial.trial_id, result))

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """A failed trial is no training to compare with; a retry takes it up again."""
        del tune_controller
        self._safely(lambda: self._end(trial.trial_id, whole=False))

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """A waiting trial was taken away."""
        del tune_controller
        self._safely(lambda: self._end(trial.trial_id, whole=False))

    def debug_string(self) -> str:
        """One line for Tune's status."""
        counts = ", ".join(f"{kind} {count}" for kind, count in self.stopped.most_common())
        text = (
            f"LLMScheduler: {self.stopped.total()} trials stopped ({counts or 'none'}), "
            f"{self._stopping.finished} finished"
        )
        judged = self._judging.text() if self._judging is not None else ""
        return f"{text}; {judged}" if judged else text

    # -- what others may read ------------------------------------------------------------------

    def verdict(self, trial_id: str) -> Verdict | None:
        """The latest verdict on a trial, None before its first result."""
        return self._verdicts.get(trial_id)

    @property
    def ledger(self) -> Ledger | None:
        """Where verdicts are written if not to the searcher's ledger."""
        return self._ledger

    @property
    def goal(self) -> tuple[str, Mode]:
        """Metric and mode."""
        return str(self._metric), "max" if self._mode == "max" else "min"

    @property
    def length(self) -> int:
        """Epochs of a full training as far as known, 0 before any."""
        return self._stopping.length

    def curve(self, trial_id: str) -> Curve | None:
        """Every epoch of a trial that is known so far, None before the first."""
        if self._searcher is not None:  # it hears of this epoch after us
            return self._searcher.curve(trial_id)
        history = self._history
        return history.curve(trial_id) if history is not None and trial_id in history else None

    def config(self, trial: Any) -> Mapping[str, Any]:
        """What the search chose for a trial: constants of its configuration are nobody's matter."""
        record = self._searcher.trial(trial.trial_id) if self._searcher is not None else None
        if record is not None:
            return record.config
        return dict(getattr(trial, "evaluated_params", None) or {})

    def note(self, event: str, /, **fields: Any) -> None:
        """Write an event to the ledger."""
        if self._ledger is not None:
            self._ledger.append(event, **fields)
        elif self._searcher is not None:
            self._searcher.note(event, **fields)

    # -- judging -------------------------------------------------------------------------------

    def _judge(self, controller: Any, trial: Any, result: Mapping[str, Any]) -> Verdict | None:
        trial_id = trial.trial_id
        metrics, epoch = metrics_of(result), epoch_of(result)
        value = metrics.get(str(self._metric))
        if epoch is None or value is None:
            return None  # the metric comes every few epochs
        if self._history is not None:
            self._history.append(trial_id, epoch, metrics, restarted=restarted(result))
        if self._judging is not None and self._judging.arrives(trial_id, result):
            self._stopping.clone(trial_id)
        self._stopping.add(trial_id, epoch, value if self._mode == "min" else -value)
        verdict = self._verdict(trial_id, epoch, value)
        if self._judging is not None:
            verdict = self._judged(controller, trial, result, epoch, value, verdict)
        self._verdicts[trial_id] = verdict
        if verdict.stop:
            self._note(trial_id, verdict)
        return verdict

    def _judged(
        self,
        controller: Any,
        trial: Any,
        result: Mapping[str, Any],
        epoch: int,
        value: float,
        verdict: Verdict,
    ) -> Verdict:
        judging = self._judging
        if judging is None:
            return verdict
        if verdict.stop and judging.spares(trial.trial_id, verdict):
            verdict = going_on_redirected(verdict)
        if verdict.stop and not judging.clones(verdict):
            return verdict
        looked, found = self._looked.get(trial.trial_id, (0, None))
        given = found if looked == epoch else None
        told: Verdict | None = self._safely(  # the rules' verdict stands whatever happens there
            lambda: judging.consider(self, controller, trial, result, epoch, value, verdict, given)
        )
        return told or verdict

    def _verdict(self, trial_id: str, epoch: int, value: float) -> Verdict:
        metric, mode = self.goal
        if self._max_t is not None and epoch >= self._max_t:
            return whole(epoch)
        if not math.isfinite(value):
            curve = self.curve(trial_id)
            before = curve.last(metric) if curve is not None else None
            if before is not None:  # a reward before the first episode's end is no divergence
                return diverged(epoch, metric, value, before)
        reading = self._stopping.read(trial_id)
        if reading is not None and reading.hopeless:
            return hopeless(reading, metric, mode, value)
        found = self._diagnosed(trial_id, epoch) if may_be_ill(reading) else None
        if found is not None:
            if "diverged" in found:
                return Verdict("diverged", epoch, f"diverged: {found.text}")
            if (verdict := overfitting(found, reading, epoch)) is not None:
                return verdict
        if reading is None:  # between two looks the latest holds
            return self._verdicts.get(trial_id) or Verdict("continue", epoch, "continue")
        return going_on(reading, mode)

    def _diagnosed(self, trial_id: str, epoch: int) -> Diagnosis | None:
        """A diagnosis every tenth of a training, from the fifth epoch on: it takes about 1 ms."""
        step = max(2, (self._stopping.length or epoch) // 10)
        looked = self._looked.get(trial_id, (0, None))[0]
        if epoch < 5 or epoch - looked < step:
            return None
        curve = self.curve(trial_id)
        if curve is not None and self._judging is not None:
            curve = curve.since(self._judging.moved(trial_id))
        found = diagnose(curve, *self.goal) if curve is not None else None
        self._looked[trial_id] = epoch, found
        return found

    def _complete(self, trial_id: str, result: Mapping[str, Any] | None) -> None:
        value = metrics_of(result or {}).get(str(self._metric))
        epoch = epoch_of(result or {})
        verdict = self._verdicts.get(trial_id)
        stopped = verdict is not None and verdict.stop and verdict.kind != "whole"
        if value is not None and epoch is not None and not stopped:
            self._stopping.add(trial_id, epoch, value if self._mode == "min" else -value)
        self._end(trial_id, whole=not stopped)
        if self._judging is not None and value is not None and not stopped:
            self._judging.finished(trial_id, value)

    def _end(self, trial_id: str, *, whole: bool) -> None:
        self._stopping.end(trial_id, whole=whole)
        self._looked.pop(trial_id, None)
        if self._judging is not None:
            self._judging.ended(self, trial_id)

    def _note(self, trial_id: str, verdict: Verdict) -> None:
        if verdict.kind == "whole":
            return
        self.stopped[verdict.kind] += 1
        events.stop(self.note, trial_id=trial_id, **verdict.fields())

    # -- after a restore -----------------------------------------------------------------------

    def _remember(self, trial: Any) -> None:
        """Take in what was known before: Tune saves no scheduler's state."""
        metric, sign = str(self._metric), -1.0 if self._mode == "max" else 1.0
        if self._judging is not None:
            self._safely(self._judging.open)
        if not self._begun:
            self._begun = True
            if self._searcher is not None:
                for trial_id, curve, ended in earlier.of_searcher(self._searcher):
                    self._take(trial_id, curve, metric, sign, ended)
        if self._searcher is None and trial.trial_id not in self._stopping:
            found = earlier.of_trial(trial)
            if found is not None:
                curve, ended = found
                for epoch, row in curve.rows():
                    self._history.append(trial.trial_id, epoch, row)  # type: ignore[union-attr]
                self._take(trial.trial_id, curve, metric, sign, ended)

    def _take(
        self, trial_id: str, curve: Curve, metric: str, sign: float, ended: bool | None
    ) -> None:
        for epoch, value in curve.reported(metric):
            self._stopping.add(trial_id, epoch, sign * value)
        if ended is not None:
            self._stopping.end(trial_id, whole=ended)
            final = curve.final(metric)
            if self._judging is not None and ended and final is not None:
                self._judging.finished(trial_id, final)

    def _safely(self, work: Callable[[], Any]) -> Any:
        """Do it; a failure is logged once and changes nothing for the trial."""
        try:
            return work()
        except Exception:
            if not self._failed:
                logger.warning(
                    "raymimic: the scheduler failed (said once); trials go on without it.",
                    exc_info=True,
                )
            self._failed = True
            return None


def _check_arguments(
    mode: Any, grace: int | None, max_t: int | None, patience: float | None
) -> None:
    """Raise ValueError for arguments that cannot work."""
    if mode not in (None, "min", "max"):
        raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
    for name, epochs in (("grace_period", grace), ("max_t", max_t)):
        if epochs is not None and epochs < 1:
            raise ValueError(f"{name} must be at least 1 epoch or None, got {epochs!r}")
    if patience is not None and not 0 < patience < math.inf:
        raise ValueError(f"patience must be a number above 0 or None, got {patience!r}")
