"""A trial's story in plain words with numbers: the page and ``raymimic why`` say the same."""

from __future__ import annotations

from raymimic.feasibility import memory_failure
from raymimic.report.run import Run, Trial
from raymimic.summary import duration, last_line, show

Line = tuple[str, str]
"""A heading of one or two words and what it says; ledger texts are foreign and go in unchanged."""

_HEADINGS = {
    "stop": "Stopped",
    "redirect": "Redirected",
    "clone": "Cloned",
    "adjustment": "Adjusted",
    "rollback": "Rolled back",
    "judgement": "Judged",
    "verdict": "Outcome",
}


def story_of(run: Run, index: int, rank: int | None = None) -> list[Line]:
    """Tell why a trial was proposed, what was done to it, why it ended and what that was worth.

    ``rank`` is its place among the trials with a score, from 1; found here where not given.
    """
    trial = run.trials[index]
    if rank is None and trial.score is not None:
        rank = run.scored.index(index) + 1
    lines = [("Proposed", _proposed(trial))]
    if trial.repairs:
        lines.append(("Repaired", "; ".join(trial.repairs)))
    if trial.expected is not None:
        lines.append(("Expected", _expected(run, trial)))
    for mark in trial.marks:
        told = mark.epoch is None or mark.kind == "stop"  # its text names the epoch itself
        at = "" if told else f"epoch {mark.epoch}: "
        lines.append((_HEADINGS[mark.kind], at + mark.text))
    lines.append(("Ended", _ended(run, trial, rank)))
    if trial.limits:
        lines.append(("Limits", "; ".join(trial.limits)))
    if trial.diagnosis:
        lines.append(("Its curve", trial.diagnosis))
    if trial.error:
        lines.append(("Error", last_line(trial.error)))
    return lines


def _proposed(trial: Trial) -> str:
    if trial.given:
        return f"evaluated elsewhere and given as evidence: {trial.rationale or 'no reason given'}"
    reason = trial.rationale or "no reason was given"
    known = "before any trial had ended"
    if trial.made_from:
        known = f"from {trial.made_from} ended trial{'' if trial.made_from == 1 else 's'}"
    return f"by {trial.source}, {known}: {reason}"


def _expected(run: Run, trial: Trial) -> str:
    text = f"{run.metric} {show(trial.expected)}"
    kept = run.kept(trial)
    if kept is None or trial.score is None or trial.expected is None:
        stopped = trial.status == "stopped"
        return f"{text}; {'it was stopped before its end' if stopped else 'nothing came'}: open"
    gap = abs(trial.score - trial.expected)
    if kept and not run.better(trial.expected, trial.score):
        came = f"{show(gap)} better: kept"
    elif kept:
        came = f"{show(gap)} worse, within the noise of its curve: kept"
    else:
        came = f"{show(gap)} worse: missed"
    return f"{text}; came {show(trial.score)}, {came}"


def _ended(run: Run, trial: Trial, rank: int | None) -> str:
    epochs = f"after epoch {trial.epochs}" if trial.epochs else "before its first epoch"
    spent = f" in {duration(trial.seconds)}" if trial.seconds >= 1 else ""
    if trial.status == "running":
        return "not yet: it has no outcome in the ledger"
    if trial.status == "cut off":
        return f"cut off {epochs}: the run ended, or its driver died, while it was under way"
    if trial.status == "failed":
        why = memory_failure(trial.error)
        said = f"{why}: {last_line(trial.error)}" if why else last_line(trial.error)
        return f"failed {epochs}{spent}: {said or 'no error text is known'}"
    how = "stopped early" if trial.status == "stopped" else "ran to its end"
    if trial.score is None:
        return f"{how} {epochs}{spent}, without a finite {run.metric}"
    return f"{how} {epochs}{spent} with {run.values(trial)}{_placed(run, trial, rank)}"


def _placed(run: Run, trial: Trial, rank: int | None) -> str:
    if trial.broken:
        return ", beyond a limit: it does not count"
    if run.others:
        here = run.trials.index(trial) in run.front
        return f", {'' if here else 'not '}on the front of {len(run.front)}"
    best = run.best
    if rank is None or best is None or best.score is None or trial.score is None:
        return ""
    text = f", place {rank} of {len(run.scored):,}"
    if trial is best:
        return f"{text}: the best"
    return f"{text}; the best, {best.trial_id}, has {show(best.score)}"
