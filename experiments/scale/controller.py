"""Plays Tune's controller over simulated trials: every hook is called in Tune's own order.

The order is that of `ray/tune/execution/tune_controller.py`: a step first asks the searcher until
it is told None or all slots are taken, then handles one event. A result goes to the scheduler, to
the searcher unless the trial is stopped, to the callback; an end to the scheduler, the searcher,
the callback. Checkpoints are written as Tune does, at most every ten seconds.

Time is simulated (`clock`): a trial reports an epoch about each ``epoch_seconds`` (its own pace
within 20%), a model's answer takes two seconds, and whatever this process computes takes the CPU
seconds that it took. Where it falls behind, results come late, and ``lag`` says by how much.
"""

from __future__ import annotations

import heapq
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ray.tune.schedulers import TrialScheduler

from experiments.scale.clock import Clock
from experiments.scale.meter import Meter, Row, load, resident_bytes
from experiments.scale.stub import StubLLM
from experiments.scale.world import Course, course
from raymimic import LLMScheduler, LLMSearcher, RaymimicCallback

RESULT = ("scheduler_result", "searcher_result", "callback_result")
COMPLETE = ("scheduler_complete", "searcher_complete", "callback_complete")

_SAVE_EVERY_S = 10.0
_SAVE_SHARE = 19  # Tune waits so many times as long as a checkpoint took
_POLL_S = 0.05  # with a free slot Tune asks again so often


@dataclass
class Plan:
    """How large, how long, how fast; ``restores`` says after how many ended trials to restore."""

    trials: int
    epochs: int
    in_flight: int
    epoch_seconds: float
    window: int
    restores: tuple[int, ...]
    seed: int = 0
    faults: bool = True


class Waiting:
    """Integrates how long slots were free although there was a trial to start."""

    def __init__(self, now: float) -> None:
        self._then, self.free = now, 0
        self.seconds = self.slot_seconds = self.total = 0.0

    def note(self, now: float, free: int) -> None:
        """So many slots are free from now on."""
        passed, self._then = now - self._then, now
        self.total += passed
        self.seconds += passed * (self.free > 0)
        self.slot_seconds += passed * self.free
        self.free = free


