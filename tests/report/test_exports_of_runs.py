"""A run for other tools, read back with those tools."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from report_ledgers import trial_id, write_ledger

from raymimic.cli import main
from raymimic.report.reading import read_run

TRIALS = 40


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ledger(tmp_path_factory.mktemp("run") / "ledger.jsonl", TRIALS)


def test_optuna_loads_the_study_with_curves_reasons_and_the_same_best(ledger: Path, tmp_path: Path):
    import optuna

    database = tmp_path / "study.db"
    assert main(["export", str(ledger), "--optuna", str(database)]) == 0
    (summary,) = optuna.get_all_study_summaries(f"sqlite:///{database}")
    study = optuna.load_study(study_name=summary.study_name, storage=f"sqlite:///{database}")
    run = read_run([ledger])
    states = [trial.state.name for trial in study.trials]
    assert len(study.trials) == TRIALS
    assert {"COMPLETE", "PRUNED", "FAIL"} == set(states)
    done = [trial for trial in run.trials if trial.status == "done" and trial.score is not None]
    assert study.best_value == min(trial.score for trial in done)
    assert study.best_trial.user_attrs["trial_id"] in {trial.trial_id for trial in run.trials}
    assert study.metric_names == ["val_loss"]
    first = study.trials[0]
    assert first.user_attrs["trial_id"] == trial_id(0)
    assert first.params == dict(run.trials[0].config)
    assert first.user_attrs["reason"] == run.trials[0].rationale
    assert "Proposed: by " in first.user_attrs["story"]
    assert len(first.intermediate_values) == run.trials[0].epochs
    assert optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )


def test_an_export_never_mixes_into_a_file_that_is_there(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    database = tmp_path / "study.db"
    database.write_text("somebody's")
    assert main(["export", str(ledger), "--optuna", str(database)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert database.read_text() == "somebody's"


def test_tables_hold_a_row_a_trial(ledger: Path, tmp_path: Path):
    parquet, csv = tmp_path / "run.parquet", tmp_path / "run.csv"
    assert main(["export", str(ledger), "--parquet", str(parquet), "--csv", str(csv)]) == 0
    run = read_run([ledger])
    for frame in (pd.read_parquet(parquet), pd.read_csv(csv, dtype={"trial_id": str})):
        assert list(frame["trial_id"]) == [trial.trial_id for trial in run.trials]
        assert frame["config/lr"].tolist() == [trial.config["lr"] for trial in run.trials]
        assert frame["place"].min() == 1
        assert frame["story"].str.contains("Proposed: by ").all()


def test_an_export_says_what_for(ledger: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["export", str(ledger)])
    assert "--optuna" in capsys.readouterr().err
