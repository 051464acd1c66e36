"""Which running trials go on: the rules first, then what a judge says of those in doubt."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raymimic import events
from raymimic.advisor import Judge
from raymimic.curves import Curve
from raymimic.feasibility import Limit
from raymimic.records import EpochReport, Knob, Mode, Objective
from raymimic.scheduling.cases import borderline, in_doubt
from raymimic.scheduling.exploit import Exploits
from raymimic.scheduling.judging import Judging
from raymimic.scheduling.limits import Limits
from raymimic.scheduling.population import Checkpoints
from raymimic.scheduling.rank_rule import CAREFUL, RankRule, Reading
from raymimic.scheduling.redirects import Mailbox, Redirects, moves_of
from raymimic.scheduling.rules import Look, verdict_of
from raymimic.scheduling.running import JudgedCase, Keeper, Run, RunningTrial
from raymimic.scheduling.several import Others
from raymimic.scheduling.verdict import Verdict, going_on_redirected, remarked, stopped_by_judge
from raymimic.summary import plural

_AGAIN = 10  # a trial is brought to the judge again after this part of a full training


class Decisions:
    """Takes in what trials report, in any order, and says which go on; plain data, never waits.

    Each report is decided by the rules (`by_rule`), then `by_judge` where there is a judge, and
    `settle` keeps the outcome. *Borderline* is a trial that the rules let go on although its place
    alone would have ended it, or although its forecast chance to become the best is below 3%. Only
    such a trial may be stopped by a judge, only once a training has finished, and never one that
    leads: that is the best of all at its epoch, or has reported the best value of all. Where knobs
    can be turned, a trial *in trouble* (diagnosed as overfitting, oscillating, diverging or on a
    plateau) is brought to the judge, too: it may be redirected.

    A trial is brought at most every tenth of a training. As long after a redirect the rules do not
    stop the trial for a poor place or overfitting: what the redirect does is to be seen. An answer
    acts at the trial's next result. It is stale if the trial has ended or started again, outdated
    if the trial is in doubt no more.

    With ``population`` a trial that the rules would stop as hopeless or diverged, and that a better
    one's checkpoint could help, is brought with that leader (`Exploits`). What a clone does is
    measured as what a redirect does.

    Without a ``judge`` the rules decide alone. ``open_mailbox`` finds the `Mailbox` through which
    knobs are turned, or starts it.
    """

    def __init__(
        self,
        keeper: Keeper,
        *,
        grace: int | None = None,
        max_t: int | None = None,
        judge: Judge | None = None,
        knobs: Mapping[str, Knob] | None = None,
        open_mailbox: Callable[[], Mailbox] | None = None,
        population: bool = False,
        instruction: str = "",
    ) -> None:
        self.stopped: Counter[str] = Counter()
        self._max_t = max_t
        ranks = RankRule(grace=grace, length=max_t, patience=CAREFUL)
        self._run = Run(keeper, ranks, knobs or {})
        self._redirects = Redirects(open_mailbox) if knobs and open_mailbox else None
        self._judging: Judging | None = None
        self._exploits: Exploits | None = None
        if judge is not None:
            self._judging = Judging(judge, self._redirects, instruction, population=population)
            if population and self._redirects is not None:
                self._exploits = Exploits(self._judging, self._redirects)
        self._others = Others()
        self._best: tuple[float, str] = (math.inf, "")

    # -- what the run is -------------------------------------------------------------------------

    def begin(
        self,
        metric: str,
        mode: Mode,
        patience: float = CAREFUL,
        price: float | None = None,
        others: Sequence[Objective] = (),
        limits: Sequence[Limit] = (),
    ) -> None:
        """Say what is optimised, and by what `RankRule` finds trials hopeless.

        ``others`` are objectives beside the metric: see `Others`; ``limits`` what results must keep
        to: see `Limits`.
        """
        self._others, self._run.limits = Others(others), Limits(limits)
        self._run.metric, self._run.mode = metric, mode
        self._run.ranks.patience, self._run.ranks.price = patience, price

    def open(self) -> None:
        """A first trial comes: the mailbox that it will look for must be there."""
        if self._redirects is not None:
            self._redirects.open()

    @property
    def has_judge(self) -> bool:
        """Whether anybody beside the rules has a say."""
        return self._judging is not None

    def wait(self, seconds: float) -> None:
        """Wait at most ``seconds`` for the judge's answer that is on its way."""
        if self._judging is not None:
            self._judging.wait(seconds)

    # -- reports ---------------------------------------------------------------------------------

    def by_rule(self, report: EpochReport, seconds_left: float | None = None) -> Verdict | None:
        """Take in a report and ask the rules; None if it does not hold the metric.

        ``seconds_left`` until the run ends, None without a limit.
        """
        self._hear(report)
        if report.value is None:
            return None  # the metric comes every few epochs
        run, trial = self._run, self._trial(report.trial_id)
        if self._redirects is not None and self._redirects.arrives(trial, report):
            run.ranks.clone(trial.trial_id)
        cost = run.cost(trial.trial_id, report.value)
        run.ranks.add(trial.trial_id, report.epoch, cost, report.pace)
        run.ranks.seconds_left = seconds_left
        verdict = verdict_of(Look(run, trial, report, report.value, self._max_t))
        return self._others.spare(run, report, verdict)

    def by_judge(
        self,
        report: EpochReport,
        verdict: Verdict,
        config: Mapping[str, Any],
        checkpoint_of: Checkpoints,
    ) -> Verdict:
        """Give the verdict that stands once the judge is heard.

        ``config`` is what the search chose for the trial. What raises here leaves the rules'
        verdict as it is.
        """
        judging, run, trial = self._judging, self._run, self._trial(report.trial_id)
        value = report.value
        assert judging is not None, "the caller looks at `has_judge`"
        assert value is not None, "the rules gave a verdict on it"
        if self._is_spared(trial, verdict):
            verdict = going_on_redirected(verdict)
        if verdict.stop and not self._may_exploit(verdict):
            return verdict
        trial.report, trial.config = report, config
        standing = run.cost(trial.trial_id, value), trial.trial_id
        self._best = min(self._best, standing, key=_worst_if_nan)
        if verdict.reading is not None and verdict.reading.epoch == report.epoch:
            trial.reading = verdict.reading
        lost = self._redirects is not None and self._redirects.hear(run, trial, report)
        judging.collect(run)
        if self._exploits is not None and (lost or verdict.stop or trial.exploit is not None):
            told = self._exploits.consider(run, trial, verdict, checkpoint_of, lost=lost)
            if told is not None:
                return told
        knobs = self._redirects is not None
        if in_doubt(trial, report.epoch, knobs=knobs) and self._is_due(judging, trial, report):
            doubted = trial.reading is not None and borderline(trial.reading)
            judging.bring(run, trial, may_stop=doubted and self._may_stop(judging, trial))
        answer = judging.ask(run, trial)
        return verdict if answer is None else self._apply(judging, trial, answer, verdict, report)

    def settle(self, report: EpochReport, verdict: Verdict) -> None:
        """Keep the verdict that stands; a stop is counted and goes to the ledger."""
        self._trial(report.trial_id).verdict = verdict
        if verdict.stop and verdict.kind != "whole":
            self.stopped[verdict.kind] += 1
            events.stop(self._run.keeper.note, trial_id=report.trial_id, **verdict.fields())

    def complete(self, trial_id: str, report: EpochReport | None, seconds: float = 0.0) -> None:
        """A trial ended by itself, by a criterion, or because it was stopped here.

        It took ``seconds`` of wall time, 0 if unknown.
        """
        verdict, run = self.verdict(trial_id), self._run
        whole = verdict is None or not verdict.stop or verdict.kind == "whole"
        value = report.value if report is not None else None
        if report is not None:
            self._hear(report)
        if report is not None and value is not None and whole:
            run.ranks.add(trial_id, report.epoch, run.cost(trial_id, value), report.pace)
        self._end(trial_id, whole=whole, seconds=seconds)
        whole = whole and not run.limits.broken(trial_id)
        if self._judging is not None and value is not None and whole:
            self._judging.finished(trial_id, value)

    def fail(self, trial_id: str) -> None:
        """A trial failed and may come again, or it was taken away."""
        self._others.forget(trial_id)
        self._run.limits.forget(trial_id)
        self._end(trial_id, whole=False)

    def _end(self, trial_id: str, *, whole: bool, seconds: float = 0.0) -> None:
        run = self._run
        run.ranks.end(trial_id, whole=whole, seconds=seconds)
        trial = run.trials.get(trial_id)
        if trial is None:
            return
        if self._judging is not None:
            self._judging.end(run, trial)
        if self._redirects is not None:
            self._redirects.end(run, trial)
        run.trials[trial_id] = trial.ended()

    # -- after a restore -------------------------------------------------------------------------

    def knows(self, trial_id: str) -> bool:
        """Whether any value of this trial is known."""
        return trial_id in self._run.ranks

    def remember(self, trial_id: str, curve: Curve, whole: bool | None) -> None:
        """Take in a trial of before: a ``whole`` training, one cut off, None while it runs."""
        run = self._run
        names = [one.name for one in self._others.objectives]
        names += [limit.metric for limit in run.limits.limits]
        last = {name: curve.last(name) for name in names}
        metrics = {name: value for name, value in last.items() if value is not None}
        self._hear(EpochReport(trial_id, int(curve.epochs[-1]), metrics))
        for epoch, value in curve.reported(run.metric):
            run.ranks.add(trial_id, epoch, run.cost(trial_id, value))
        if whole is not None:
            run.ranks.end(trial_id, whole=whole)
            final = curve.final(run.metric)
            counts = whole and not run.limits.broken(trial_id)
            if self._judging is not None and counts and final is not None:
                self._judging.finished(trial_id, final)

    # -- what others may read --------------------------------------------------------------------

    def verdict(self, trial_id: str) -> Verdict | None:
        """The latest verdict on a trial, None before its first report."""
        trial = self._run.trials.get(trial_id)
        return trial.verdict if trial is not None else None

    def text(self) -> str:
        """What came of it all so far, in one line."""
        counts = ", ".join(f"{kind} {count}" for kind, count in self.stopped.most_common())
        total, finished = self.stopped.total(), self._run.ranks.finished
        text = f"{plural(total, 'trial')} stopped ({counts or 'none'}), {finished} finished"
        what = "redirects" if self._exploits is None else "redirects and clones"
        told = self._judging.text(what) if self._judging is not None else ""
        return f"{text}; {told}" if told else text

    def _hear(self, report: EpochReport) -> None:
        """Keep what a report says beside the metric."""
        self._others.hear(report)
        self._run.limits.hear(report)

    def _trial(self, trial_id: str) -> RunningTrial:
        """The record of a trial that reports; a new one at its first report."""
        trial = self._run.trials.get(trial_id)
        if trial is None:
            trial = self._run.trials[trial_id] = RunningTrial(trial_id)
        trial.running = True
        return trial

    # -- the judge's word ------------------------------------------------------------------------

    def _is_spared(self, trial: RunningTrial, verdict: Verdict) -> bool:
        """Whether a redirect's or a clone's effect is to be seen before the rules' stop.

        A NaN is no effect of a redirect; a clone may have been sent for it, and not be there yet.
        """
        if trial.acting is None:
            return False
        spared = verdict.kind in ("hopeless", "overfitting")
        return spared or (verdict.kind == "diverged" and trial.cloned)

    def _may_exploit(self, verdict: Verdict) -> bool:
        return self._exploits is not None and verdict.kind in ("hopeless", "diverged")

    def _is_due(self, judging: Judging, trial: RunningTrial, report: EpochReport) -> bool:
        if judging.is_asked(trial):
            return False
        pause = max(2, (self._run.length or report.epoch) // _AGAIN)
        return trial.asked is None or report.epoch - trial.asked >= pause

    def _may_stop(self, judging: Judging, trial: RunningTrial) -> bool:
        """Whether a judge who was asked in doubt may stop it: not the leader, nor the best."""
        reading = trial.reading
        if reading is None or not judging.finals:
            return False
        if trial.cloned:
            return False  # what its new weights are good for is to be seen
        if self._others.objectives and trial.report is not None:
            verdict = Verdict("judged", trial.report.epoch, "", reading)
            if self._others.rival(self._run, trial.report, verdict) is None:
                return False  # it may come to be on the front
        return not _leads(reading) and self._best[1] != trial.trial_id

    def _apply(
        self,
        judging: Judging,
        trial: RunningTrial,
        answer: JudgedCase,
        verdict: Verdict,
        report: EpochReport,
    ) -> Verdict:
        run, judgement, epoch = self._run, answer.judgement, report.epoch
        age, reading, outcome, done = epoch - answer.asked, trial.reading, "applied", ""
        if age < (1 if judging.judge.remote else 0):  # it started again
            outcome = "stale"
        elif judgement.action == "stop":
            if reading is not None and self._may_stop(judging, trial):
                judging.note(run, answer, "applied", epoch)
                return stopped_by_judge(judgement, reading, run.mode, epoch, age, answer.who)
            outcome = "outdated"
        elif judgement.action == "redirect" and self._redirects is not None:
            past = self._redirects.turn(run, trial, judgement, age)
            done = f"redirected {moves_of(past)}" if past is not None else ""
        if judgement.action in ("redirect", "clone") and outcome == "applied" and not done:
            outcome = "outdated"  # nothing can be turned, or nothing waits for a clone any more
        judging.note(run, answer, outcome, epoch)
        if outcome != "applied":
            return verdict
        return remarked(verdict, judgement, age, answer.who, done)


def _leads(reading: Reading) -> bool:
    """Whether no other trial was better at the same epoch."""
    return reading.place <= 1


def _worst_if_nan(standing: tuple[float, str]) -> float:
    return math.inf if math.isnan(standing[0]) else standing[0]
