"""`Modulator`: steers learning rate, dropout and the weights themselves while a model trains."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from raymimic.advisor import (
    Adjuster,
    PastAdjustment,
    choose_adjuster,
    describe_adjuster,
)
from raymimic.ledger import Ledger
from raymimic.llm import LLM
from raymimic.modulation import events as of_training
from raymimic.modulation import ranks
from raymimic.modulation.asking import AdjusterInquiry
from raymimic.modulation.deciding import Deciding
from raymimic.modulation.decision import Decision
from raymimic.modulation.guard import Limits, judge
from raymimic.modulation.harmless import Harmless
from raymimic.modulation.knobs import Knobs
from raymimic.modulation.optimizers import Optimizers
from raymimic.modulation.readings import Readings, read
from raymimic.modulation.record import Record
from raymimic.modulation.steering import Steering
from raymimic.modulation.stepping import Stepping
from raymimic.records import Knob, Mode

logger = logging.getLogger(__name__)

_LOSSES_UNDONE = 3
"""Epochs in a row that are undone for a training loss that is not finite while the weights are
fine; then it is taken for the loop's way of reporting, and not for a breakdown."""


class Modulator:
    """Takes an optimizer's steps and lets an advisor steer them, an adjustment an epoch.

    Call `step` in place of ``optimizer.step()`` and `epoch_end` once an epoch. Without advice, with
    a failing model or a spent budget, training is the optimizer's own, bit for bit.

    >>> import torch
    >>> from raymimic import Modulator
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.Adam(model.parameters())
    >>> modulator = Modulator(model, optimizer, llm="none", epochs=3)
    >>> model(torch.ones(1, 2)).sum().backward()
    >>> modulator.step()
    >>> advice = modulator.epoch_end({"val_loss": 0.7})

    Args:
        model: The model that is trained; DistributedDataParallel and compiled models, too.
        optimizer: An optimizer of its parameters (`torch.optim`'s, a subclass, a wrapper), or a
            list of several, all of which `step` steps. What it does not hold, or holds with
            ``requires_grad=False``, is never moved.
        llm: Who steers: "auto" (a model if there is a key in the environment, else the keyless
            rules), "none" (the keyless rules), "anthropic:MODEL", "openai:MODEL", an `LLM`, or any
            `Adjuster`.
        instruction: What you want, in your words ("no overfitting", "I care about class 3").
        metric: The validation metric that decides, by its name in `epoch_end`.
        mode: "min" or "max".
        epochs: How many epochs are planned; without it nothing can be timed for the end.
        steps_per_epoch: Optimizer steps in an epoch, if you know (``len(loader)``). With it the
            advisor is asked before the first step, too, unless its answer comes in the background:
            a training of few steps has none to lose at too low a learning rate.
        knobs: Your training loop's own knobs; read them as ``modulator.knobs["name"]``.
        limits: How far advice may go.
        ema: Decay of a moving average of the weights over steps, an anchor to pull toward; costs
            one copy of the parameters. None keeps no average.
        wait: Wait for a model's answer at each epoch's end; otherwise it acts when it is there.
        timeout: Longest an answer may take, in seconds.
        seed: Makes what is drawn repeatable.
        ledger: File for the record of all adjustments, verdicts and calls; None keeps no file.
        run_id: This training's name in the ledger.

    Raises:
        ValueError: model, optimizer, knobs or limits do not fit together, or weights cannot be
            steered (sharded, lazy without values, trained in less than 16 bits).
        LLMSetupError: ``llm`` names no model.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer],
        *,
        llm: str | LLM | Adjuster = "auto",
        instruction: str = "",
        metric: str = "val_loss",
        mode: Mode = "min",
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        knobs: Mapping[str, Knob] | None = None,
        limits: Limits | None = None,
        ema: float | None = None,
        wait: bool = False,
        timeout: float = 60.0,
        seed: int = 0,
        ledger: str | os.PathLike[str] | None = None,
        run_id: str = "",
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f'mode must be "min" or "max", got {mode!r}')
        if steps_per_epoch is not None and not steps_per_epoch >= 1:
            raise ValueError(f"steps_per_epoch must be at least 1 or None, got {steps_per_epoch!r}")
        optimizers = Optimizers(optimizer)
        self._steering = Steering(model, optimizers, knobs or {}, limits or Limits(), ema)
        self._record = Record(metric, mode, steps_per_epoch=steps_per_epoch)
        self._seed, self._run_id = seed, run_id
        adjuster = choose_adjuster(llm, seed=seed, timeout=timeout)
        self._ledger = Ledger(ledger) if ledger is not None and ranks.leads() else None
        self._harmless = Harmless(self._note)
        inquiry = AdjusterInquiry(adjuster, waits=wait, timeout=timeout)
        self._deciding = Deciding(
            inquiry, self._record, self._steering, self._harmless, self._note,
            epochs_total=epochs, run_id=run_id, instruction=instruction, seed=seed,
        )  # fmt: skip
        self._stepping = Stepping(self._steering, self._harmless, self._begin, self._stepped)
        if ranks.leads():
            logger.info("raymimic: %s", describe_adjuster(adjuster, llm))
        of_training.run(
            self._note, advisor=adjuster.name, instruction=instruction, metric=metric, mode=mode,
            epochs=epochs, knobs=dict(self.knobs), seed=seed,
        )  # fmt: skip

    @property
    def knobs(self) -> Knobs:
        """All knobs by name, with their present values."""
        return self._steering.knobs

    # -- in the training loop ------------------------------------------------------------------

    def step(
        self,
        closure: Callable[[], Any] | None = None,
        *,
        scaler: torch.amp.GradScaler | None = None,
    ) -> Any:
        """Take one optimizer step with the adjustment under way; returns what the optimizer does.

        With a ``scaler`` it is ``scaler.step(optimizer)`` (call ``scaler.update()`` yourself). A
        step that the scaler or a wrapper skips counts for nothing.
        """
        return self._stepping.step(closure, scaler)

    def attach(self) -> Callable[[], None]:
        """Steer every ``optimizer.step()`` from now on, for loops that take the steps themselves.

        `step` must not be called meanwhile. Steps that a gradient scaler skips do not count.
        Returns a function that ends it; call it also where a step broke off with an error. Raises
        ValueError for a list of optimizers.
        """
        return self._stepping.attach()

    def _begin(self) -> None:
        """Before a step: ask once at the start, where it is known how many steps are to come."""
        record = self._record
        if record.asked_at_start or record.epoch or record.steps or not record.steps_per_epoch:
            return
        record.asked_at_start = True
        decided = self._deciding.at_start() if ranks.leads() else Decision()
        decision, record.failures = ranks.shared((decided, record.failures))
        self._go_on(decision)

    def _stepped(self) -> None:
        self._record.steps += 1

    def epoch_end(self, metrics: Mapping[str, Any]) -> None:
        """Take in an epoch's metrics: judge the last adjustment, undo it or ask for the next.

        ``metrics`` holds the metric and whatever else an advisor should see ("train_loss",
        "val_accuracy"), a number each; "class_accuracy" is a list, one validation accuracy a class.
        A metric that is missing, NaN or no number is a gap: nothing is undone for it, and an
        adjustment waits for its verdict. An epoch that leaves weights, optimizer or buffers NaN or
        infinite is undone, and so is one whose training loss ("train_loss", "loss") is. Raises
        nothing. Under DistributedDataParallel all ranks must call it, and rank 0's metrics decide.
        """
        with self._harmless.within("epoch_end"):
            self._end_epoch(metrics)

    def _end_epoch(self, metrics: Mapping[str, Any]) -> None:
        record = self._record
        readings = read(metrics, record.metric)
        mine = (readings, self._broken(readings) if ranks.leads() else "", record.steps)
        readings, broken, record.steps = ranks.shared(mine)
        if not record.steps:
            self._harmless.say(
                "no step",
                "raymimic: no optimizer step was seen in epoch %d: call modulator.step() in place "
                "of optimizer.step(), or attach() once; else nothing is steered. It is said once",
                record.epoch + 1,
            )
        if not broken:
            self._say_gaps(readings)
        if record.end_epoch(readings, broken=bool(broken)):
            self._steering.anchors.keep_best()
        harmful = self._judge(bool(broken))
        decided = Decision()
        if ranks.leads():  # rank 0's decision counts
            decided = self._deciding.at_epoch_end(broken, harmful)
        decision, record.failures = ranks.shared((decided, record.failures))
        if not readings.loss:
            record.losses_undone = 0
        elif decision.undo:
            record.losses_undone += 1
        if decision.undo:
            self._undo(decision)
        elif not decision.wait:
            self._go_on(decision)

    def _go_on(self, decision: Decision) -> None:
        """Begin a new interval, with the adjustment if there is one."""
        record, adjustment = self._record, decision.adjustment
        if adjustment is not None:
            record.reviewed(adjustment.review)
        past = self._steering.go_on(adjustment, decision.asked_epoch, record, self._seed)
        if past is None:
            return
        past = replace(past, dropped=(*decision.dropped, *past.dropped))
        of_training.adjustment(self._note, **asdict(past))
        if past.applied or past.dropped:  # "nothing should change" has no outcome to be judged
            record.history.append(past)

    def metrics(self) -> dict[str, float]:
        """What to report beside the training's own metrics: knobs, alpha, counts."""
        record = self._record
        found = {f"raymimic/{name}": value for name, value in self.knobs.items()}
        found["raymimic/alpha"] = self._steering.blend.alpha
        found["raymimic/adjustments"] = float(len(record.history))
        found["raymimic/rollbacks"] = float(record.rollbacks)
        found["raymimic/failed_answers"] = float(record.failures)
        if record.history:
            last = record.history[-1]
            found["raymimic/advice_age"] = float(last.epoch - last.asked_epoch)
        if record.hit_rate is not None:
            found["raymimic/hit_rate"] = record.hit_rate
        return found

    # -- afterwards ----------------------------------------------------------------------------

    @property
    def history(self) -> tuple[PastAdjustment, ...]:
        """Every adjustment so far with what came of it."""
        return tuple(self._record.history)

    @property
    def hit_rate(self) -> float | None:
        """Share of the judged adjustments after which the metric was better than its own pace."""
        return self._record.hit_rate

    def restore_best(self) -> None:
        """Put the weights of the best epoch into the model; RuntimeError before the first one."""
        self._say_refused(self._steering.anchors.restore_best())

    def state_dict(self) -> dict[str, Any]:
        """Everything but model and optimizer; save it with theirs, at any step."""
        return {"record": self._record.state_dict(), "steering": self._steering.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was made; load model and optimizer first."""
        self._record.load_state_dict(state["record"])
        self._steering.load_state_dict(state["steering"])
        of_training.resumed(self._note, epoch=self._record.epoch)

    # -- at an epoch's end ---------------------------------------------------------------------

    def _broken(self, readings: Readings) -> str:
        """What broke in the epoch, in words; "" if nothing."""
        found = self._steering.snapshot.broken_since()
        if found or self._record.losses_undone < _LOSSES_UNDONE:
            return found or readings.loss
        self._harmless.say(
            "loss",
            "raymimic: %s again after %d epochs were undone for it, and the weights are fine; it "
            "is taken as a gap from now on",
            readings.loss,
            _LOSSES_UNDONE,
        )
        return ""

    def _say_gaps(self, readings: Readings) -> None:
        for name, found in readings.gaps.items():
            self._harmless.say(
                f"gap {name}",
                "raymimic: epoch_end() got no number for %r: %s. It is taken as a gap, this time "
                "and from now on%s",
                name,
                found,
                "; while there is none nothing is judged or adjusted (another one is named with "
                "Modulator(..., metric=...))"
                if name == self._record.metric
                else "",
            )

    def _judge(self, broken: bool) -> bool:
        """Write the verdict on the adjustment that acted in the interval; whether it did harm."""
        record = self._record
        if record.open is None or (record.awaited and not broken):
            return False
        since = record.open.epoch
        found = judge(record.curve, record.metric, record.mode, since, broken=broken)
        record.conclude(found)
        of_training.verdict(
            self._note, epoch=since, ended=record.epoch, verdict=found.kind, before=found.before,
            after=found.after, expected=found.expected, margin=found.margin,
        )  # fmt: skip
        return found.harmful

    def _undo(self, decision: Decision) -> None:
        record, steering = self._record, self._steering
        refused = steering.roll_back()
        self._say_refused(refused)
        reason = f"{decision.undo}; not put back: {refused}" if refused else decision.undo
        if decision.calm:
            steering.calm()
        record.undone(steering.limits.cooldown)
        of_training.rollback(self._note, epoch=record.epoch, unadvised=decision.calm, reason=reason)
        self._harmless.say(
            "undone",
            "raymimic: epoch %d was undone: %s. It is said once; the ledger and "
            "metrics()['raymimic/rollbacks'] have each",
            record.epoch,
            decision.undo,
        )

    def _say_refused(self, refused: str) -> None:
        if refused:
            text = "raymimic: all is put back but one thing: %s. It is said once"
            self._harmless.say("refused", text, refused)

    def _note(self, event: str, /, **fields: Any) -> None:
        if self._ledger is not None:
            self._ledger.append(event, run_id=self._run_id, **fields)
