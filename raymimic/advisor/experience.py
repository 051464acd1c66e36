"""What the prompts say that experience supports: the table of cures in words.

Rules and prompts read the same table, so neither can recommend what the other does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from raymimic.advisor.cures import CURES, REGULARISER, Cure, LiveQuestion, Remedy, Turn
from raymimic.advisor.roles import assign_roles

# Words for (down, up) of a role, where "less ..." and "more ..." would not do.
_MOVES: Mapping[str, tuple[str, str]] = {
    "learning_rate": ("a lower learning rate", "a higher learning rate"),
    "batch_size": ("a smaller batch", "a larger batch"),
    "depth": ("a shallower net", "a deeper net"),
    "beta1": ("a lower beta1", "a higher beta1"),
    "grad_clip": ("a lower gradient clip", "a higher gradient clip"),
    "clip_range": ("a smaller clip range", "a larger clip range"),
    "epochs": ("fewer epochs", "more epochs"),
    "tree_depth": ("shallower trees", "deeper trees"),
    "num_leaves": ("fewer leaves", "more leaves"),
    "n_estimators": ("fewer trees", "more trees"),
    "min_child_weight": ("fewer samples in a leaf", "more samples in a leaf"),
    "subsample": ("a smaller share of the data for a tree", "a larger share"),
}
_SWITCHES: Mapping[str, str] = {"batch_norm": "the other normalisation"}
_USUAL = frozenset({"learning_rate", "batch_size", "width", "depth", "dropout", "weight_decay"})
"""Roles that a dimension may have whose name tells nothing."""

_KNOBS: Mapping[str, str] = {REGULARISER: "augmentation, smoothing and their like"}


def new_configuration_lines(names: Iterable[str]) -> list[str]:
    """Which changes of a configuration each diagnosis calls for, in a space of these ``names``."""
    roles = set(assign_roles(names)[0].values())
    there = {role for role in roles if role} | (_USUAL if None in roles else set())
    grouped: dict[str, list[str]] = {}
    for cure in CURES.values():
        told = _remedies(cure.new, there)
        _put(grouped, cure.heading, told, cure.note if told else "")
        if cure.new_if_low_rate and "learning_rate" in there:
            heading = f"{cure.heading} with a learning rate low in its range"
            _put(grouped, heading, _remedies(cure.new_if_low_rate, there), "")
    return _lines(grouped)


def running_training_lines(question: LiveQuestion) -> list[str]:
    """How each diagnosis wants the knobs of a running training turned."""
    grouped: dict[str, list[str]] = {}
    for cure in CURES.values():
        _put(grouped, cure.heading, *_turns(cure, question))
    left = [cure.heading for cure in CURES.values() if not any(_turns(cure, question))]
    return [*_lines(grouped), f"- {_capitalised(', '.join(left))}: leave the knobs as they are."]


def _remedies(remedies: tuple[Remedy, ...], there: AbstractSet[str]) -> str:
    """The first mention of each role that the space has."""
    told: dict[str, str] = {}
    for remedy in remedies:
        if remedy.role in there:
            told.setdefault(remedy.role, _move(remedy))
    return ", ".join(told.values())


def _move(remedy: Remedy) -> str:
    name = remedy.role.replace("_", " ")
    if not remedy.direction:
        return _SWITCHES.get(remedy.role, f"another {name}")
    down, up = _MOVES.get(remedy.role, (f"less {name}", f"more {name}"))
    text = up if remedy.direction > 0 else down
    return text.replace("a ", "a much ", 1) if remedy.steps >= 2.0 else text


def _turns(cure: Cure, question: LiveQuestion) -> tuple[str, str]:
    """What to turn, and more words."""
    if question == "redirect":
        return ", ".join(map(_turn, cure.redirect)), ""
    pull = f'a pull toward "best" by {cure.pull:g}' if cure.pull else ""
    notes = [text for text in (pull, cure.offered_note) if text]
    return ", ".join(map(_turn, (*cure.adjust, *cure.offered))), ", ".join(notes)


def _turn(turn: Turn) -> str:
    name = _KNOBS.get(turn.role, turn.role.replace("_", " "))
    if turn.share:
        return f"{name} up by {turn.share:.0%} of the range"
    if turn.step:
        return f"{name} {turn.step:+g}"
    return f"{name} x{turn.factor:.2g}"


def _put(grouped: dict[str, list[str]], heading: str, text: str, note: str) -> None:
    """Diagnoses with the same cure share a line."""
    body = "; ".join(part for part in (text, note) if part)
    if body:
        grouped.setdefault(body, []).append(heading)


def _lines(grouped: Mapping[str, list[str]]) -> list[str]:
    return [f"- {_capitalised(', '.join(names))}: {body}." for body, names in grouped.items()]


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]
