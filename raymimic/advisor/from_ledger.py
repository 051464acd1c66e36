"""Rebuilds the evidence of a search from its ledger, as the next question would show it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from raymimic.advisor.base import DROPS_KEPT, Lessons, SearchEvidence, TrialRecord
from raymimic.advisor.belief.belief import belief_from_json
from raymimic.advisor.belief.reading import MODEL, USER
from raymimic.advisor.lessons import parse_lessons
from raymimic.advisor.wishes import Wish, restrictions_of, standing, wish_of, words_of
from raymimic.curves import Curve, diagnose
from raymimic.errors import LedgerError, SpaceError
from raymimic.feasibility import read_limits
from raymimic.foreign import error_text
from raymimic.ledger import Events, to_float
from raymimic.records import Belief, Budget, Mode, Objective, Proposal
from raymimic.rows import require_layout
from raymimic.space import SearchSpace
from raymimic.space.restrictions import Restriction, read_restrictions


def evidence_from_ledger(events: Events) -> SearchEvidence:
    """Return what was known when the ledger's last event was written.

    Of running trials a ledger holds the curve only if the run was ended under them. Of several
    searches in one ledger the last counts. Raises `LedgerError` for a file that records no search.
    """
    first = events.search
    if first is None:
        raise LedgerError(
            f"a ledger must begin with a search event, got {len(events.rows)} events without one; "
            "give the file that LLMSearcher named at its start"
        )
    require_layout(first)
    if first["mode"] not in ("min", "max"):
        raise LedgerError(f"a search's mode must be min or max, got {first['mode']!r:.100}")
    rows = events.of_search(first.get("search", "")).rows
    try:
        reader = _Reader(first, [wish_of(row) for row in rows if row["event"] == "wish"])
        for row in rows:
            reader.read(row)
    except (SpaceError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise LedgerError(
            f"a ledger's events must fit its search, and one does not ({error_text(error)[:300]}); "
            "it was edited, or another version of raymimic wrote it"
        ) from None
    return reader.evidence(float(rows[-1].get("t", 0.0)))


def proposal_of(row: Mapping[str, Any], space: SearchSpace) -> Proposal:
    """Read a proposal event; raises `ConfigError` if its configuration does not fit ``space``."""
    return Proposal(
        config=space.check(row["config"])[0],
        rationale=row["rationale"],
        source=row["source"],
        expected=to_float(row["expected"]),
        repairs=tuple(map(str, row["repairs"])),
    )


def ended_trial(row: Mapping[str, Any], proposal: Proposal, metric: str, mode: Mode) -> TrialRecord:
    """Read an outcome (or evaluated) event of a trial that began with ``proposal``."""
    curve = curve_of(row)
    return replace(
        TrialRecord.begun(row["trial_id"], proposal),
        status=row["status"],
        score=to_float(row["score"]),
        error=row.get("error", ""),
        seconds=row.get("seconds", 0.0),
        pace=row.get("pace", 0.0),
        stopped=row.get("stopped", False),
        measured=measured_of(row),
        curve=curve,
        diagnosis=diagnose(curve, metric, mode) if curve is not None else None,
    )


def others_of(search: Mapping[str, Any]) -> tuple[Objective, ...]:
    """The objectives beside the metric in a search event; ValueError for what cannot be one."""
    found = []
    for name, mode in search.get("others") or ():
        if mode not in ("min", "max"):
            raise ValueError(f"an objective's mode must be min or max, got {mode!r:.100}")
        found.append(Objective(str(name), mode))
    return tuple(found)


def measured_of(row: Mapping[str, Any]) -> dict[str, float]:
    """The other objectives' values in an outcome (or evaluated) event."""
    found = {str(name): to_float(value) for name, value in (row.get("measured") or {}).items()}
    return {name: v for name, v in found.items() if v is not None and math.isfinite(v)}


def curve_of(row: Mapping[str, Any]) -> Curve | None:
    """The curve in an event; None where it has none that can be read."""
    try:
        return Curve.from_json(row["curve"]) if row["curve"] else None
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        return None


