"""The same mind in three searches: `LLMSearcher`, the mind alone (`LLMAdvisor`), neuropt's loop.

    OPENAI_BASE_URL=... python -m experiments.head_to_head.same_mind run --search alone --seed 0 \
        --tables DIR --out OUT
    python -m experiments.head_to_head.same_mind show OUT

The mind is whatever answers at OPENAI_BASE_URL. One run is one search by one mind: it does the
tasks one after another and skips those whose record is there, so it can be stopped and begun again.
Each search has a mind of its own, else answers would be copied from one to the next. Nobody is told
of a task more than its parameters' names and ranges and the curves: neither the screen nor a
question names task or search. Each training takes a table's nearest row that its search has not
used. ``--search keyless`` needs no mind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from ray.tune.search import Searcher

from experiments.common import one_mind, tables, trial_rows
from experiments.common.distinct import Distinct
from experiments.common.replay import Replay
from experiments.common.trial_rows import read_raw
from experiments.head_to_head.neuropt import NeuroptSearcher
from experiments.head_to_head.runs import Study
from raymimic import LLM, Advisor, LLMAdvisor, LLMSearcher, OpenAILLM
from raymimic.records import Config

TASKS = ("digits_noisy", "ts_lstm_avg_p128", "hb_segment", "hl_naval", "ts_vrnn_relu", "ts_gru")
"""Four spaces first; of TaskSet's tables two where the keyless search gets far better from 5 to 20
trials, and one where it hardly does. Chosen by the keyless search's stored rows alone."""

BATCH, TRIALS, BUDGETS = 4, 20, (5, 10, 20)
KEYLESS = "keyless"
_WAIT_S = 3600.0  # a mind may be slow


def _searcher(llm: str | LLM | Advisor, seed: int, ledger: Path) -> Searcher:
    return LLMSearcher(
        llm=llm, seed=seed, ledger=str(ledger), batch_size=BATCH, timeout=_WAIT_S, patience=_WAIT_S
    )


ARMS: dict[str, Callable[[int, Path], Searcher]] = {
    "llm_searcher": lambda seed, ledger: _searcher(OpenAILLM("mind"), seed, ledger),
    "alone": lambda seed, ledger: _searcher(LLMAdvisor(OpenAILLM("mind"), _WAIT_S), seed, ledger),
    "neuropt": lambda seed, _: NeuroptSearcher(
        OpenAILLM("mind"), seed=seed, deadline=_WAIT_S, batch=BATCH
    ),
    KEYLESS: lambda seed, ledger: _searcher("none", seed, ledger),
}


class _Told(Distinct):
    """A task that says on the screen how far its search is, and not which one it is."""

    def __init__(self, table: tables.TableTask, place: str) -> None:
        super().__init__(table)
        self._place, self._begun = place, time.monotonic()

    def train(self, config: Config, seed: int, trial: int) -> Iterator[dict[str, float]]:
        seconds = time.monotonic() - self._begun
        print(f"{self._place}: trial {trial + 1} of {TRIALS}, {seconds:.0f} s", flush=True)
        return super().train(config, seed, trial)


def run(arm: str, seed: int, tasks: list[str], folder: Path, out: Path) -> None:
    """One search on each of the tasks in turn; what has a record is not run again."""
    for number, task in enumerate(tasks, start=1):
        place = f"task {number} of {len(tasks)}"
        path = trial_rows.path_of(out, task, arm, seed)
        if path.exists():
            print(f"{place}: done before", flush=True)
            continue
        ledger = out / "ledgers" / task / f"{arm}_{seed}.jsonl"
        ledger.parent.mkdir(parents=True, exist_ok=True)
        ledger.unlink(missing_ok=True)
        given = _Told(tables.load(task, folder), place)
        searcher = ARMS[arm](seed, ledger)
        rows = Replay(given, searcher, method=arm, seed=seed, trials=TRIALS).run()
        trial_rows.write(path, rows, TRIALS)
        print(f"{place}: done", flush=True)


def show(out: Path) -> str:
    """Regret at 5 / 10 / 20 as Markdown: by task and seed, in the mean, and less keyless."""
    rows = read_raw(out)
    points = Study(rows).points
    points = points[points["budget"].isin(BUDGETS)]
    cells = points.pivot_table(
        index=["task", "seed"], columns=["method", "budget"], values="regret"
    )
    arms = [arm for arm in ARMS if arm in cells.columns.get_level_values(0)]
    shared = cells.dropna()
    lines = [
        f"{len(shared)} of {len(cells)} pairs of task and seed have all of: {', '.join(arms)}. "
        "Means are over these.",
        "",
        _table(cells.groupby("task").mean(), arms, "task, mean of its seeds"),
    ]
    if len(shared):
        means = shared.groupby("seed").mean().rename(index=lambda seed: f"seed {seed}")
        means.loc["mean"] = shared.mean()
        lines += ["", _table(means, arms, "all tasks")]
    others = [arm for arm in arms if arm != KEYLESS]
    if KEYLESS in arms and others and len(shared):
        less = shared[others] - pd.concat(dict.fromkeys(others, shared[KEYLESS]), axis=1)
        by_task = less.groupby("task").mean()
        by_task.loc["mean"] = less.mean()
        lines += ["", _table(by_task, others, f"less {KEYLESS}", "{:+.3f}")]
    sources = pd.crosstab(rows["method"], rows["source"])
    return "\n".join([*lines, "", sources.to_string()])


def _table(cells: pd.DataFrame, arms: list[str], title: str, form: str = "{:.3f}") -> str:
    lines = [f"| {title} | " + " | ".join(arms) + " |", "|---|" + "---|" * len(arms)]
    for name, row in cells.iterrows():
        shown = [
            " / ".join(form.format(row[arm, n]).replace("0.", ".", 1) for n in BUDGETS)
            for arm in arms
        ]
        lines.append(f"| {name} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    one_mind.main(__doc__, "--search", ARMS, TASKS, run, show)
