"""What a user wished of a running search, and what all of it together asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from raymimic.advisor.belief.belief import belief_from_json
from raymimic.records import Belief

WishOutcome = Literal[
    "restricted", "preferred", "told", "queued", "done", "taken back", "refused", "not understood"
]
"""What came of a wish; "told" went to the model as words, "done" was an order to the run."""

Order = Literal["", "pause", "resume", "end", "stop trial"]

KEPT = ("restricted", "preferred", "told")
"""Outcomes that go on to count until the wish is taken back."""


@dataclass(frozen=True)
class Wish:
    """One wish, in the user's ``text``, and the ``answer`` to it; ``number`` counts from 1.

    ``restrictions`` as `read_restrictions` reads them, ``belief`` as `belief_to_json` writes it,
    ``config`` as the space shows it, ``trial`` is whom an order is about, ``undoes`` the number of
    the wish that this one takes back.
    """

    number: int
    text: str
    who: str
    outcome: WishOutcome
    answer: str
    restrictions: tuple[str, ...] = ()
    belief: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    order: Order = ""
    trial: str = ""
    undoes: int | None = None


def wish_of(row: Mapping[str, Any]) -> Wish:
    """Read a wish event; raises KeyError or TypeError for what is none."""
    return Wish(
        number=row["number"],
        text=row["text"],
        who=row["who"],
        outcome=row["outcome"],
        answer=row["answer"],
        restrictions=tuple(row.get("restrictions", ())),
        belief=row.get("belief", {}),
        config=row.get("config", {}),
        order=row.get("order", ""),
        trial=row.get("trial", ""),
        undoes=row.get("undoes"),
    )


def standing(wishes: Sequence[Wish]) -> list[Wish]:
    """The wishes that were not taken back, in order."""
    undone: set[int] = set()
    for wish in reversed(wishes):
        if wish.undoes is not None and wish.number not in undone:
            undone.add(wish.undoes)
    return [wish for wish in wishes if wish.number not in undone]


def restrictions_of(wishes: Iterable[Wish]) -> list[str]:
    """The texts of all restrictions."""
    return [text for wish in wishes for text in wish.restrictions]


def words_of(wishes: Iterable[Wish]) -> tuple[str, ...]:
    """What a model is to read."""
    return tuple(wish.text for wish in wishes if wish.outcome in KEPT)


def belief_of(wishes: Iterable[Wish]) -> Belief | None:
    """What the wishes say of the optimum's place, the later ones over the earlier."""
    belief = Belief()
    for wish in wishes:
        belief = belief_from_json(wish.belief).over(belief)
    return belief if belief.places or belief.leanings else None
