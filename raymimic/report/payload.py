"""From a `Run` to the plain data of its page: columns, one entry a trial."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from raymimic.curves import find_pair
from raymimic.report.importance import FEWEST, groups_of, importances, label
from raymimic.report.reading import purpose
from raymimic.report.run import Batch, Run, Trial
from raymimic.report.story import story_of
from raymimic.report.thinning import drawn, points_each, rounded, thin
from raymimic.space import Choice
from raymimic.summary import duration, plural, show

_TEXTS = 4_000_000  # characters of reasons, judgements and errors on a page
_LONGEST = 2000  # of one of them, however few there are
_TICKS = 5
_WISHES = 20  # latest of a batch that are shown
_DROPS = 5  # refused proposals of a batch whose texts are shown
_EFFECTS = 1000  # latest redirects and clones that are drawn
_PROMPTS = 30  # latest calls whose prompt and reply are on the page
_PROMPT_CHARS = 4000


def payload_of(run: Run) -> dict[str, Any]:
    """Return all that the page shows, as JSON data; foreign texts are in it as they are."""
    ranks = {index: place for place, index in enumerate(run.scored, start=1)}
    curves = drawn(run)
    return {
        "head": _head(run, len(curves)),
        "params": [_param(run, name) for name in run.space.dimensions],
        "trials": _columns(run, ranks),
        "order": run.order,
        "curves": _curves(run),
        "drawn": curves,
        "importance": [vars(one) for one in importances(run)],
        "batches": [_batch(run, batch, _limit(run)) for batch in run.batches],
        "calls": [_call(run, number) for number in range(len(run.calls))],
        "effects": [vars(effect) for effect in run.effects[-_EFFECTS:]],
        "honesty": _honesty(run),
        "front": _front(run),
    }


def _front(run: Run) -> dict[str, Any] | None:
    """Several objectives: each trial's values, who is on the front, the volume as trials ended."""
    if not run.others:
        return None
    return {
        "names": [run.metric, *(other.name for other in run.others)],
        "modes": [run.mode, *(other.mode for other in run.others)],
        "values": [
            [rounded(trial.score), *(rounded(trial.measured.get(o.name)) for o in run.others)]
            for trial in run.trials
        ],
        "trials": run.front,
        "volumes": [rounded(volume) for volume in run.volumes],
    }


def _head(run: Run, curves: int) -> dict[str, Any]:
    tally = run.tally
    return {
        "metric": run.metric,
        "mode": run.mode,
        "advisor": str(run.search.get("advisor", "")),
        "instruction": str(run.search.get("instruction") or ""),
        "ledger": run.ledger,
        "began": run.first_t,
        "seconds": run.last_t - run.first_t,
        "took": duration(run.last_t - run.first_t),
        "made": time.time(),
        "ended": run.ended,
        "best": run.scored[0] if run.best is not None else None,
        "total": run.search.get("trials_total"),
        "asked": sum(tally.calls.values()),
        "cost": tally.cost,
        "unpriced": tally.unpriced,
        "tokens": [tally.tokens_in, tally.tokens_out],
        "notes": _notes(run, curves),
        "fewest": FEWEST,
    }


def _notes(run: Run, curves: int) -> list[str]:
    having = sum(trial.curve is not None for trial in run.trials)
    notes = list(run.notes)
    if curves < having:
        notes.append(
            f"Drawn are {curves} of {having:,} curves: the best, those to which something was "
            "done, and an even sample of the rest; a click on any trial shows its own."
        )
    longest = max((len(t.curve) for t in run.trials if t.curve is not None), default=0)
    if longest > points_each(run):
        notes.append(f"Curves are thinned to at most {points_each(run)} points each.")
    texts = (text for t in run.trials for text in (t.rationale, *(mark.text for mark in t.marks)))
    if max(map(len, texts), default=0) > _limit(run):
        notes.append(f"Texts are cut to {_limit(run)} characters; raymimic why TRIAL shows all.")
    return notes


