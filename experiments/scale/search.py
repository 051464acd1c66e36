"""Makes one search with everything real but the trials and the model, and runs it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from experiments.common.fake_tune import SPACE
from experiments.scale.clock import Clock
from experiments.scale.controller import Controller, Plan
from experiments.scale.stub import StubLLM
from experiments.scale.world import METRIC, MODE
from raymimic import Gateway, LLMScheduler, LLMSearcher
from raymimic.scheduling.rank_rule import EAGER

LATENCY_S = 2.0
BAD = 0.01
_ENDLESS = 1e9


def run_search(plan: Plan, folder: Path) -> Controller:
    """Run it; ``plan.faults`` is also whether the scheduler may stop what cannot win.

    With, it stops as eagerly as where time limits a search; without, it looks at every trial all
    the same and finds none hopeless.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    llm = StubLLM(LATENCY_S, BAD, plan.seed, clock.sleep)
    with clock.installed(), _silence():
        ledger = str(folder / "ledger.jsonl")
        searcher = LLMSearcher(SPACE, METRIC, MODE, llm=Gateway(llm), seed=plan.seed, ledger=ledger)
        searcher.set_search_properties(METRIC, MODE, {}, num_samples=plan.trials)
        searcher.set_max_concurrency(plan.in_flight)
        patience = EAGER if plan.faults else _ENDLESS
        scheduler = LLMScheduler(
            METRIC, MODE, searcher=searcher, max_t=plan.epochs, patience=patience
        )
        scheduler.set_search_properties(None, None, num_samples=plan.trials)  # as Tune does
        controller = Controller(plan, searcher, scheduler, llm, clock, folder)
        controller.run()
    return controller


@contextlib.contextmanager
def _silence():
    """The callback prints a line for each ended trial: to nowhere, but it prints."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield
