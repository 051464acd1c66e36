"""The study's own machinery over a table of 18 rows: what is recorded is what happened."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import Searcher

from experiments.common import trial_rows
from experiments.common.grids import Column, NearestRow
from experiments.common.replay import Replay
from experiments.common.tables import TableTask
from experiments.head_to_head import ablations, catalog, methods, run
from experiments.head_to_head.believers import Believer
from raymimic import Curve, HeuristicAdvisor, SearchEvidence, SearchSpace, TrialRecord
from raymimic.space import FloatRange
from raymimic.tune.domains import RaySpace

LRS, WIDTHS = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0], [16, 64, 256]
GRID = [{"lr": lr, "width": width} for lr in LRS for width in WIDTHS]


def make_task(epochs: int = 4) -> TableTask:
    """Losses fall over the epochs to (log10 lr + 2)^2 + 16 / width; lr 10 diverges at epoch 2."""
    finals = np.array([(math.log10(row["lr"]) + 2) ** 2 + 16 / row["width"] for row in GRID])
    curves = {"val_loss": finals[:, None] + np.linspace(1.0, 0.0, epochs)}
    if epochs > 1:
        curves["val_loss"][[row["lr"] == 10 for row in GRID], 1:] = np.nan
    noisy = finals[:, None] + np.array([-0.1, 0.0, 0.1])
    return TableTask(
        "tiny",
        "test",
        tuple(Column.of_grid(name, [row[name] for row in GRID]) for name in GRID[0]),
        GRID,
        {"lr": 1e-3, "width": 100},
        metric="val_loss",
        mode="min",
        finals=curves["val_loss"][:, -1:] if epochs > 1 else noisy,
        curves=curves if epochs > 1 else {},
        tests=np.full(len(GRID), math.nan),
    )


def search(
    method: str, folder: Path, task: TableTask | None = None, trials: int = 12, seed: int = 7
) -> Any:
    found = methods.find(method)
    return found.run(method, task or make_task(), seed, trials, folder / "ledger.jsonl")


def settled(rows: list[dict[str, Any]]) -> list[str]:
    """The rows without what depends on the clock; as text, in which NaN equals NaN.

    A model is asked while a trial runs: how much of its curve it sees, and so pays for, is chance.
    """
    return [str({**row, "ask_seconds": 0, "tokens_in": 0, "tokens_out": 0}) for row in rows]


@pytest.mark.parametrize("method", ["random", "tpe3+D", "raymimic", "raymimic:mediocre"])
def test_a_search_is_complete_and_repeatable(method: str, tmp_path: Path) -> None:
    rows = search(method, tmp_path / "a")
    assert [row["trial"] for row in rows] == list(range(12))
    assert set(rows[0]) == set(trial_rows.SCHEMA.names)
    assert settled(rows) == settled(search(method, tmp_path / "b"))
    other = search(method, tmp_path / "c", seed=8)
    assert [row["config"] for row in rows] != [row["config"] for row in other]
    failed = [row for row in rows if row["regret"] == math.inf]
    assert all(math.isnan(row["score"]) and row["epochs"] == 1 for row in failed)
    assert all(row["score"] == pytest.approx(row["value"]) for row in rows if row not in failed)


def test_the_same_trial_of_a_seed_draws_the_same_training_for_all() -> None:
    task = make_task(epochs=1)
    config = task.default()
    first = [next(task.train(config, 3, trial))["val_loss"] for trial in range(9)]
    assert first == [next(task.train(config, 3, trial))["val_loss"] for trial in range(9)]
    assert len(set(first)) == 3
    assert task.value(config) == pytest.approx(1 + 16 / 64)  # the mean; width 100 is nearest to 64


def test_regret_is_0_at_the_best_row_and_1_at_the_median() -> None:
    task = make_task()
    values = sorted(task.regret(row) for row in GRID)
    assert values[0] == 0
    assert (values[8] + values[9]) / 2 == pytest.approx(1)
    assert values[-3:] == [math.inf] * 3
    assert [task.regret(row) for row in task.worst(3)] == [math.inf] * 3


class Listener(Searcher):
    """Proposes given configurations and notes every call."""

    def __init__(self, configs: list[dict[str, Any]]) -> None:
        super().__init__()
        self.configs, self.heard, self.waited = configs, [], False

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        self.heard.append((metric, mode, sorted(config), spec))
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        self.waited = not self.waited
        return None if self.waited else self.configs.pop(0)  # the first poll is always too early

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.heard.append((trial_id[-1], result["training_iteration"]))

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        self.heard.append((trial_id[-1], result and result["training_iteration"], error))


def test_the_searcher_hears_what_tune_would_tell_it() -> None:
    searcher = Listener([{"lr": 1e-2, "width": 64}, {"lr": 10.0, "width": 64}])
    rows = Replay(make_task(), searcher, method="listener", seed=0, trials=2).run()
    assert searcher.heard == [
        ("val_loss", "min", ["lr", "width"], {"num_samples": 2}),
        *[("0", 1), ("0", 2), ("0", 3), ("0", 4, False)],
        *[("1", 1), ("1", None, True)],
    ]
    assert [row["epochs"] for row in rows] == [4, 1]


def test_a_loss_that_is_no_number_is_heard_and_then_a_failure() -> None:
    task = make_task()
    task.train = lambda *_: iter([{"val_loss": 1.0}] * 3 + [{"val_loss": math.nan}])
    searcher = Listener([task.default()])
    rows = Replay(task, searcher, method="listener", seed=0, trials=1).run()
    assert searcher.heard[-2:] == [("0", 4), ("0", None, True)]
    assert math.isnan(rows[0]["score"])


def test_trials_that_run_at_once_take_turns() -> None:
    searcher = Listener([{"lr": 1e-2, "width": 64}] * 3)
    Replay(make_task(), searcher, method="listener", seed=0, trials=3, concurrency=2).run()
    turns = "".join(heard[0] for heard in searcher.heard[1:])
    assert turns == "01010101" + "2222"


def test_asha_stops_trials_and_spends_its_budget_in_epochs(tmp_path: Path) -> None:
    rows = search("asha:random", tmp_path, make_task(epochs=16))
    assert any(row["stopped"] for row in rows)
    assert all(row["epochs"] == 16 for row in rows if row["score"] == row["value"])
    assert 11 * 16 < sum(row["epochs"] for row in rows) <= 13 * 16


def test_a_stopped_trial_is_completed_with_its_last_result() -> None:
    searcher = Listener([{"lr": 1e-2, "width": 64}, {"lr": 1e-4, "width": 16}] * 9)
    scheduler = ASHAScheduler(max_t=4, reduction_factor=2)
    Replay(
        make_task(), searcher, method="m", seed=0, trials=2, max_trials=2, scheduler=scheduler
    ).run()
    assert searcher.heard[-1] == ("1", 1, False)


def test_one_epoch_for_all_then_the_best_goes_on(tmp_path: Path) -> None:
    rows = search("one-epoch", tmp_path, trials=4)
    screened = [row for row in rows if row["stopped"]]
    whole = [row for row in rows if row["epochs"] == 3]
    assert sum(row["epochs"] for row in rows) in range(13, 17)
    first = rows.index(whole[0])
    assert whole[0]["score"] == pytest.approx(min(row["score"] for row in rows[:first]) - 1)
    assert whole[0]["config"] in [row["config"] for row in screened]


def test_bad_minds_reach_the_search_as_models_do(tmp_path: Path) -> None:
    hostile = search("raymimic:hostile", tmp_path / "a")
    guesses = [row for row in hostile if row["source"] == "llm"]
    assert guesses
    assert all(row["regret"] == math.inf for row in guesses[:3])
    assert sum(row["tokens_in"] for row in hostile) > 0
    expert = [row for row in search("raymimic:expert", tmp_path / "c") if row["source"] == "llm"]
    assert expert
    assert max(row["regret"] for row in expert) < 0.5
    silent = search("raymimic:silent", tmp_path / "b")
    assert not [row for row in silent if row["source"] == "llm"]


def test_a_wrong_belief_begins_at_the_wrong_end_and_a_right_one_where_the_best_are(
    tmp_path: Path,
) -> None:
    wrong = search("raymimic:wrong-belief", tmp_path / "a", trials=1)
    assert json.loads(wrong[0]["config"]) == {"lr": 10.0, "width": 16}
    (right,) = search("raymimic:right-belief", tmp_path / "b", trials=1)
    assert math.log10(json.loads(right["config"])["lr"]) == pytest.approx(-2, abs=0.7)


def test_a_believer_knows_about_the_optimum_and_says_it_anew_only_if_it_should() -> None:
    task = make_task()
    space = RaySpace.from_ray(task.param_space()).space
    begun = SearchEvidence(space, "val_loss", "min")
    trials = [
        TrialRecord(f"t{k}", row, "done", "llm", score=float(k)) for k, row in enumerate(GRID[:4])
    ]
    for restates in (True, False):
        adviser = Believer(task, 0, error=0.01, restates=restates)
        first = adviser.propose(begun, 2)
        lr = first.belief.places["lr"][0]
        assert math.log10(lr.centre) == pytest.approx(-2, abs=0.7)
        assert len(first.proposals) == 2
        later = adviser.propose(replace(begun, trials=tuple(trials)), 2)
        assert (later.belief != first.belief) is restates


@pytest.fixture
def evidence() -> SearchEvidence:
    space = SearchSpace({"lr": FloatRange(1e-4, 1.0, log=True), "dropout": FloatRange(0, 1)})
    trials = tuple(
        TrialRecord(
            f"t{k}",
            {"lr": 10.0**-k, "dropout": k / 4},
            "done",
            "heuristic",
            score=float(k),
            curve=Curve(np.array([1]), {"loss": np.array([float(k)])}),
        )
        for k in range(5)
    )
    return SearchEvidence(space, "loss", "min", trials)


def test_ablations_change_what_is_seen_and_nothing_else(evidence: SearchEvidence) -> None:
    inner = HeuristicAdvisor(0)
    blind = ablations.ScoresOnly(inner).change(evidence)
    assert [(t.score, t.curve) for t in blind.trials] == [(float(k), None) for k in range(5)]

    shuffled = ablations.Shuffled(inner).change(evidence)
    curves = [trial.curve.last("loss") for trial in shuffled.trials if trial.curve]
    assert [trial.score for trial in shuffled.trials] == [0, 1, 2, 3, 4]
    assert sorted(curves) == [0, 1, 2, 3, 4]
    assert curves != sorted(curves)

    hidden = ablations.Anonymous(inner)
    seen = hidden.change(evidence)
    assert list(seen.space.dimensions) == ["x1", "x2"]
    assert seen.trials[2].config == {"x1": 1e-2, "x2": 0.5}
    proposal = hidden.propose(evidence, 1).proposals[0]
    assert set(proposal.config) == {"lr", "dropout"}


def test_columns_fit_their_grids() -> None:
    scales = {
        name: Column.of_grid(name, grid).scale
        for name, grid in {
            "lr": LRS,
            "width": WIDTHS,
            "depth": [1, 2, 3],
            "dropout": [0.0, 0.25, 0.5],
            "batch": [32, 128],
            "optimizer": ["adam", "lion", "sgd"],
        }.items()
    }
    assert scales == {
        "lr": "log",
        "width": "log",
        "depth": "linear",
        "dropout": "linear",
        "batch": "choice",
        "optimizer": "choice",
    }
    beta = Column("beta1", "one_minus_log", 0.0, 0.9999)
    nearest = NearestRow([beta], [[0.9], [0.99], [0.999]])
    assert nearest({"beta1": 0.996}) == 1  # in plain numbers it is nearer to 0.999
    assert nearest({"beta1": 0.998}) == 2


def test_a_study_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "load", lambda *_: make_task())
    monkeypatch.setattr(catalog, "names", lambda _: ["tiny"])

    def options(trials: int) -> Any:
        arguments = ["--methods", "random,tpe", "--seeds", "2", "--trials", f"{trials}"]
        return run.parse([*arguments, "--tasks", "tiny", "--out", str(tmp_path)])

    jobs = run.missing(options(3))
    assert len(jobs) == 4
    outcome = run.search(jobs[0])
    assert not outcome.fault
    assert run.missing(options(3)) == jobs[1:]
    with pytest.raises(SystemExit, match="another --out"):
        run.missing(options(4))  # a searcher knows its budget: not the same search
