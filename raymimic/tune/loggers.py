"""Who proposed a trial, why, and why it ended, for the loggers that people look at.

Strings in a result reach Tune's tables and its files; its other loggers leave them out. Weights &
Biases gets them as columns, TensorBoard as text and MLflow as tags when a trial ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raymimic.scheduling.verdict import Verdict
from raymimic.tune.short import CELL, short_reason

if TYPE_CHECKING:
    from raymimic.advisor import TrialRecord
    from raymimic.tune.lines import Ended

_WORDS = tuple(
    f"raymimic/{name}" for name in ("source", "why", "reason", "verdict", "decision", "limits")
)

_TAG_CHARS = 5000  # MLflow's limit of a tag


def columns(
    record: TrialRecord | None, verdict: Verdict | None, *, decides: bool
) -> dict[str, str]:
    """Give what a result is told; ``decides``: there is a scheduler of ours."""
    found: dict[str, str] = {}
    if record is not None:
        found["raymimic/source"] = record.source
        found["raymimic/why"] = short_reason(record.rationale, CELL)
        found["raymimic/reason"] = record.rationale
    if decides:
        found["raymimic/verdict"] = verdict.short if verdict is not None else "continue"
        found["raymimic/decision"] = verdict.text if verdict is not None else "continue"
    return found


class Loggers:
    """Tells TensorBoard, and the loggers that it has met, of ended trials."""

    def __init__(self) -> None:
        self._mlflow: Any = None

    def meet(self, callbacks: Iterable[Any]) -> None:
        """Look for loggers of Ray that need help, by what they are made of: importing them costs.

        That of Weights & Biases is told which strings of a result are columns.
        """
        for callback in callbacks:
            if hasattr(callback, "AUTO_CONFIG_KEYS"):
                callback.AUTO_CONFIG_KEYS = [*type(callback).AUTO_CONFIG_KEYS, *_WORDS]
            elif hasattr(callback, "mlflow_util"):
                self._mlflow = callback

    def tell(self, trial: Any, ended: Ended) -> None:
        """Write the words of an ended trial wherever a logger of Tune's writes its numbers."""
        told = {"source": ended.source, "reason": ended.reason}
        if ended.verdict is not None:
            told["decision"] = ended.verdict.text
        words = {f"raymimic/{name}": text for name, text in told.items() if text}
        if not words:
            return
        _to_tensorboard(trial, words, ended.epochs)
        if self._mlflow is not None:
            self._to_mlflow(trial, words)

    def _to_mlflow(self, trial: Any, words: dict[str, str]) -> None:
        """Tag the trial's run; the logger has no public way to its runs."""
        run = self._mlflow._trial_runs.get(trial)
        if run is None:
            return
        client = self._mlflow.mlflow_util._get_client()
        for name, text in words.items():
            client.set_tag(run, name.replace("/", "."), text[:_TAG_CHARS])


def _to_tensorboard(trial: Any, words: dict[str, str], epoch: int) -> None:
    """Add an event file beside the one of Tune's logger; nothing where that does not write."""
    folder = Path(getattr(trial, "local_path", None) or "")
    if not folder.name or not any(folder.glob("events.out.tfevents*")):
        return
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder), filename_suffix=".raymimic") as writer:
        for name, text in words.items():
            writer.add_text(name, text, epoch)
