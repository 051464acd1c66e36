"""The head-to-head study's statistics, against values worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("scipy", reason="the study's tests need SciPy")

from experiments.common import estimates, trial_rows
from experiments.head_to_head import pairwise, real, report, runs, spending, summary


def rows(
    method: str, regret: list[float], score: list[float] | None = None, **columns: Any
) -> pd.DataFrame:
    """A run; a trial's score and value are its regret unless told otherwise."""
    base = {
        "task": "t", "method": method, "seed": 0, "trial": range(len(regret)), "source": "",
        "score": regret if score is None else score, "value": regret, "regret": regret,
        "test": np.nan, "epochs": 10, "epochs_full": 10, "ask_seconds": 1.0, "train_seconds": 2.0,
        "tokens_in": 0, "tokens_out": 0, "cost": 0.0, "fallback": False, "config": "{}",
        "stopped": False,
    }  # fmt: skip
    return pd.DataFrame({**base, **columns})


def make(*parts: pd.DataFrame) -> Any:
    return runs.Study(trial_rows.tidy(pd.concat(parts, ignore_index=True)))


def seeds(method: str, finals: list[float], task: str = "t") -> pd.DataFrame:
    """A run of five trials for each final regret, one seed each."""
    parts = [rows(method, [2.0] * 4 + [end], seed=s, task=task) for s, end in enumerate(finals)]
    return pd.concat(parts)


def test_the_incumbent_is_chosen_by_the_score_the_searcher_saw() -> None:
    run = make(rows("a", regret=[0.5, 0.1, 0.3], score=[0.4, 0.9, 0.2])).runs[0]
    assert run.regret.tolist() == [0.5, 0.5, 0.3]


def test_a_score_to_be_maximised_and_a_tie() -> None:
    score, stopped = np.array([1.0, 3.0, 3.0, 2.0]), np.zeros(4, bool)
    assert runs.incumbents(score, stopped, "max").tolist() == [0, 1, 1, 1]
    assert runs.incumbents(score, stopped, "min").tolist() == [0, 0, 0, 0]


def test_stopped_and_failed_trials_are_never_incumbents() -> None:
    score = np.array([np.nan, 0.1, 0.7, np.inf, 0.2])
    stopped = np.array([False, True, False, False, True])
    assert runs.incumbents(score, stopped).tolist() == [-1, -1, 2, 2, 2]


def test_a_method_that_stops_trials_is_charged_its_epochs() -> None:
    """Ten trials of which eight stop at 2 of 10 epochs: 3.6 trainings' worth, best at the last."""
    stopped = [True] * 8 + [False] * 2
    part = rows("asha:x", [0.9] * 8 + [0.5, 0.1], stopped=stopped, epochs=[2] * 8 + [10] * 2)
    run = make(part).runs[0]
    assert run.budget[-1] == pytest.approx(3.6)
    held = run.held("regret", np.array([1.6, 2.6, 3.5, 3.6]))
    assert np.isnan(held[0])
    assert held[1:].tolist() == [0.5, 0.5, 0.1]
    assert run.reaches(4)
    assert not run.reaches(5)


def test_no_incumbent_counts_as_the_worst_of_the_task_and_at_least_as_the_median() -> None:
    regret = np.array([[3.0, 0.2], [np.nan, np.nan], [0.5, 0.5], [np.inf, 0.1]])
    tasks = np.array(["a", "a", "b", "b"])
    assert runs.fill_missing(regret, tasks).tolist() == [
        [3.0, 0.2], [3.0, 1.0], [0.5, 0.5], [1.0, 0.1],
    ]  # fmt: skip


def test_a_wrong_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="mode"):
        make(rows("a", regret=[0.1, 0.5], value=[0.9, 0.3]))
    make(rows("a", regret=[0.1, 0.5], value=[0.9, 0.3], mode="max"))


def test_missing_and_short_runs_are_named() -> None:
    full = [1.0] * 5
    held = make(rows("a", full), rows("a", full, seed=1), rows("b", full, seed=1))
    assert held.missing().to_numpy().tolist() == [["t", "b", 0]]
    assert "MISSING: 1 runs" in report.shortfall(held)
    held = make(rows("a", full), rows("a", full[:3], seed=1))
    assert "SHORT: 1 runs" in report.shortfall(held)


