"""Counts what a search did from its events, and says it in plain words.

The same `Tally` is fed live by the searcher and from a ledger file after the run, so both tell the
same story.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raymimic.feasibility import memory_failure, read_limits
from raymimic.foreign import cut
from raymimic.ledger import Ledger, to_float

_SETTINGS = 8
_SETTING_CHARS = 60
_REASON_CHARS = 200
"""A configuration is shown with so many of its parameters, a reason in so many characters."""


@dataclass
class Best:
    """The best trial so far, whole or not: ``ending`` says how far one came that was cut short."""

    trial_id: str
    score: float
    ending: str
    source: str
    config: Mapping[str, Any]
    rationale: str


@dataclass
class Tally:
    """Running totals over the events of one search; plain picklable data.

    Costs are in US dollars; ``unpriced`` counts calls whose model has no known price.
    ``several`` says that there are objectives beside ``metric``.
    ``scores`` are the latest of all trials, ``broken`` says which limits a trial broke,
    ``unmeasured`` counts trials that did not report what a limit speaks of, by its text,
    ``memory`` says which failed for want of memory. ``endings`` say in words how those came that
    are not of a whole training. ``fallbacks`` counts slots that the advisor left empty by reason,
    ``stand_ins`` by the source that filled them. ``stops`` counts trials that a scheduler ended by
    kind, ``judgements`` those on running trials by what came of them, ``unjudged`` questions that
    failed or were rejected in part by reason. ``clones`` counts trials that were sent a better
    one's weights by who said so, ``redirects`` what that and turning live knobs did. ``seconds``
    runs from the first event to the last of each run: it stands still once a run is ``over``.
    """

    metric: str = ""
    mode: str = "min"
    advisor: str = ""
    started: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)
    stand_ins: Counter[str] = field(default_factory=Counter)
    drops: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)
    judgements: Counter[str] = field(default_factory=Counter)
    unjudged: Counter[str] = field(default_factory=Counter)
    redirects: Counter[str] = field(default_factory=Counter)
    clones: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    failed_tries: Counter[str] = field(default_factory=Counter)
    repaired: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    unpriced: int = 0
    best: Best | None = None
    seconds: float = 0.0
    last_t: float | None = None
    over: bool = False
    proposals: dict[int, dict[str, Any]] = field(default_factory=dict)
    trials: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    endings: dict[str, str] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)
    several: bool = False
    broken: dict[str, str] = field(default_factory=dict)
    unmeasured: Counter[str] = field(default_factory=Counter)
    memory: dict[str, str] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, event: str, row: Mapping[str, Any]) -> None:
        """Count one event as the ledger holds it; unknown kinds are ignored."""
        if "t" in row:
            if self.last_t is not None and not self.over:
                self.seconds += max(0.0, row["t"] - self.last_t)
            self.last_t = row["t"]
            self.over = event == "summary" or (self.over and event != "start")
        handler = getattr(self, f"_on_{event}", None)
        if handler is not None:
            handler(row)

    def _on_search(self, row: Mapping[str, Any]) -> None:
        self.metric, self.mode, self.advisor = row["metric"], row["mode"], row["advisor"]
        self.limits = [limit.text for limit in read_limits(row.get("limits") or ())]
        self.several = bool(row.get("others"))

    def _on_proposal(self, row: Mapping[str, Any]) -> None:
        self.proposals[row["id"]] = dict(row)

    def _on_start(self, row: Mapping[str, Any]) -> None:
        proposal = self.proposals.pop(row["proposal"], {"source": "user"})
        self.trials[row["trial_id"]] = proposal
        self.started[proposal["source"]] += 1
        self.repaired += bool(proposal.get("repairs"))

    def _on_lost(self, row: Mapping[str, Any]) -> None:
        proposal = self.trials.pop(row["trial_id"], None)
        if proposal is not None:
            self.started[proposal["source"]] -= 1

    def _on_unfinished(self, row: Mapping[str, Any]) -> None:
        self.unfinished.add(row["trial_id"])
        self._limits(row)
        self._score(row, f" after {row['epochs']} epochs, still under way")

    def _on_outcome(self, row: Mapping[str, Any]) -> None:
        self.unfinished.discard(row["trial_id"])
        earlier = self.outcomes.get(row["trial_id"])
        if earlier is not None:  # run again after a restore: counted once
            self.ended[earlier] -= 1
        self.outcomes[row["trial_id"]] = row["status"]
        self.ended[row["status"]] += 1
        self.memory.pop(row["trial_id"], None)
        self._limits(row)
        cut = row.get("stopped") and "epochs" in row
        self._score(row, f" after {row['epochs']} epochs, stopped there" if cut else "")

    def _limits(self, row: Mapping[str, Any]) -> None:
        """Take in what a trial reported of the limits."""
        told = [one for one in row.get("limits") or () if row.get("status", "done") == "done"]
        self.unmeasured.update(limit["limit"] for limit in told if limit["kept"] is None)
        self.broken.pop(row["trial_id"], None)
        broken = [f"{limit['limit']}: {show(to_float(limit['value']))}"
                  for limit in told if limit["kept"] is False]  # fmt: skip
        if broken:
            self.broken[row["trial_id"]] = "; ".join(broken)

    def _on_error(self, row: Mapping[str, Any]) -> None:
        why = memory_failure(row["text"])
        if why:
            self.memory[row["trial_id"]] = why

    def _score(self, row: Mapping[str, Any], ending: str) -> None:
        """Take in the latest score of a trial, and how that came."""
        self.scores.pop(row["trial_id"], None)
        score = to_float(row.get("score"))
        if score is not None:
            self.scores[row["trial_id"]] = score
        self.endings[row["trial_id"]] = ending
        if self.best is not None and self.best.trial_id == row["trial_id"]:
            self.best = self._best_of_all()  # its new outcome may be worse
        elif score is None or row["trial_id"] in self.broken:
            return
        elif self.best is None or self._beats(score, self.best.score):
            self.best = self._winner(row["trial_id"], score)

    def _best_of_all(self) -> Best | None:
        kept = {name: score for name, score in self.scores.items() if name not in self.broken}
        if not kept:
            return None
        trial_id = (min if self.mode == "min" else max)(kept, key=lambda name: kept[name])
        return self._winner(trial_id, kept[trial_id])

    def _winner(self, trial_id: str, score: float) -> Best:
        proposal = self.trials.get(trial_id, {})
        return Best(
            trial_id=trial_id,
            score=score,
            ending=self.endings.get(trial_id, ""),
            source=proposal.get("source", "user"),
            config=proposal.get("config", {}),
            rationale=proposal.get("rationale", ""),
        )

    def _on_drop(self, row: Mapping[str, Any]) -> None:
        self.drops[row["reason"]] += 1
        self.proposals.pop(row.get("proposal", -1), None)

    def _on_fallback(self, row: Mapping[str, Any]) -> None:
        slots = row.get("slots", 1)
        self.fallbacks[row["reason"]] += slots
        self.stand_ins[row.get("source", "random")] += slots

    def _on_stop(self, row: Mapping[str, Any]) -> None:
        self.stops[row["kind"]] += 1

    def _on_judgement(self, row: Mapping[str, Any]) -> None:
        self.judgements[row["action"] if row["outcome"] == "applied" else row["outcome"]] += 1

    def _on_unjudged(self, row: Mapping[str, Any]) -> None:
        self.unjudged[row["reason"]] += 1

    def _on_clone(self, row: Mapping[str, Any]) -> None:
        self.clones[row["source"]] += 1

    def _on_verdict(self, row: Mapping[str, Any]) -> None:
        if "trial_id" in row:  # others are a modulator's
            self.redirects[row["verdict"]] += 1

    def _on_fault(self, row: Mapping[str, Any]) -> None:
        self.faults[row["hook"]] += 1

    def _on_call(self, row: Mapping[str, Any]) -> None:
        self.calls[row["status"]] += 1
        self.failed_tries.update(row.get("failed_tries") or ())
        self.tokens_in += row["tokens_in"]
        self.tokens_out += row["tokens_out"]
        cost = to_float(row["cost"])
        self.unpriced += cost is None
        self.cost += cost or 0.0

    def _beats(self, a: float, b: float) -> bool:
        return a < b if self.mode == "min" else a > b

    @property
    def money(self) -> str:
        """The bill in words: "$0.0021", and how many calls have no known price."""
        text = f"${self.cost:.4f}"
        return f"{text} + {self.unpriced} calls of unknown price" if self.unpriced else text

    def text(self) -> str:
        """Say in plain words: best, how many by whom, faults, calls, money."""
        if not self.metric and not self.trials and not self.outcomes:
            return f"raymimic: no search began, so no trial ended.{self._faults()}"
        lines = [self._trials_line(), *self._best_lines()]
        lines.append(f"Proposed by: {_counts(self.started) or 'nobody'}.{self._faults()}")
        lines += self._scheduler_lines()
        if self.calls:
            tries = f", retried after {_counts(self.failed_tries)}" if self.failed_tries else ""
            lines.append(
                f"Model {self.advisor}: {plural(sum(self.calls.values()), 'call')} "
                f"({_counts(self.calls)}{tries}), {self.tokens_in:,} tokens in, "
                f"{self.tokens_out:,} out, {self.money}."
            )
        return "\n".join(lines)

    def _best_lines(self) -> list[str]:
        if self.best is None:
            if not self.ended.total():
                return []
            why = f"no trial ended with a finite {self.metric}"
            if self.broken:
                trial_id, text = next(reversed(self.broken.items()))
                why = f"no trial kept to the limits ({trial_id}, the last: {text})"
            return [f"Best: none, {why}.", *self._limit_lines()]
        best = self.best
        settings = bounded(f"{name}={show(value)}" for name, value in best.config.items())
        line = (
            f"Best{' in the first objective' if self.several else ''}: "
            f"{self.metric} {show(best.score)} in trial {best.trial_id}{best.ending}, "
            f"proposed by {best.source}: {settings}"
        )
        why = f"  why it was tried: {cut(best.rationale, _REASON_CHARS)}"
        return [line, *([why] if best.rationale else []), *self._limit_lines()]

    def _limit_lines(self) -> list[str]:
        """What came of the limits, and how many trials memory was too small for."""
        lines = []
        if self.limits:
            missing = "".join(f"; {text} was not reported by {plural(count, 'trial')}"
                              for text, count in self.unmeasured.items())  # fmt: skip
            lines.append(
                f"Limits {', '.join(self.limits)}: {plural(len(self.broken), 'trial')} beyond"
                f"{missing}."
            )
        if self.memory:
            counted = Counter(self.memory.values())
            lines.append("Failed: " + ", ".join(f"{n} {why}" for why, n in counted.items()) + ".")
        return lines

    def _scheduler_lines(self) -> list[str]:
        lines = [f"Stopped early: {_counts(self.stops)}."] if self.stops else []
        if self.judgements or self.unjudged:
            text = f"Running trials judged: {_counts(self.judgements) or 'none'}."
            if self.unjudged:
                text += f" Left to the rules: {_counts(self.unjudged)}."
            lines.append(text)
        if self.clones:
            lines.append(f"Sent the weights of better trials: {_counts(self.clones)}.")
        if +self.redirects:
            what = "redirects and clones" if self.clones else "redirects"
            lines.append(f"What {what} did: {_counts(+self.redirects)}.")
        return lines

    def _trials_line(self) -> str:
        if not self.trials and not self.outcomes:
            return "raymimic: no trial of this search has started."
        goal = {"min": "lower", "max": "higher"}[self.mode]
        trials = plural(sum(self.ended.values()), "trial")
        kinds = f" ({_counts(self.ended)})" if +self.ended else ""
        under_way = f", {len(self.unfinished)} under way" if self.unfinished else ""
        goal = "several objectives" if self.several else f"{self.metric} ({goal} is better)"
        ended = f"{trials} ended{kinds}{under_way} in {duration(self.seconds)}"
        return f"raymimic: {ended}, for {goal}."

    def _faults(self) -> str:
        parts = []
        if self.repaired:
            parts.append(f" Repaired: {self.repaired}.")
        if self.drops:
            parts.append(f" Dropped proposals: {_counts(self.drops)}.")
        if self.fallbacks:
            by = _counts(self.stand_ins)
            parts.append(
                f" Slots the advisor left empty: {_counts(self.fallbacks)} (filled by {by})."
            )
        if self.faults:
            parts.append(f" Faults inside raymimic: {_counts(self.faults)}.")
        return "".join(parts)


class Journal:
    """A ledger that counts what is written to it; pickles as the ledger's path and the counts."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.tally = Tally()

    def append(self, event: str, /, **fields: Any) -> None:
        """Write one event and count it."""
        self.tally.add(event, self.ledger.append(event, **fields))


