"""Reads a ledger into a `Run`, one event after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from raymimic.advisor import measured_of, others_of
from raymimic.curves import Curve, diagnose
from raymimic.errors import ConfigError, LedgerError, SpaceError
from raymimic.ledger import read_events, to_float
from raymimic.report.run import Batch, Effect, Mark, Run, Trial
from raymimic.rows import is_sound, require_layout
from raymimic.space import SearchSpace
from raymimic.summary import Tally, show

Row = Mapping[str, Any]

_ERROR_CHARS = 2000


def read_run(ledgers: Sequence[Path]) -> Run:
    """Read a search's ledger, and those of its modulated trainings behind it.

    Of several searches in one file the last counts. A broken event costs only itself and is
    counted in ``notes``. Raises `LedgerError` for a file that records no search.
    """
    events = read_events(ledgers[0])
    begins = [
        at for at, row in enumerate(events.rows) if row["event"] == "search" and is_sound(row)
    ]
    if not begins:
        raise LedgerError(
            f"a ledger must hold a whole search event, got {len(events.rows)} events without one "
            f"in {str(ledgers[0])!r}; give the file that LLMSearcher named at its start"
        )
    search = events.rows[begins[-1]]
    require_layout(search)
    reader = _Reader(str(ledgers[0]), search)
    mine = search.get("search")
    reader.read([row for row in events.rows[begins[-1] :] if row.get("search", mine) == mine])
    others = [read_events(path) for path in ledgers[1:]]
    for other in others:
        reader.read(other.rows)
    unreadable = sum(one.unreadable for one in (events, *others))
    return reader.finish(len(begins), unreadable)


class _Reader:
    """One method an event; unknown events pass."""

    def __init__(self, ledger: str, search: Row) -> None:
        try:
            self._space = SearchSpace.from_json(search["space"])
            self.run = Run(
                ledger=ledger,
                metric=search["metric"],
                mode=search["mode"],
                space=self._space,
                search=search,
                tally=Tally(),
                others=others_of(search),
                first_t=search["t"],
                last_t=search["t"],
            )
        except (KeyError, SpaceError, TypeError, ValueError) as error:
            raise LedgerError(
                f"the search event of {ledger!r} must have space, metric, mode and t as raymimic "
                f"writes them, got {error!r}"
            ) from error
        self._proposals: dict[int, Trial] = {}
        self._at: dict[str, int] = {}
        self._order: dict[int, None] = {}  # as they ended
        self._broken = 0
        self._calls: list[int] = []  # made since the last batch
        self._wishes: list[str] = []  # heard since the last batch
        self._unplaced = 0

    def read(self, rows: Sequence[Row]) -> None:
        """Take in events in their order."""
        for row in rows:
            if not is_sound(row):
                self._broken += 1
                continue
            handler: Callable[[Row], None] | None = getattr(self, f"_on_{row['event']}", None)
            try:
                self.run.tally.add(row["event"], row)
                self.run.last_t = max(self.run.last_t, row.get("t", 0.0))
                if handler is not None:
                    handler(row)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                self._broken += 1  # said in the notes: of another version, or edited by hand

    def finish(self, searches: int, unreadable: int) -> Run:
        """Give the run, with what a reader must know about it."""
        run = self.run
        run.order = list(self._order)
        if run.batches:  # nothing was proposed after these
            run.batches[-1].wishes += self._wishes
        notes = (
            (searches - 1, "an earlier search in the same ledger is not shown"),
            (unreadable, "a line of the ledger could not be read"),
            (self._broken, "an event of the ledger was not as raymimic writes it"),
            (self._unplaced, "an event about a training that is no trial of this search"),
        )
        run.notes += [f"{text} ({count} in all)" for count, text in notes if count > 0]
        return run

    # -- proposals and trials

    def _on_proposal(self, row: Row) -> None:
        trial = Trial(
            trial_id="",
            source=str(row["source"]),
            config=row["config"],
            unit=self._unit(row["config"]),
            rationale=str(row["rationale"] or ""),
            expected=to_float(row["expected"]),
            repairs=tuple(map(str, row["repairs"] or ())),
            made_from=row.get("made_from", 0),
        )
        batches = self.run.batches
        told = self._calls or self._wishes
        if not batches or told or batches[-1].known != trial.made_from:
            batches.append(Batch(row["t"], trial.made_from, calls=self._calls, wishes=self._wishes))
            self._calls, self._wishes = [], []
        trial.batch = len(batches) - 1
        batches[-1].proposed.append(row["id"])
        self._proposals[row["id"]] = trial

    def _unit(self, config: Mapping[str, Any]) -> tuple[float | None, ...] | None:
        try:
            return self._space.encode(self._space.check(config)[0])
        except ConfigError:
            return None

    def _on_start(self, row: Row) -> None:
        trial = self._proposals.pop(row["proposal"], None) or Trial("")
        trial.trial_id, trial.began = str(row["trial_id"]), row["t"]
        self.run.ended = False  # it goes on after a restore
        self._put(trial)

    def _put(self, trial: Trial) -> None:
        known = self._at.get(trial.trial_id)
        if known is None:
            self._at[trial.trial_id] = len(self.run.trials)
            self.run.trials.append(trial)
            if trial.batch >= 0:
                self.run.batches[trial.batch].trials.append(self._at[trial.trial_id])
        else:
            self.run.trials[known] = trial

    def _on_lost(self, row: Row) -> None:
        trial = self._trial(row)
        trial.status, trial.ended = "cut off", row["t"]
        trial.marks.append(Mark("verdict", None, "died with the driver; its proposal waits again"))
        self._proposals[row["proposal"]] = Trial(
            "", **{name: getattr(trial, name) for name in _PROPOSED}
        )

    def _on_outcome(self, row: Row) -> None:
        trial = self._trial(row)
        self._end(trial, row)
        trial.diagnosis = str(row["diagnosis"] or trial.diagnosis)
        trial.seconds = float(row["seconds"])
        trial.error = str(row["error"] or "")[-_ERROR_CHARS:]
        if row["stopped"] and trial.status == "done":
            trial.status = "stopped"

    def _on_evaluated(self, row: Row) -> None:
        trial = Trial(str(row["trial_id"]), config=row["config"], unit=self._unit(row["config"]))
        trial.rationale, trial.given = str(row["rationale"] or ""), True
        self._put(trial)
        self._end(trial, row)

    def _end(self, trial: Trial, row: Row) -> None:
        trial.status = "failed" if row["status"] == "failed" else "done"
        trial.score, trial.ended = to_float(row["score"]), row["t"]
        if trial.score is not None and trial.score - trial.score != 0:  # NaN or infinite
            trial.score = None
        limits = row.get("limits") or ()
        trial.limits = tuple(map(_limit_text, limits))
        trial.broken = trial.status == "done" and any(one["kept"] is False for one in limits)
        trial.measured = measured_of(row)
        index = self._at[trial.trial_id]
        self._order.pop(index, None)  # run again after a restore: what came of it now counts
        self._order[index] = None
        self._curve(trial, row["curve"])

    def _on_unfinished(self, row: Row) -> None:
        trial = self._trial(row)
        trial.status, trial.ended = "cut off", row["t"]
        self._curve(trial, row["curve"])

    def _curve(self, trial: Trial, data: Mapping[str, Any] | None) -> None:
        if data:
            trial.curve = Curve.from_json(data)
            found = diagnose(trial.curve, self.run.metric, self.run.mode)
            trial.kind = found.primary.kind if found.primary else ""
            trial.diagnosis = trial.diagnosis or found.text

    def _on_error(self, row: Row) -> None:
        self._trial(row).error = str(row["text"])[-_ERROR_CHARS:]

    def _trial(self, row: Row) -> Trial:
        return self.run.trials[self._at[str(row["trial_id"])]]

    # -- what was done to running trials

    def _on_stop(self, row: Row) -> None:
        self._trial(row).marks.append(Mark("stop", row["epoch"], str(row["text"])))

    def _on_redirect(self, row: Row) -> None:
        text = f"{_moves(row['knobs'])}; {row['source']}: {row['reason']}"
        self._trial(row).marks.append(Mark("redirect", row["epoch"], text))

    def _on_clone(self, row: Row) -> None:
        origin = f"went on from the weights of trial {row['from']} (epoch {row['from_epoch']}"
        origin += f", {self.run.metric} {show(to_float(row['from_value']))})"
        text = "; ".join(part for part in (origin, _moves(row["knobs"])) if part)
        self._trial(row).marks.append(
            Mark("clone", row["epoch"], f"{text}; {row['source']}: {row['reason']}")
        )

    def _on_judgement(self, row: Row) -> None:
        text = f"{row['model']} said {row['action']} ({row['outcome']}): {row['reason']}"
        self._trial(row).marks.append(Mark("judgement", row["asked_epoch"], text))

    def _on_verdict(self, row: Row) -> None:
        name = row.get("trial_id", row.get("run_id"))
        came = f"{row['verdict']}: {self.run.metric} {_number(row['before'])} -> "
        came += _number(row["after"])
        if row.get("expected") is not None:
            if "trial_id" in row:  # a modulator's are too many for the figure
                self._effect(row)
            came += f", {_number(row['expected'])} ± {_number(row['margin'])} without it"
        at = row.get("ended", row["epoch"])
        self._training(name, Mark("verdict", at, f"what the change did: {came}"))

    def _effect(self, row: Row) -> None:
        numbers = [to_float(row[name]) for name in ("expected", "margin", "after")]
        expected, margin, after = (math.nan if n is None else n for n in numbers)
        if math.isfinite(expected + margin + after):
            index = self._at[str(row["trial_id"])]
            self.run.effects.append(Effect(index, str(row["verdict"]), expected, margin, after))

    # -- a modulated training

    def _on_adjustment(self, row: Row) -> None:
        applied = "; ".join(map(str, row["applied"]))
        if applied:
            reason = str(row["adjustment"].get("rationale", ""))
            text = f"{applied}: {reason}" if reason else applied
            self._training(row["run_id"], Mark("adjustment", row["epoch"], text))

    def _on_rollback(self, row: Row) -> None:
        reason = str(row.get("reason") or "")
        text = "put back to the start of the interval" + (f": {reason}" if reason else "")
        self._training(row["run_id"], Mark("rollback", row["epoch"], text))

    def _training(self, name: Any, mark: Mark) -> None:
        index = self._at.get(str(name))
        if index is None:
            self._unplaced += 1
        else:
            self.run.trials[index].marks.append(mark)

    # -- the advisor

    def _on_call(self, row: Row) -> None:
        self.run.calls.append(row)
        if purpose(row) == "proposals":
            self._calls.append(len(self.run.calls) - 1)

    def _on_wish(self, row: Row) -> None:
        text = f"{row['number']}. {row['text']}: {row['answer']}"
        self.run.wishes.append(text)
        self._wishes.append(text)

    def _on_drop(self, row: Row) -> None:
        self._proposals.pop(row.get("proposal", -1), None)
        if self.run.batches:
            self.run.batches[-1].dropped.append(f"{row['reason']}: {row['text']}")

    def _on_fallback(self, row: Row) -> None:
        if self.run.batches:
            text = f"{row['reason']}: {row['text']} ({row.get('source', 'random')} instead)"
            self.run.batches[-1].fallbacks.append(text)

    def _on_summary(self, row: Row) -> None:  # noqa: ARG002 - every handler takes the event
        self.run.ended = True


_PROPOSED = (
    "source", "config", "unit", "rationale", "expected", "repairs", "made_from", "batch",
)  # fmt: skip


def purpose(call: Row) -> str:
    """What a call asked for: "proposals", "judgements", "adjustment" or "other", by its schema."""
    schema = (call.get("request") or {}).get("schema") or {}
    asked = schema.get("properties") or {}
    for name in ("proposals", "judgements"):
        if name in asked:
            return name
    return "adjustment" if "knobs" in asked else "other"


def _limit_text(told: Mapping[str, Any]) -> str:
    came = {True: "kept", False: "broken", None: "not reported"}[told["kept"]]
    value = to_float(told["value"])
    return f"{told['limit']}: {came}" + ("" if value is None else f", {show(value)}")


def _moves(knobs: Mapping[str, Sequence[Any]]) -> str:
    moves = (f"{name} {_number(a)} -> {_number(b)}" for name, (a, b) in knobs.items() if a != b)
    return ", ".join(moves)


def _number(value: Any) -> str:
    return "?" if value is None else show(to_float(value))