class Controller:
    """One search over simulated trials; `run` returns a row for each window of ended trials."""

    def __init__(
        self,
        plan: Plan,
        searcher: LLMSearcher,
        scheduler: LLMScheduler,
        llm: StubLLM,
        clock: Clock,
        folder: Path,
    ) -> None:
        self.plan, self.searcher, self.scheduler, self.llm = plan, searcher, scheduler, llm
        self._folder, self._clock = folder, clock
        self._callback = RaymimicCallback(searcher, scheduler=scheduler)
        self._callback.setup(num_samples=plan.trials)
        self._meter = Meter()
        self._heap: list[tuple[float, int, Course]] = []
        self._order = itertools.count()
        self._started = self._ended = self._results = 0
        self._lags: list[float] = []
        self._prompts_seen = 0
        self._next_save = _SAVE_EVERY_S
        self._saves: list[tuple[float, float, int]] = []
        self._begun = clock.now()
        self._base_memory = resident_bytes()
        self._waiting = Waiting(0.0)
        self._after_fill: Waiting | None = None
        self._to_restore: Row | None = None  # once no job computes: it would move the clock alone
        self.rows: list[Row] = []

    def now(self) -> float:
        """Simulated seconds since the start."""
        return self._clock.now() - self._begun

    def run(self) -> list[Row]:
        """Run all trials to their end."""
        plan = self.plan
        window_end = plan.window
        while self._ended < plan.trials:
            self._fill()
            self._next_event()
            if self.now() >= self._next_save:
                self._save()
            if self._ended >= window_end or self._ended == plan.trials:
                with self._clock.held():
                    self._close_window()
                window_end += plan.window
            if self._to_restore is not None and (self._clock.quiet or self._ended == plan.trials):
                with self._clock.held():
                    self._to_restore |= self._restored()
                self._to_restore = None
        self._callback.on_experiment_end([])
        self.searcher.ledger.flush()
        return self.rows

    # -- a step of the controller ------------------------------------------------------------------

    def _fill(self) -> None:
        """Ask for configurations as long as a slot is free and one comes."""
        plan = self.plan
        while self._started < plan.trials and len(self._heap) < plan.in_flight:
            trial_id = f"{self._started:05d}"
            config = self._meter.call("suggest", self.searcher.suggest, trial_id)
            if config is None:
                self._meter.rename("suggest", "suggest_none")
                break
            self._started += 1
            found = course(trial_id, config, plan.epochs, plan.seed, plan.faults)
            self._meter.call("scheduler_add", self.scheduler.on_trial_add, None, found.trial)
            self._put(found, self.now())
        free = min(plan.in_flight - len(self._heap), plan.trials - self._started)
        self._waiting.note(self.now(), free)
        if self._after_fill is not None:
            self._after_fill.note(self.now(), free)
        elif free == 0:  # the first time that all run
            self._after_fill = Waiting(self.now())

    def _put(self, found: Course, now: float) -> None:
        """When the trial's next result comes."""
        due = now + found.pace * self.plan.epoch_seconds
        heapq.heappush(self._heap, (due, next(self._order), found))

    def _next_event(self) -> None:
        """Handle one result, or wait for it as Tune does: it asks the searcher again meanwhile."""
        now = self.now()
        due = self._heap[0][0] if self._heap else now + _POLL_S
        if due > now:
            until = min(due, now + _POLL_S) if self._waiting.free else due
            self._clock.advance_to(self._begun + until)
            return
        found = self._heap[0][2]
        heapq.heappop(self._heap)
        self._lags.append(now - due)
        self._results += 1
        if self._result(found):
            self._ended += 1
        else:
            self._put(found, due)

    def _result(self, found: Course) -> bool:
        """A trial's next result through all hooks; whether it ended."""
        plan, call = self.plan, self._meter.call
        if found.crashes is not None and found.epoch >= found.crashes:
            self._fail(found)
            return True
        nested, flat = found.next_result(plan.epochs)
        decision = call(RESULT[0], self.scheduler.on_trial_result, None, found.trial, flat)
        stop = decision == TrialScheduler.STOP
        parts = (RESULT[0], RESULT[2]) if stop else RESULT
        if not stop:
            call(RESULT[1], self.searcher.on_trial_result, found.trial_id, flat)
        call(RESULT[2], self._callback.on_trial_result, 0, [], found.trial, nested)
        self._meter.add("result", *parts)
        if stop or found.epoch == plan.epochs:
            last = {**flat, "done": True}
            call(COMPLETE[0], self.scheduler.on_trial_complete, None, found.trial, last)
            call(COMPLETE[1], self.searcher.on_trial_complete, trial_id=found.trial_id, result=last)
            call(COMPLETE[2], self._callback.on_trial_complete, 0, [], found.trial)
            self._meter.add("complete", *COMPLETE)
            return True
        return False

    def _fail(self, found: Course) -> None:
        call = self._meter.call
        call("error", self.scheduler.on_trial_error, None, found.trial)
        call("error", self.searcher.on_trial_complete, trial_id=found.trial_id, error=True)
        call("error", self._callback.on_trial_error, 0, [], found.trial)

    # -- what is measured now and then -------------------------------------------------------------

    def _save(self) -> None:
        """Save as Tune does: to a file that is not there, which then takes the last one's place."""
        fresh, path = self._folder / "fresh.pkl", self._folder / "searcher.pkl"
        wall, cpu = time.perf_counter(), time.thread_time()
        self.searcher.save(str(fresh))
        cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
        os.replace(fresh, path)
        self._saves.append((cpu, wall, path.stat().st_size))
        self._next_save = self.now() + max(_SAVE_EVERY_S, _SAVE_SHARE * wall)

    def _close_window(self) -> None:
        """A row about the trials that ended since the last one."""
        meter, waiting = self._meter, self._waiting
        results = max(1, meter.count("result"))
        hooks = ("result", "complete", "error")
        cpu, wall = meter.total(*hooks, "suggest", "suggest_none", "scheduler_add")
        own_cpu, own_wall = meter.total(*hooks)
        prompts = self.llm.prompts[self._prompts_seen :]
        self._prompts_seen = len(self.llm.prompts)
        memory = resident_bytes()
        row: Row = {
            "ended": self._ended,
            "epoch_rows": self._results,
            "seconds": self.now(),
            "load": load(),
            "per_result_cpu_us": own_cpu / results,
            "per_result_wall_us": own_wall / results,
            "with_suggest_cpu_us": cpu / results,
            "with_suggest_wall_us": wall / results,
            "waiting_time_share": waiting.seconds / max(1e-9, waiting.total),
            "waiting_slot_share": _share(waiting.slot_seconds, waiting.total, self.plan.in_flight),
            "lag_p99_s": float(np.percentile(self._lags, 99)) if self._lags else 0.0,
            "prompt_tokens_max": max(prompts, default=None),
            "questions": len(self.llm.prompts),
            "proposals_wanted_of_model": sum(self.llm.wanted),
            "rss_mb": memory / 1e6,
            "bytes_per_epoch_row": (memory - self._base_memory) / max(1, self._results),
            "ledger_mb": self.searcher.ledger.path.stat().st_size / 1e6,
            "fallbacks": dict(self.searcher.tally.fallbacks),
            "started_by": dict(self.searcher.tally.started),
            "stopped": dict(self.scheduler.stopped),
            **self._saved(),
            **meter.take(),
        }
        self._lags.clear()
        self._waiting = Waiting(self.now())
        if any(row["ended"] - self.plan.window < at <= row["ended"] for at in self.plan.restores):
            self._to_restore = row
        self.rows.append(row)
        print(_line(row), file=sys.stderr, flush=True)

    def _saved(self) -> Row:
        """The saves of this window; at its end one more, so that there is one."""
        self._save()
        cpu, wall, size = zip(*self._saves, strict=True)
        self._saves.clear()
        return {
            "save_wall_ms_median": 1e3 * float(np.median(wall)),
            "save_wall_ms_max": 1e3 * max(wall),
            "save_cpu_ms_median": 1e3 * float(np.median(cpu)),
            "save_cpu_ms_max": 1e3 * max(cpu),
            "save_mb": size[-1] / 1e6,
        }

    def _restored(self) -> Row:
        """What a restore from here takes, in another process, which moves no clock here."""
        self.searcher.ledger.flush()
        module = ["-m", "experiments.scale.restore"]
        command = [sys.executable, *module, str(self._folder / "searcher.pkl")]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return dict(json.loads(said.splitlines()[-1]))

    def whole(self) -> Row:
        """About the whole run."""
        after = self._after_fill or Waiting(0.0)
        slots = self.plan.in_flight
        ends = [row["seconds"] for row in self.rows]
        spans = list(np.diff([0.0, *ends]))
        shares = [row["waiting_time_share"] for row in self.rows]
        slot_shares = [row["waiting_slot_share"] for row in self.rows]
        return {
            "seconds": self.rows[-1]["seconds"],
            "results": self._results,
            "waiting_time_share": _mean(shares, spans),
            "waiting_slot_share": _mean(slot_shares, spans),
            "waiting_time_share_after_first_fill": after.seconds / max(1e-9, after.total),
            "waiting_slot_share_after_first_fill": _share(after.slot_seconds, after.total, slots),
            "calls": dict(self.searcher.tally.calls),
            "faults_sent": len(self.llm.faults),
            "drops": dict(self.searcher.tally.drops),
            "cpus": os.cpu_count(),
        }


def _share(slot_seconds: float, seconds: float, slots: int) -> float:
    return slot_seconds / max(1e-9, seconds * slots)


def _mean(values: Iterable[float], weights: list[float]) -> float:
    return float(np.average(list(values), weights=weights)) if sum(weights) else 0.0


def _line(row: Row) -> str:
    """One line of progress."""
    return (
        f"{row['ended']:>6,} ended, {row['epoch_rows']:>9,} results, {row['seconds']:6.0f} s: "
        f"{row['per_result_cpu_us']:.0f} us CPU a result, suggest p99 "
        f"{row.get('suggest_cpu_p99_us', 0):.0f} us, waiting {row['waiting_time_share']:.2%} of "
        f"time {row['waiting_slot_share']:.2%} of slots, {row['rss_mb']:.0f} MB, save "
        f"{row['save_wall_ms_max']:.0f} ms, lag {row['lag_p99_s']:.2f} s, load {row['load']:.1f}"
    )
