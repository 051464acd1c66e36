"""`RaymimicCallback`: a line on the screen per ended trial, and the reasons in Tune's results."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Callback

from raymimic.curves import CurveHistory, Diagnosis, diagnose
from raymimic.foreign import without_secrets
from raymimic.records import EpochReport, Mode
from raymimic.summary import duration, last_line, show
from raymimic.tune.blind import FirstScore
from raymimic.tune.faults import Faults
from raymimic.tune.guarded import guarded
from raymimic.tune.results import Reports, metrics_of

if TYPE_CHECKING:
    from raymimic.tune.scheduler import LLMScheduler
    from raymimic.tune.searcher import LLMSearcher

_ERROR_CHARS = 160
_ERROR_KEPT = 2000
_REASON_CHARS = 160
_VERDICT_CHARS = 240


class RaymimicCallback(Callback):
    """Prints a line per ended trial and a meter, and writes ``raymimic/...`` columns into results.

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

    Raises ValueError without a searcher, a scheduler, or both of ``metric`` and ``mode``.
    """

    def __init__(
        self,
        searcher: LLMSearcher | None = None,
        *,
        scheduler: LLMScheduler | None = None,
        metric: str | None = None,
        mode: Mode | None = None,
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
        self._total: int | None = None
        self._ended = 0
        self._best: float | None = None
        self._looked = False
        self._begun = time.time()

    @property
    def history(self) -> CurveHistory:
        """Every reported epoch; that of the searcher or the scheduler, if there is one."""
        shared = self._searcher if self._searcher is not None else self._scheduler
        return self._history if shared is None else shared.history

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
        for trial in ended:
            score = metrics_of(trial.last_result or {}, metric).get(metric)
            if score is not None and math.isfinite(score):
                self._keep_best(score, mode)

    @guarded
    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Keep the epoch; write who proposed the trial, and why, into the result."""
        report = self._reports.hear("callback", trial.trial_id, result)
        record = self._searcher.trial(trial.trial_id) if self._searcher is not None else None
        if record is not None:
            result["raymimic/source"] = record.source
            result["raymimic/reason"] = record.rationale
        if self._scheduler is not None:
            verdict = self._scheduler.verdict(trial.trial_id)
            result["raymimic/decision"] = verdict.text if verdict is not None else "continue"
            now = verdict is not None and report is not None and verdict.epoch == report.epoch
            if now and verdict is not None and verdict.clone:
                _write(f"{self._meter()}  trial {trial.trial_id}  {verdict.clone}")

    @guarded
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Print the ended trial."""
        if self._searcher is None and self._scheduler is None:  # else they look
            curve = self._history.curve(trial.trial_id) if trial.trial_id in self._history else None
            last = getattr(trial, "last_result", None) or {}
            self._first_score.look(str(self._metric), curve, last)
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
        """Let scheduler and searcher say what came of it all."""
        self._say_status()
        if self._searcher is not None:
            self._searcher.finish()

    # -- the screen ----------------------------------------------------------------------------

    @guarded
    def _say_status(self) -> None:
        """A terminal that fails keeps no summary from the ledger."""
        if self._scheduler is not None:
            _write(self._scheduler.debug_string())

    def _print(self, trial: Any, error: str) -> None:
        self._reports_end(trial.trial_id)
        self._ended += 1
        metric, mode = self._goal()
        record = self._searcher.trial(trial.trial_id) if self._searcher is not None else None
        known = record.diagnosis if record is not None else None
        lines = [self._headline(trial.trial_id, metric, mode, error, known)]
        if record is not None and record.rationale:
            lines.append(f"      {record.source}: {_cut(record.rationale, _REASON_CHARS)}")
        verdict = self._scheduler.verdict(trial.trial_id) if self._scheduler is not None else None
        if verdict is not None and verdict.stop:
            lines.append(f"      stopped: {_cut(verdict.text, _VERDICT_CHARS)}")
        _write("\n".join(lines))

    def _reports_end(self, trial_id: str) -> None:
        if self._searcher is None and self._scheduler is None:  # else they forget it
            self._reports.forget(trial_id)

    def _headline(
        self, trial_id: str, metric: str, mode: Mode, error: str, known: Diagnosis | None
    ) -> str:
        head = f"{self._meter()}  trial {trial_id}  "
        if error:
            return head + f"failed: {_cut(last_line(error), _ERROR_CHARS)}"
        if trial_id not in self.history:
            return head + "stopped before its first epoch"
        curve = self.history.curve(trial_id)
        score = curve.final(metric)
        if score is None:
            return head + f"no finite {metric} after {len(curve)} epochs"
        better = self._keep_best(score, mode)
        diagnosis = known or diagnose(curve, metric, mode)  # the searcher's, where it has one
        mark = " *best*" if better else ""
        return head + f"{metric} {show(score)}{mark}  {diagnosis.text}"

    def _keep_best(self, score: float, mode: Mode) -> bool:
        better = self._best is None or (score < self._best if mode == "min" else score > self._best)
        self._best = score if better else self._best
        return better

    def _meter(self) -> str:
        """How far the search is: trials, time and, with a model, money."""
        count = f"{self._ended}/{self._total}" if self._total else f"{self._ended}"
        parts = [count, duration(time.time() - self._begun)]
        if self._searcher is not None and self._searcher.tally.calls:
            parts.append(self._searcher.tally.money)
        return f"[{' · '.join(parts)}]"

    def _goal(self) -> tuple[str, Mode]:
        if self._searcher is not None:
            return self._searcher.metric, self._searcher.mode
        if self._metric is not None and self._mode is not None:
            return self._metric, self._mode
        assert self._scheduler is not None, "the constructor asks for it"
        return self._scheduler.goal

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


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _write(text: str) -> None:
    """Print a line; what the terminal's encoding has no sign for becomes a question mark."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()
