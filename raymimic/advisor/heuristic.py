"""The keyless advisor: the rules that an experienced practitioner applies."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import zip_longest

from raymimic.advisor.adjust import AdjustmentAdvice, RunEvidence, adjustment_of
from raymimic.advisor.base import SearchEvidence
from raymimic.advisor.judge import JudgeAdvice, JudgeEvidence, judgement_by_rule
from raymimic.advisor.propose.edits import Edit, edits_of, repairs_of_trial
from raymimic.advisor.propose.first_guesses import Guess, first_guesses
from raymimic.advisor.propose.known_trials import Field
from raymimic.advisor.propose.lesson_guesses import lesson_guesses
from raymimic.advisor.propose.moves import coverage, crossovers, leftovers, refinements
from raymimic.advisor.propose.random import stream
from raymimic.records import Advice, Proposal

_GUESSES = 3
"""The default and two more guesses; never more guesses before a result is in."""

_SCATTERED = 1
_SCATTERED_NAMELESS = 2
"""Random points after them: one, and up to so many more as fewer of the names say something."""

_OPENING_MAX = 10
"""By then all guesses are made, with or without lessons."""

_ROUND = ("edit", "edit", "refine", "edit", "cross", "edit", "refine", "cover")
"""What each of eight proposals in a row tries first: mostly the best trial, always some news."""

_PARENTS = 5
_PATIENCE = 6
"""One more of the best trials is built upon for every so many trials without a better one."""

_LAST = 0.1
"""In this last share of a known budget nothing is spent on coverage."""


class HeuristicAdvisor:
    """Practitioner's rules: first guesses by name, edits by diagnosis, refinement, coverage.

    No model of the scores and no memory: proposals depend on ``seed`` and the evidence alone.
    Never proposes what is known; answers fewer than asked when a finite space is used up.
    """

    name = "heuristic"
    remote = False

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def propose(self, evidence: SearchEvidence, n: int) -> Advice:
        """Propose up to ``n`` new configurations, each with its reason."""
        rng = stream(self.seed, "heuristic", evidence)
        field = Field(evidence)
        proposals: list[Proposal] = []
        for _ in range(n):
            edit = None if field.exhausted else self._next(field, rng)
            if edit is None:
                break  # no untried configuration is left
            field.take(edit.config)
            proposals.append(Proposal(edit.config, edit.reason, source="heuristic"))
        return Advice(tuple(proposals))

    def adjust(self, evidence: RunEvidence) -> AdjustmentAdvice:
        """Give the next interval's adjustment of a training by rule; it depends on nothing else."""
        return AdjustmentAdvice(adjustment_of(evidence))

    def judge(self, evidence: JudgeEvidence) -> JudgeAdvice:
        """Judge running trials by rule: none is stopped, live knobs are turned by diagnosis."""
        return JudgeAdvice(tuple(judgement_by_rule(case, evidence) for case in evidence.cases))

    def _next(self, field: Field, rng: random.Random) -> Edit | None:
        refused: Edit | None = None
        for edit in self._candidates(field, rng):
            if not field.is_new(edit.config):
                continue
            if not field.repelled(edit.config):
                return edit
            refused = refused or edit
        return refused

    def _candidates(self, field: Field, rng: random.Random) -> Iterator[Edit]:
        """Give what this slot is for, then every other way of finding something new."""
        own = field.count - field.given
        scattered = _SCATTERED + round(_SCATTERED_NAMELESS * field.unknown)
        learnt = _learnt(field) if own < _OPENING_MAX else []
        guesses = _GUESSES + len(learnt)
        if own < guesses:
            practised = first_guesses(field.axes, field.family, self.seed)
            for pair in zip_longest(learnt, practised):
                yield from (Edit(guess.config, guess.reason) for guess in pair if guess)
        if own < guesses + scattered or not field.trials:
            yield from _without_scores(field, rng)
        if field.trials:
            yield from _by_slot(field, _slot(field), rng)
            yield from edits_of(field, 0, rng)
            yield from refinements(field, 0, rng)
        yield from coverage(field, rng, practical=False)
        yield from leftovers(field, rng)


def _learnt(field: Field) -> list[Guess]:
    """Give the best of an earlier search, tried in turn with the guesses from practice."""
    evidence = field.evidence
    if evidence.lessons is None:
        return []
    return lesson_guesses(
        evidence.lessons, field.axes, field.family, evidence.metric, evidence.mode
    )


def _without_scores(field: Field, rng: random.Random) -> Iterator[Edit]:
    """Give what to do while little or nothing has a score: mend what failed, look elsewhere."""
    if not field.trials and field.count % 2 == 0:
        for trial in reversed(field.failures):
            yield from repairs_of_trial(field, trial)
    yield from coverage(field, rng, practical=True)


def _slot(field: Field) -> str:
    kind = _ROUND[field.count % len(_ROUND)]
    budget = field.evidence.budget
    total, left = budget.trials_total, budget.trials_left
    if kind == "cover" and total and left is not None and left <= _LAST * total:
        return "refine"
    return kind


def _by_slot(field: Field, slot: str, rng: random.Random) -> Iterator[Edit]:
    parent = _parent(field, rng)
    if slot == "edit":
        yield from edits_of(field, parent, rng)
    elif slot == "refine":
        yield from refinements(field, parent, rng)
    elif slot == "cross":
        yield from crossovers(field, rng)
    else:
        yield from coverage(field, rng, practical=field.count // len(_ROUND) % 2 == 0)


def _parent(field: Field, rng: random.Random) -> int:
    """Give the best trial, or when it has stood for long one of the next ones.

    A best score may be a lucky draw; the longer nothing near it is better, the likelier.
    """
    return rng.randrange(min(len(field.trials), 1 + min(_PARENTS - 1, field.stalled // _PATIENCE)))
