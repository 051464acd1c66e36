"""A run for other tools: Optuna's storage, Parquet, CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from raymimic.errors import LedgerError
from raymimic.report.run import Run
from raymimic.report.story import story_of
from raymimic.report.study import frozen_trials, quiet_optuna

if TYPE_CHECKING:
    import pandas as pd


def to_frame(run: Run) -> pd.DataFrame:
    """Return one row a trial: what it was, why, what came; settings as "config/NAME"."""
    import pandas as pd

    ranks = {index: rank for rank, index in enumerate(run.scored, start=1)}
    rows = []
    for index, trial in enumerate(run.trials):
        story = story_of(run, index, ranks.get(index))
        row = {
            "trial_id": trial.trial_id,
            "source": trial.source,
            "status": trial.status,
            "score": trial.score,
            "place": ranks.get(index),
            "expected": trial.expected,
            "kept": run.kept(trial),
            "reason": trial.rationale,
            "diagnosis": trial.diagnosis,
            "epochs": trial.epochs,
            "seconds": trial.seconds,
            "batch": trial.batch,
            "limits": "; ".join(trial.limits),
            "error": trial.error,
            "story": "\n".join(f"{heading}: {text}" for heading, text in story),
        }
        if run.others:
            row["on_front"] = index in run.front
            row |= {other.name: trial.measured.get(other.name) for other in run.others}
        rows.append(
            row | {f"config/{name}": trial.config.get(name) for name in run.space.dimensions}
        )
    frame = pd.DataFrame(rows).convert_dtypes()
    for name in frame.columns:  # a choice may mix kinds, which no Arrow column holds
        if frame[name].dtype == object:
            frame[name] = frame[name].map(str, na_action="ignore")
    return frame


def write_csv(run: Run, path: Path) -> None:
    """Write `to_frame` as CSV."""
    to_frame(run).to_csv(path, index=False)


def write_parquet(run: Run, path: Path) -> None:
    """Write `to_frame` as Parquet."""
    to_frame(run).to_parquet(path, index=False)


def write_study(run: Run, path: Path) -> str:
    """Write an Optuna study to a new SQLite file and return its name.

    Curves are intermediate values, stories and reasons user attributes; a stopped trial counts as
    pruned. Raises `LedgerError` where the file is there already: a study is not to be mixed.
    """
    import optuna

    if path.exists():
        raise LedgerError(
            f"an exported study must be a new file, and {str(path)!r} is there already; give "
            "another name or delete it"
        )
    with quiet_optuna():
        study = optuna.create_study(
            study_name=f"raymimic {Path(run.ledger).parent.name}",
            storage=f"sqlite:///{path}",
            direction="minimize" if run.mode == "min" else "maximize",
        )
        study.set_metric_names([run.metric])
        study.set_user_attr("ledger", run.ledger)
        study.set_user_attr("advisor", str(run.search.get("advisor", "")))
        study.add_trials(frozen_trials(run, range(len(run.trials)), stories=True))
    return str(study.study_name)