def test_interquartile_mean() -> None:
    """Of eight, two are cut at each end; of six, one."""
    assert estimates.iqm(np.array([100, 1, 2, 3, 4, 5, 6, -50.0])) == pytest.approx(3.5)
    assert estimates.iqm(np.array([9, 1, 2, 3, 6, 0.0])) == pytest.approx(3.0)


def test_mean_over_tasks_weighs_tasks_not_runs() -> None:
    tasks = np.array(["a", "a", "a", "b"])
    values = np.array([1.0, 2.0, 3.0, 10.0])
    assert estimates.task_mean(values, tasks) == pytest.approx(6.0)


def test_bootstrap_draws_within_tasks() -> None:
    tasks = np.array(["a", "b", "a", "b", "b"])
    drawn = estimates.resamples(tasks, count=200)
    assert (tasks[drawn] == tasks).all()
    assert set(drawn[:, 0]) == {0, 2}
    same = estimates.interval(np.where(tasks == "a", 1.0, 2.0), tasks, estimates.iqm)
    assert same == pytest.approx((5 / 3, 5 / 3))  # no variation within a task: one per end is cut


def test_ranks_share_ties() -> None:
    regret = np.array([[0.1, 0.3, 0.3, 0.9], [0.2, 0.2, 0.2, 0.1], [0.3, 0.1 + 0.2, 0.0, 1.0]])
    assert estimates.ranks(regret).tolist() == [
        [1, 2.5, 2.5, 4], [3, 3, 3, 1], [2.5, 2.5, 1, 4],
    ]  # fmt: skip


def test_critical_difference_of_demsar() -> None:
    """Demšar 2006: q(.05) is 2.343 for 3 and 2.569 for 4 classifiers; 4 on 14 data sets: 1.25."""
    assert estimates.nemenyi(4, 14) == pytest.approx(1.25, abs=0.005)
    assert estimates.nemenyi(3, 10) == pytest.approx(2.343 * (12 / 60) ** 0.5, abs=0.001)


def test_wilcoxon_says_who_is_worse() -> None:
    """Six pairs, all one way: p = 2 / 2**6; the least that six pairs can give."""
    low = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    high = low + np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06])
    lost = estimates.paired(high, low)
    assert (lost.wins, lost.ties, lost.losses, lost.worse) == (0, 0, 6, True)
    assert lost.p == pytest.approx(2 / 64) == estimates.least_p(6)
    assert lost.difference == pytest.approx(0.035)
    won = estimates.paired(low, high)
    assert (won.wins, won.worse, won.share) == (6, False, 1.0)


def test_equal_pairs_are_ties_and_prove_nothing() -> None:
    same = estimates.paired(np.array([0.1 + 0.2, 0.5]), np.array([0.3, 0.5]))
    assert (same.wins, same.ties, same.losses, same.p, same.share) == (0, 2, 0, 1.0, 0.5)


def test_where_higher_is_better_the_higher_seed_wins() -> None:
    """Gaps of 1, 2, 3: mean 2, s.d. 1, t(.975, 2) = 4.303, so 2 -+ 2.484."""
    ours, theirs = np.array([2.0, 4.0, 6.0]), np.array([1.0, 2.0, 3.0])
    found = estimates.paired(ours, theirs, "max")
    assert (found.wins, found.losses, found.worse, found.difference) == (3, 0, False, 2.0)
    assert found.t == pytest.approx((-0.484, 4.484), abs=1e-3)
    assert not found.clear
    assert found.bootstrap[0] >= 1
    assert estimates.paired(ours, theirs, "min").losses == 3
    assert np.isnan(estimates.paired(ours[:1], theirs[:1]).t).all()


def test_holm() -> None:
    """Sorted .01 .02 .04 times 3 2 1 is .03 .04 .04."""
    assert estimates.holm([0.04, 0.01, 0.02]).tolist() == pytest.approx([0.04, 0.03, 0.04])
    assert estimates.holm([0.02, 0.021]).tolist() == pytest.approx([0.04, 0.04])
    assert estimates.holm([0.03, 0.02, 0.9]).tolist() == pytest.approx([0.06, 0.06, 0.9])


def test_censored_times() -> None:
    ends = np.array([50.0, 50.0, 50.0, 50.0])
    median = estimates.censored_median
    assert median(np.array([3, 7, 9, np.inf]), ends) == (8.0, True)
    assert median(np.array([3, 7, np.inf, np.inf]), ends) == (50.0, False)


