"""What all standing wishes come to, and what each of them changed, in words."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raymimic.advisor import Wish, belief_of, filled, words_of
from raymimic.errors import ConfigError, SpaceError
from raymimic.records import Belief, Config
from raymimic.space import Choice, SearchSpace
from raymimic.space.restrictions import joint

if TYPE_CHECKING:
    from raymimic.search.session import Session

_SHARE_DRAWS = 400


@dataclass(frozen=True)
class Orders:
    """What all standing wishes come to: never changed, only replaced."""

    space: SearchSpace | None = None
    belief: Belief | None = None
    words: tuple[str, ...] = ()
    paused: bool = False
    ending: bool = False
    stopping: frozenset[str] = frozenset()


def orders_of(stand: list[Wish], space: SearchSpace, said: Belief | None) -> Orders:
    """Put together what the wishes that stand ask for; ``said`` is the belief given in code."""
    belief = belief_of(stand)
    if belief is not None and said is not None:
        belief = belief.over(said)
    pauses = [wish.order for wish in stand if wish.order in ("pause", "resume")]
    done = [wish for wish in stand if wish.outcome == "done"]
    return Orders(
        space=space,
        belief=belief or said,
        words=words_of(stand),
        paused=pauses[-1:] == ["pause"],
        ending=any(wish.order == "end" for wish in done),
        stopping=frozenset(wish.trial for wish in done if wish.order == "stop trial"),
    )


def what_changed(before: SearchSpace, after: SearchSpace, texts: tuple[str, ...]) -> str:
    """Say what a restriction took away: which values are left, or how many of the draws fit."""
    new = [one for one in after.restrictions if one.text in texts]
    names, left = {name for one in new for name in one.names}, joint(new, after.inner)
    parts = []
    for name in (name for name in after.dimensions if name in names):
        was, now = before.inner[name], after.inner[name]
        if was != now:
            parts.append(f"{name} is now {_reach(now)} (was {_reach(was)})")
    if not parts and not left:
        parts.append("which held already")
    elif not parts:
        rng = random.Random(0)
        fits = sum(not after.refusal(before.sample(rng)) for _ in range(_SHARE_DRAWS))
        parts.append(f"about {fits / _SHARE_DRAWS:.0%} of what was left still fits")
    return f"from now on {' and '.join(texts)}: {'; '.join(parts)}"


def _reach(dimension: Any) -> str:
    if isinstance(dimension, Choice):
        return dimension.describe(8)
    ends = getattr(dimension, "low", -math.inf), getattr(dimension, "high", math.inf)
    return f"from {ends[0]:.6g} to {ends[1]:.6g}"


def complete(session: Session, space: SearchSpace, given: Config) -> Config:
    """The values given, and the rest as in the best trial so far, else as in practice.

    The rest is moved within the restrictions where that helps. Raises `ConfigError` where the
    values given do not fit the space, `SpaceError` where one does not exist beside the others.
    """
    config = _filled(session, given)
    absent = next((name for name in given if name not in config), None)
    if absent is not None:
        raise SpaceError(f"{absent}, {space.describe_one(absent)}")
    return space.nearest(config, keep=given)


def _filled(session: Session, given: Config) -> Config:
    state = session.state
    scored = [trial for trial in tuple(state.ended) if trial.score is not None]
    sign = 1.0 if state.mode == "min" else -1.0
    best = min(scored, key=lambda trial: sign * (trial.score or 0.0), default=None)
    if best is not None:
        try:
            config = session.check({**best.config, **given})
        except ConfigError:
            config = {}
        if config.keys() >= given.keys():
            return config  # else it is of a branch that the best trial has not: practice fills it
    return session.check(filled(state.space, given))


def brief_value(value: Any) -> str:
    """A value of a configuration in a few characters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