class _Reader:
    def __init__(self, search: Mapping[str, Any], wishes: list[Wish]) -> None:
        self._search = search
        self._space = SearchSpace.from_json(search["space"])
        self._metric: str = search["metric"]
        self._mode: Mode = search["mode"]
        self._others = others_of(search)
        self._queued: dict[int, Proposal] = {}
        self._running: dict[str, Proposal] = {}
        self._ended: dict[str, TrialRecord] = {}
        self._partial: dict[str, Curve] = {}
        self._drops: list[str] = []
        self._lessons: Lessons | None = None
        self._beliefs: dict[str, Belief] = {}
        self._started = 0
        self._wishes = wishes

    def read(self, row: Mapping[str, Any]) -> None:
        """Apply one event."""
        event = row["event"]
        if event == "proposal":
            self._queued[row["id"]] = proposal_of(row, self._space)
        elif event == "drop":
            self._queued.pop(row.get("proposal", -1), None)
            self._drops.append(row["text"])
        elif event == "start" and row["proposal"] in self._queued:
            self._running[row["trial_id"]] = self._queued.pop(row["proposal"])
            self._started += 1
        elif event == "lost":
            self._running.pop(row["trial_id"], None)
            self._started -= 1
        elif event == "belief":
            self._beliefs[row["who"]] = belief_from_json(row["places"])
        elif event == "lessons":
            self._lessons = parse_lessons(row["text"], row["name"])
        elif event in ("outcome", "evaluated"):
            self._end(row)
        elif event == "unfinished" and (curve := curve_of(row)) is not None:
            self._partial[row["trial_id"]] = curve
        elif event == "error" and row["trial_id"] in self._ended:
            record = self._ended[row["trial_id"]]
            self._ended[row["trial_id"]] = replace(record, error=row["text"])

    def _end(self, row: Mapping[str, Any]) -> None:
        proposal = self._running.pop(row["trial_id"], None)
        before = self._ended.get(row["trial_id"])
        if before is not None:  # run again after a restore: what came of it now counts
            proposal = Proposal(
                before.config, before.rationale, before.source, before.expected, before.repairs
            )
        elif proposal is None and row["event"] == "evaluated":
            config, _ = self._space.check(row["config"])
            proposal = Proposal(config, row["rationale"], "user")
        if proposal is not None:
            record = ended_trial(row, proposal, self._metric, self._mode)
            self._ended[record.trial_id] = record

    def evidence(self, now: float) -> SearchEvidence:
        """Put together what was read; ``now`` is the last event's time."""
        stand = standing(self._wishes)
        running = (
            replace(TrialRecord.begun(trial_id, proposal), curve=self._partial.get(trial_id))
            for trial_id, proposal in self._running.items()
        )
        return SearchEvidence(
            space=self._restricted(restrictions_of(stand)),
            wishes=words_of([wish for wish in stand if wish.number]),
            metric=self._metric,
            mode=self._mode,
            others=self._others,
            trials=tuple(self._ended.values()),
            running=tuple(running),
            queued=tuple(proposal.config for proposal in self._queued.values()),
            queued_by_user=sum(p.source == "user" for p in self._queued.values()),
            budget=Budget(
                trials_total=self._search.get("trials_total"),
                trials_started=self._started,
                seconds_total=self._search.get("seconds_total"),
                seconds_used=now - self._search["t"],
                concurrency=self._search.get("concurrency"),
                epochs=self._search.get("epochs"),
            ),
            instruction=self._search.get("instruction", ""),
            task=self._search.get("task", ""),
            limits=read_limits(self._search.get("limits", [])),
            drops=tuple(self._drops[-DROPS_KEPT:]),
            lessons=self._lessons,
            belief=self._beliefs.get(USER),
            model_belief=self._beliefs.get(MODEL),
        )

    def _restricted(self, texts: Iterable[str]) -> SearchSpace:
        """The space under what was wished, as far as a ledger can say it."""
        space, held = self._space, list[Restriction]()
        for text in texts:
            with contextlib.suppress(SpaceError):
                held += read_restrictions(text, space.dimensions)
        with contextlib.suppress(SpaceError):
            space = space.under(held)
        return space
