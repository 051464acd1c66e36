"""A mind as searcher and as judge under one budget of epochs, the keyless pair beside it.

    OPENAI_BASE_URL=... python -m experiments.forecast.mind run --pair mind --seed 0 \
        --tables DIR --out OUT
    python -m experiments.forecast.mind run --pair keyless --seed 0 --tables DIR --out OUT
    python -m experiments.forecast.mind show OUT

The mind is whatever answers at OPENAI_BASE_URL; it answers the questions of `LLMSearcher` and of
`LLMScheduler`. One trial at a time on tables of whole curves, ten full trainings' worth of epochs.
A trial waits for the judge's answer after each epoch, for an epoch of a table takes no time. What
has a record is skipped, so a run can be stopped and begun again. The mind is told neither task nor
table: only parameters, ranges and curves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.common import one_mind, tables, trial_rows
from experiments.common.distinct import Distinct
from experiments.common.replay import Replay
from experiments.common.trial_rows import read_raw
from raymimic import LLM, LLMScheduler, LLMSearcher, OpenAILLM

TASKS = ("ts_lstm_avg_p128", "digits_noisy")
"""Two spaces, one of which is developed on; on both the keyless search gets better for long."""

BUDGETS = (3, 5, 10)
TRAININGS = max(BUDGETS)
_MOST = 60  # trials: each is a configuration that the mind has to think of
_WAIT_S = 3600.0  # a mind may be slow
_BATCH = 4

PAIRS: dict[str, Callable[[], str | LLM]] = {
    "mind": lambda: OpenAILLM("mind"),
    "keyless": lambda: "none",
}


class Waiting(LLMScheduler):
    """Each result waits until the judge has answered: its word acts at the trial's next epoch."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide as `LLMScheduler` does, and wait for what it asked."""
        action = super().on_trial_result(tune_controller, trial, result)
        self.wait(_WAIT_S)
        return str(action)


def search(task: Any, llm: str | LLM, pair: str, seed: int, ledger: Path) -> list[dict[str, Any]]:
    """One search by one mind, or by none: the rows of its record."""
    searcher = LLMSearcher(llm=llm, seed=seed, ledger=str(ledger), batch_size=_BATCH,
                           timeout=_WAIT_S, patience=_WAIT_S)  # fmt: skip
    scheduler = Waiting(searcher=searcher, llm=llm, max_t=task.epochs)
    return Replay(task, searcher, scheduler=scheduler, method=pair, seed=seed, trials=TRAININGS,
                  max_trials=_MOST).run()  # fmt: skip


def run(pair: str, seed: int, tasks: list[str], folder: Path, out: Path) -> None:
    """One pair on each of the tasks in turn."""
    for number, name in enumerate(tasks, start=1):
        path = trial_rows.path_of(out, name, pair, seed)
        if not path.exists():
            ledger = out / "ledgers" / name / f"{pair}_{seed}.jsonl"
            ledger.parent.mkdir(parents=True, exist_ok=True)
            ledger.unlink(missing_ok=True)
            task = Distinct(tables.load(name, folder))
            trial_rows.write(path, search(task, PAIRS[pair](), pair, seed, ledger), TRAININGS)
        print(f"task {number} of {len(tasks)}: done", flush=True)


def outcome(rows: pd.DataFrame) -> dict[str, float]:
    """Regret of the best whole training at each budget; trials, whole ones, the mind's own."""
    spent = rows["epochs"].cumsum() / rows["epochs_full"]
    whole = ~rows["stopped"] & (rows["epochs"] == rows["epochs_full"])
    found = {}
    for limit in BUDGETS:
        some = rows.loc[whole & (spent <= limit + 1e-9), "regret"]
        found[f"@{limit}"] = float(some.min()) if len(some) else 1.0
    return {
        **found,
        "trials": len(rows),
        "whole": int(whole.sum()),
        "model's": int((rows["source"] == "llm").sum()),
    }


def show(out: Path) -> str:
    """Each run and the means of each pair."""
    rows = read_raw(out)
    found = pd.DataFrame(
        {"task": task, "pair": pair, "seed": seed, **outcome(some.sort_values("trial"))}
        for (task, pair, seed), some in rows.groupby(["task", "method", "seed"])
    )
    means = found.groupby("pair").mean(numeric_only=True).drop(columns="seed")
    return f"{found.round(3).to_string(index=False)}\n\n{means.round(3).to_string()}"


if __name__ == "__main__":
    one_mind.main(__doc__, "--pair", PAIRS, TASKS, run, show)