def test_time_to_half_of_the_defaults_regret() -> None:
    """The default's regret is .8, so the target is .4; the horizon is 5 trials."""
    late = rows("a", [0.9, 0.7, 0.4, 0.1, 0.1])
    told = rows("a+D", [0.8, 0.9, 0.9, 0.9, 0.9], source=["user"] + [""] * 4)
    held = make(late, told)
    assert spending.targets(held) == {"t": (0.4, True)}
    first, second = held.runs
    assert spending.reached_at(first, 0.4, 5) == (3.0, 5.0)
    assert spending.reached_at(second, 0.4, 5) == (np.inf, 5.0)
    assert "| a+D | > 5.0 | 0% |" in spending.time_to_target(held, ["t"], ["a", "a+D"])
    assert spending.targets(make(late)) == {"t": (0.5, False)}


def test_significantly_worse_is_measured_against_the_better_rival() -> None:
    """Ours beats TPE on every seed and loses to GP on every seed: that is a case."""
    step = np.arange(8) / 1000
    held = make(
        seeds("raymimic", list(0.5 + step)),
        seeds("tpe", list(0.9 + 2 * step)),
        seeds("gp", list(0.1 + 3 * step)),
    )
    cases = pairwise.worse_cases(held, "raymimic")
    (case,) = cases[cases["worse"]].to_dict("records")
    assert (case["rival"], case["budget"], case["pairs"]) == ("gp", 5, 8)
    assert case["p"] == pytest.approx(2 / 2**8)
    assert "**YES: 1 case(s)**" in pairwise.worse_table(held, "raymimic")
    assert "**No**" in pairwise.worse_table(held, "gp")


def test_too_few_seeds_are_said_to_prove_nothing() -> None:
    held = make(seeds("raymimic", [0.5, 0.6]), seeds("tpe", [0.1, 0.2]))
    text = pairwise.worse_table(held, "raymimic")
    assert "Too few seeds" in text
    assert "gp has no runs" in text


def test_methods_are_compared_on_the_tasks_they_share() -> None:
    held = make(seeds("a", [0.1], "t1"), seeds("a", [0.3], "t2"), seeds("b", [0.2], "t2"))
    assert held.groups() == [(["t1", "t2"], ["a"]), (["t2"], ["a", "b"])]


def test_mean_ranks_need_seeds_shared_by_all() -> None:
    held = make(seeds("a", [0.1, 0.4]), seeds("b", [0.2, 0.3]), seeds("c", [0.2, 0.5]))
    mean, _, difference = summary.mean_ranks(held, ["t"], ["a", "b", "c"], 5)
    assert mean.to_dict() == {"a": 1.5, "b": 1.75, "c": 2.75}
    assert np.isnan(difference)  # one task


def test_real_training_reports_values_wins_and_the_test_once() -> None:
    values = {"raymimic": [0.7, 0.9, 0.8], "tpe": [0.6, 0.8, 0.85]}
    parts = [
        rows(m, [np.nan] * 5, score=[0.1] * 4 + [v], value=[0.1] * 4 + [v], test=v - 0.05,
             seed=s, mode="max")
        for m, found in values.items() for s, v in enumerate(found)
    ]  # fmt: skip
    held = make(*parts)
    assert (held.tables, held.real) == ([], ["t"])
    text = real.task_section(held, "t", "raymimic")
    assert "| raymimic | 3 | .8000 [.7000, .9000] | .7500 [.6500, .8500] |" in text
    assert "| tpe | 2 / 0 / 1 | +.0500 |" in text


def test_report_is_written_with_plots(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the study's plots need Matplotlib")
    for method, ends in {"raymimic": [0.1, 0.2], "tpe": [0.3, 0.2], "asha:gp": [0.2, 0.3]}.items():
        folder = tmp_path / "raw" / "t" / method
        folder.mkdir(parents=True)
        for seed, part in seeds(method, ends).groupby("seed"):
            part.to_parquet(folder / f"{seed}.parquet")
    text = report.write(tmp_path).read_text()
    assert "| raymimic | 2 | .150 |" in text
    assert len(pd.read_parquet(tmp_path / "results.parquet")) == 30
    assert {"regret.png", "tasks.png", "ranks.png"} <= {p.name for p in tmp_path.glob("*.png")}
