"""What trials did before a restore: Tune gives a scheduler its trials back without their curves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raymimic.curves import Curve, CurveHistory
from raymimic.tune.results import TIME_ATTR, epoch_of, metrics_of, restarted

if TYPE_CHECKING:
    from raymimic.tune.searcher import LLMSearcher

_MOST_BYTES = 50_000_000
_STOPPED = ("hopeless", "diverged", "overfitting", "judged")


@dataclass(frozen=True)
class RestoredTrial:
    """A trial of before; ``whole``: it was a full training, None while it still runs."""

    trial_id: str
    curve: Curve
    whole: bool | None


def of_searcher(searcher: LLMSearcher) -> Iterator[RestoredTrial]:
    """Yield all trials of a searcher that have a curve."""
    evidence = searcher.evidence()
    for record in evidence.trials:
        if record.curve is not None:
            whole = record.status == "done" and not record.stopped
            yield RestoredTrial(record.trial_id, record.curve, whole)
    for record in evidence.running:
        if record.curve is not None:
            yield RestoredTrial(record.trial_id, record.curve, None)


def of_trial(trial: Any, time_attr: str = TIME_ATTR) -> RestoredTrial | None:
    """Read a trial from the file that Tune writes beside its results, if it is there.

    A trial that a scheduler stopped cannot be told from one that ended by itself, except that its
    decision stands in the results.
    """
    try:
        folder = getattr(trial, "local_path", None)
    except RuntimeError:  # it is new: Tune has given it no folder yet
        return None
    file = Path(folder) / "result.json" if folder else None
    if file is None or not file.is_file() or file.stat().st_size > _MOST_BYTES:
        return None
    history, decision = CurveHistory(), ""
    for line in file.read_text(errors="replace").splitlines():
        try:
            result = json.loads(line)
        except ValueError:
            continue  # torn by a kill
        epoch = epoch_of(result, time_attr) if isinstance(result, dict) else None
        if epoch is not None:
            history.append("it", epoch, metrics_of(result), restarted=restarted(result))
            decision = str(result.get("raymimic/decision", ""))
    if "it" not in history:
        return None
    status, whole = str(getattr(trial, "status", "")), None
    if status == "TERMINATED":
        whole = not decision.startswith(_STOPPED)
    elif status == "ERROR":
        whole = False
    return RestoredTrial(trial.trial_id, history.curve("it"), whole)