def tally_of(events: Iterable[Mapping[str, Any]]) -> Tally:
    """Count a ledger's events; those that lack what they should have are left out.

    Of several searches in one ledger (told apart by their ids) the one that began last counts.
    """
    tally, rows = Tally(), list(events)
    begun = [row for row in rows if row["event"] == "search"]
    mine = begun[-1].get("search") if begun else None
    for row in rows:
        if mine is not None and row.get("search", mine) != mine:
            continue
        with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError):
            tally.add(row["event"], row)
    return tally


def bounded(settings: Iterable[str]) -> str:
    """Join "name=value" texts: the first few and how many more there are."""
    texts = list(settings)
    shown = [cut(text, _SETTING_CHARS) for text in texts[:_SETTINGS]]
    more = f" and {len(texts) - _SETTINGS} more" if len(texts) > _SETTINGS else ""
    return ", ".join(shown) + more


def show(value: Any) -> str:
    """Say a value briefly: floats to four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def last_line(text: str) -> str:
    """The last line with something in it: of a traceback, the one that says what happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def duration(seconds: float) -> str:
    """Say a time span: "8 s", "3 min 5 s", "2 h 4 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common() if count)


def plural(count: int, noun: str) -> str:
    """A number with its noun: "1 trial", "2,000 trials"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
