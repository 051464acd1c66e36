"""`RaymimicCallback`: a line on the screen per ended trial, and the reasons where people look."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

from raymimic.advisor import readings
from raymimic.curves import CurveHistory, diagnose
from raymimic.feasibility import Limit
from raymimic.foreign import without_secrets
from raymimic.pareto import Front
from raymimic.records import EpochReport, Mode, Objective
from raymimic.summary import duration, show
from raymimic.tune.blind import FirstScore
from raymimic.tune.faults import Faults
from raymimic.tune.guarded import guarded
from raymimic.tune.lines import Ended
from raymimic.tune.loggers import Loggers, columns
from raymimic.tune.places import settle, upload
from raymimic.tune.results import Reports, metrics_of
from raymimic.tune.screen import Screen

if TYPE_CHECKING:
    from raymimic.ledger import Ledger
    from raymimic.scheduling.verdict import Verdict
    from raymimic.tune.scheduler import LLMScheduler
    from raymimic.tune.searcher import LLMSearcher

_ERROR_KEPT = 2000


class RaymimicCallback(Callback):
    """Prints a line per ended trial and a meter, and writes ``raymimic/...`` columns into results.

    The columns are ``source``, ``reason``, ``why`` (the reason in 20 characters, for Tune's tables)
    and, with a scheduler, ``decision`` and ``verdict`` (the same in 20). Where Tune writes
    TensorBoard's files the words are in its text tab. Of ``loggers``, Weights & Biases shows them
    as columns, if this callback stands before it, and MLflow as tags.

    ``history`` keeps every reported epoch. With ``searcher``, lines name who proposed the trial
    and why, the searcher learns the text of errors (Tune gives it to callbacks only), and the
    summary is printed at the end. It works with every other searcher, too: give ``metric`` and
    ``mode`` then, or the scheduler. Nothing raised here reaches Tune, and what the terminal cannot
    show is replaced.

    >>> from ray import tune
    >>> from raymimic import RaymimicCallback
    >>> callback = RaymimicCallback(metric="loss", mode="min")
    >>> run = tune.RunConfig(callbacks=[callback])

    Args:
        searcher: The `LLMSearcher` of this run, if it is one.
        scheduler: The `LLMScheduler` of this run, if it is one: its verdicts are shown, too.
        metric: The metric to show; taken from ``searcher`` or ``scheduler`` if given.
        mode: "min" or "max"; taken from ``searcher`` or ``scheduler`` if given.
        loggers: The ``WandbLoggerCallback`` and ``MLflowLoggerCallback`` of this run, if any.

    Raises ValueError without a searcher, a scheduler, or both of ``metric`` and ``mode``.
    """

    def __init__(
        self,
        searcher: LLMSearcher | None = None,
        *,
        scheduler: LLMScheduler | None = None,
        metric: str | None = None,
        mode: Mode | None = None,
        loggers: Sequence[Any] = (),
    ) -> None:
        if searcher is None and scheduler is None and (metric is None or mode is None):
            raise ValueError(
                "RaymimicCallback needs a searcher=LLMSearcher(...), a scheduler=LLMScheduler(...) "
                f"or metric= and mode=, got {metric=}, {mode=}"
            )
        self._searcher, self._scheduler = searcher, scheduler
        self._metric, self._mode = metric, mode
        self._history = CurveHistory()
        shared = searcher if searcher is not None else scheduler
        self._reports = Reports(self._keep, self._epochs) if shared is None else shared.reports
        self.faults = Faults("callback")
        self._first_score = FirstScore()
        self._screen = Screen()
        self.loggers = Loggers()
        self.loggers.meet(loggers)
        self._total: int | None = None
        self._ended = 0
        self._best: tuple[float, str] | None = None
        self._front = Front()
        self._looked = False
        self._begun = time.time()

    @property
    def history(self) -> CurveHistory:
        """Every reported epoch; that of the searcher or the scheduler, if there is one."""
        shared = self._searcher if self._searcher is not None else self._scheduler
        return self._history if shared is None else shared.history

    @property
    def _ledger(self) -> Ledger | None:
        """The searcher's, else the scheduler's own."""
        if self._searcher is not None:
            return self._searcher.ledger
        return self._scheduler.ledger if self._scheduler is not None else None

    def fault(self, hook: str, error: Exception) -> None:
        """Keep that a hook failed; the run goes on."""
        self.faults.add(hook.lstrip("_"), error, self._note)

    def _note(self, event: str, /, **fields: Any) -> None:
        """Write an event to the ledger, if there is one."""
        shared = self._searcher if self._searcher is not None else self._scheduler
        if shared is not None:
            shared.note(event, **fields)

    # -- what Tune calls -----------------------------------------------------------------------

    @guarded
    def setup(
        self,
        stop: Any = None,
        num_samples: int | None = None,
        total_num_samples: int | None = None,
        **info: Any,
    ) -> None:
        """Learn how many trials there will be."""
        total = total_num_samples or num_samples
        self._total = total if total and 0 < total < 2**31 else None
        self._begun = time.time()
        self._looked = False
        if self._searcher is not None:
            self._searcher.attended = True

    @guarded
    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Count, once, what a restored run had ended before."""
        if self._looked:
            return
        self._looked = True
        metric, mode = self._goal()
        ended = [trial for trial in trials if trial.is_finished()]
        self._ended = len(ended)
        names = [one.name for one in self._others()]
        for trial in ended:
            values = metrics_of(trial.last_result or {}, metric, *names)
            score = values.get(metric)
            if score is not None and math.isfinite(score):
                self._keep_best(trial.trial_id, score, mode, values)

    @guarded
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Let the ledger go to the run's folder; show the meter, once all is said at its start."""
        if self._ledger is not None:
            settle(self._ledger, trial)
        self._screen.begin(self._total, self._ended)
        self._show_meter()

    @guarded
    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Keep the epoch; write who proposed the trial, and why, into the result."""
        report = self._reports.hear("callback", trial.trial_id, result)
        record = self._searcher.trial(trial.trial_id) if self._searcher is not None else None
        verdict = self._verdict(trial.trial_id)
        result.update(columns(record, verdict, decides=self._scheduler is not None))
        if self._limits():
            result["raymimic/limits"] = self._beyond(trial.trial_id) or "kept"
        now = verdict is not None and report is not None and verdict.epoch == report.epoch
        if now and verdict is not None and verdict.clone:
            self._screen.line(f"{self._prefix()}{trial.trial_id}  {verdict.clone}")

    @guarded
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Print the ended trial."""
        if self._searcher is None and self._scheduler is None:  # else they look
            curve = self._history.curve(trial.trial_id) if trial.trial_id in self._history else None
            last = getattr(trial, "last_result", None) or {}
            self._first_score.look([str(self._metric)], curve, last)
        self._print(trial, "")

    @guarded
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell the searcher why the trial failed, and print it."""
        text = _error_text(trial)
        if self._searcher is not None:
            self._searcher.note_error(trial.trial_id, text)
        self._print(trial, text)

    @guarded
    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Say what came of it all, once."""
        self._screen.close()
        text = ""
        if self._searcher is not None:
            text = self._searcher.finish()
        elif self._scheduler is not None:
            text = self._scheduler.debug_string()
        if text:
            self._say(text)
        if self._ledger is not None and trials:
            upload(self._ledger, trials[0])

    # -- the screen ----------------------------------------------------------------------------

    @guarded
    def _say(self, text: str) -> None:
        self._screen.write(text)

    def _print(self, trial: Any, error: str) -> None:
        trial_id = trial.trial_id
        self._reports_end(trial_id)
        self._ended += 1
        ended = self._end_of(trial_id, error)
        self._screen.line(ended.line(self._screen.width, self._prefix().rstrip()))
        self._show_meter()
        self._tell_loggers(trial, ended)

    @guarded
    def _tell_loggers(self, trial: Any, ended: Ended) -> None:
        """A logger that fails costs the trial's line nothing."""
        self.loggers.tell(trial, ended)

    def _reports_end(self, trial_id: str) -> None:
        if self._searcher is None and self._scheduler is None:  # else they forget it
            self._reports.forget(trial_id)

    def _verdict(self, trial_id: str) -> Verdict | None:
        return self._scheduler.verdict(trial_id) if self._scheduler is not None else None

    def _end_of(self, trial_id: str, error: str) -> Ended:
        metric, mode = self._goal()
        record = self._searcher.trial(trial_id) if self._searcher is not None else None
        curve = self.history.curve(trial_id) if trial_id in self.history else None
        score = curve.final(metric) if curve is not None and not error else None
        diagnosis = (
            record.diagnosis if record is not None else None
        )  # the searcher's, if it has one
        if diagnosis is None and curve is not None and score is not None:
            diagnosis = diagnose(curve, metric, mode)
        found = {} if curve is None else {o.name: curve.final(o.name) for o in self._others()}
        others = {name: value for name, value in found.items() if value is not None}
        beyond = "" if error else self._beyond(trial_id)
        counts = score is not None and not beyond
        return Ended(
            trial_id=trial_id,
            metric=metric,
            score=score,
            best=counts and self._keep_best(trial_id, score or 0.0, mode, others),
            beyond=beyond,
            others=others,
            epochs=0 if curve is None else len(curve),
            diagnosis=diagnosis if score is not None else None,
            source=record.source if record is not None else "",
            reason=record.rationale if record is not None else "",
            verdict=self._verdict(trial_id),
            error=error,
        )

    def _limits(self) -> tuple[Limit, ...]:
        return self._searcher.limits if self._searcher is not None else ()

    def _beyond(self, trial_id: str) -> str:
        """Say which limits a trial is beyond by what it reported last, "" where none."""
        limits = self._limits()
        curve = self.history.curve(trial_id) if limits and trial_id in self.history else None
        return "; ".join(one.text for one in readings(limits, curve) if one.broken)

    def _keep_best(
        self, trial_id: str, score: float, mode: Mode, values: Mapping[str, float]
    ) -> bool:
        """Whether it is the best so far; of several objectives, whether it is on the front."""
        others = self._others()
        if others:
            own = Objective("", mode).loss({"": score})
            return self._front.add([own, *(one.loss(values) for one in others)])
        better = self._best is None or (
            score < self._best[0] if mode == "min" else score > self._best[0]
        )
        self._best = (score, trial_id) if better else self._best
        return better

    def _prefix(self) -> str:
        """How far the search is, where no meter says it: trials, time and, with a model, money."""
        if self._screen.live:
            return ""
        count = f"{self._ended}/{self._total}" if self._total else f"{self._ended}"
        return f"[{' · '.join([count, duration(time.time() - self._begun), *self._money()])}]  "

    def _money(self) -> list[str]:
        spent = self._searcher is not None and self._searcher.tally.calls
        return [self._searcher.tally.money] if self._searcher is not None and spent else []

    def _show_meter(self) -> None:
        rest = self._money()
        if len(self._front):
            rest.append(f"{len(self._front)} on the front")
        if self._best is not None:
            score, trial_id = self._best
            rest.append(f"best {self._goal()[0]} {show(score)} ({trial_id})")
        self._screen.meter(self._ended, " · ".join(rest))

    def _goal(self) -> tuple[str, Mode]:
        if self._searcher is not None:
            return self._searcher.metric, self._searcher.mode
        if self._metric is not None and self._mode is not None:
            return self._metric, self._mode
        assert self._scheduler is not None, "the constructor asks for it"
        return self._scheduler.goal

    def _others(self) -> tuple[Objective, ...]:
        """The objectives beside the metric."""
        return self._searcher.objectives[1:] if self._searcher is not None else ()

    # -- without searcher and scheduler ----------------------------------------------------------

    def _keep(self, report: EpochReport) -> None:
        self._history.append(
            report.trial_id, report.epoch, report.metrics, restarted=report.restarted
        )

    def _epochs(self, trial_id: str) -> int:
        known = trial_id in self._history
        return int(self._history.curve(trial_id).epochs[-1]) if known else 0


def _error_text(trial: Any) -> str:
    """The end of the trial's traceback, from the file that Tune has just written beside us."""
    try:
        text = Path(trial.error_file or "").read_text(errors="replace")
    except OSError:
        return "no error text"
    return without_secrets(text)[-_ERROR_KEPT:].strip()