def _limit(run: Run) -> int:
    """How long one text may be, so that all of them stay within what a page holds."""
    texts = sum(1 + len(trial.marks) for trial in run.trials)
    return max(100, min(_LONGEST, _TEXTS // max(1, texts)))


def _param(run: Run, name: str) -> dict[str, Any]:
    dimension = run.space.dimensions[name]
    choice = isinstance(dimension, Choice)
    if isinstance(dimension, Choice):
        spots = [dimension.to_unit(value) for value in dimension.values]
    else:
        spots = [number / (_TICKS - 1) for number in range(_TICKS)]
    return {
        "name": name,
        "choice": choice,
        "conditional": name in run.space.conditions,
        "ticks": [[spot, label(dimension, spot)] for spot in spots],
        "groups": [vars(group) for group in groups_of(run, name)],
    }


def _columns(run: Run, ranks: dict[int, int]) -> dict[str, list[Any]]:
    limit = _limit(run)
    rows = [_trial(run, index, ranks.get(index), limit) for index in range(len(run.trials))]
    names = rows[0] if rows else {}
    return {name: [row[name] for row in rows] for name in names}


def _trial(run: Run, index: int, rank: int | None, limit: int) -> dict[str, Any]:
    trial = run.trials[index]
    return {
        "id": trial.trial_id,
        "source": trial.source,
        "status": trial.status,
        "kind": trial.kind,
        "score": trial.score,
        "rank": rank,
        "expected": trial.expected,
        "kept": run.kept(trial),
        "broken": trial.broken,
        "batch": trial.batch,
        "began": None if trial.began is None else round(trial.began - run.first_t, 1),
        "epochs": trial.epochs,
        "unit": trial.unit and [rounded(place) for place in trial.unit],
        "config": [trial.config.get(name) for name in run.space.dimensions],
        "story": [[head, _cut(text, limit)] for head, text in story_of(run, index, rank)],
        "marks": _marks(run, trial),
    }


def _marks(run: Run, trial: Trial) -> list[list[Any]]:
    """Where on its curve something was done to a trial: kind, epoch, value there."""
    found = []
    for mark in trial.marks:
        if mark.epoch is not None and mark.kind not in ("verdict", "judgement"):
            found.append([mark.kind, mark.epoch, rounded(_value_at(run, trial, mark.epoch))])
    return found


def _value_at(run: Run, trial: Trial, epoch: int) -> float | None:
    if trial.curve is None or run.metric not in trial.curve.columns:
        return None
    values = [value for at, value in trial.curve.reported(run.metric) if at <= epoch]
    return values[-1] if values else None


def _curves(run: Run) -> list[list[Any] | None]:
    """Each trial's thinned curve: epochs, values, and those of the training metric beside it."""
    most = points_each(run)
    found: list[list[Any] | None] = []
    for trial in run.trials:
        if trial.curve is None or not len(trial.curve):
            found.append(None)
            continue
        curve: list[Any] = list(thin(trial.curve, run.metric, most))
        pair = find_pair(tuple(trial.curve.columns), run.metric)
        if pair is not None and pair.held_out == run.metric:
            curve += [pair.train, *thin(trial.curve, pair.train, most)]
        found.append(curve)
    return found


def _batch(run: Run, batch: Batch, limit: int) -> dict[str, Any]:
    return {
        "when": round(batch.when - run.first_t, 1),
        "known": batch.known,
        "best": run.best_after[min(batch.known, len(run.order))],
        "trials": batch.trials,
        "waiting": len(batch.proposed) - len(batch.trials),
        "calls": batch.calls,
        "dropped": [_cut(text, limit) for text in batch.dropped[:_DROPS]],
        "fallbacks": dict(Counter(_cut(text, limit) for text in batch.fallbacks)),
        "wishes": [_cut(text, limit) for text in batch.wishes[-_WISHES:]],
    }


def _call(run: Run, number: int) -> dict[str, Any]:
    row = run.calls[number]
    request = row.get("request") or {}
    recent = number >= len(run.calls) - _PROMPTS
    return {
        "when": round(row["t"] - run.first_t, 1),
        "purpose": purpose(row),
        "model": str(row["model"]),
        "status": str(row["status"]),
        "seconds": row["seconds"],
        "tokens": [row["tokens_in"], row["tokens_out"]],
        "cost": row["cost"],
        "error": _cut(str(row.get("error") or ""), 300),
        "user": _cut(str(request.get("user", "")), _PROMPT_CHARS) if recent else "",
        "reply": _cut(str(row.get("reply") or ""), _PROMPT_CHARS) if recent else "",
    }


def _honesty(run: Run) -> dict[str, Any]:
    tally = run.tally
    given = [run.kept(trial) for trial in run.trials]
    return {
        "sources": dict(Counter(trial.source for trial in run.trials if not trial.given)),
        "given": sum(trial.given for trial in run.trials),
        "repaired": sum(bool(trial.repairs) for trial in run.trials),
        "kept": sum(kept is True for kept in given),
        "missed": sum(kept is False for kept in given),
        "fallbacks": dict(tally.fallbacks),
        "stand_ins": dict(tally.stand_ins),
        "drops": dict(tally.drops),
        "unjudged": dict(tally.unjudged),
        "failed_calls": {name: n for name, n in tally.calls.items() if name != "ok"},
        "faults": dict(tally.faults),
        "stops": dict(tally.stops),
        "effects": dict(+tally.redirects),
    }


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def headline(run: Run) -> str:
    """The run in one line: for the page's title and what the command says."""
    if run.best is None:
        none = "kept to the limits" if run.scored else f"ended with a finite {run.metric}"
        return f"no trial of {len(run.trials):,} has {none} yet"
    text = f"best {run.metric} {show(run.best.score)} of {plural(len(run.trials), 'trial')}"
    return f"{plural(len(run.front), 'trial')} on the front, {text}" if run.others else text
