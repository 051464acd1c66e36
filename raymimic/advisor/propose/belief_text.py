"""What a model is asked and told of the optimum's place."""

from __future__ import annotations

from raymimic.advisor.base import SearchEvidence
from raymimic.advisor.belief.belief import (
    belief_from_practice,
    branches_of,
    describe_belief,
)
from raymimic.advisor.text import fit
from raymimic.foreign import name_text
from raymimic.space import SearchSpace

_CHARS = 3_000
_SHOWN = 20  # parameters

_QUESTION = """\
Your belief:
- For each number: "best", where its best value for this task lies by all that you know of such \
models and data, and "low" and "high" so that two times of three it lies between them{branches}. \
For each choice of categories a weight for every one of them.
- {reach}Say it as sure as you are and no surer. It is asked for once, before the first result.

"""

_REACH = """\
The statistical model looks for the optimum there, so what you know reaches its proposals, too. """

_BY_CATEGORY = """\
; of {names} for each value of {choice} by itself: {{"{value}": {{"best": 0.1, "low": 0.03, \
"high": 0.3}}, ...}}"""

EXAMPLE = """\
"belief": {"some number": {"best": 0.1, "low": 0.03, "high": 0.3}, "some choice": {"this": 0.7, \
"that": 0.3}}, """
"""The belief's part of the reply's form."""


def belief_question(evidence: SearchEvidence) -> str:
    """The part of the system prompt that asks for a belief."""
    return _QUESTION.format(
        branches=_by_category(evidence.space), reach=_REACH if evidence.shared else ""
    )


def _by_category(space: SearchSpace) -> str:
    """Name the numbers of which a belief is asked for by the category of a choice."""
    branches = branches_of(space)
    if not branches:
        return ""
    choice = next(iter(branches.values()))
    return _BY_CATEGORY.format(
        names=" and ".join(map(name_text, branches)),
        choice=name_text(choice.name),
        value=name_text(choice.labels[0]),
    )


def belief_lines(evidence: SearchEvidence) -> list[str]:
    """Whose belief says what, in words: once there are results, what the user said alone."""
    practice = belief_from_practice(evidence.space)
    usual = bool(practice.places or practice.leanings) and not evidence.trials
    opinions = {
        "Published practice": practice if usual else None,
        "The user": evidence.belief,
    }
    lines = (
        f"{who}: {describe_belief(belief, _SHOWN, evidence.space)}."
        for who, belief in opinions.items()
        if belief is not None
    )
    return fit(lines, _CHARS)
