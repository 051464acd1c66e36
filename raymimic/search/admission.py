"""Lets an advisor's proposals into the queue: each is checked and mended on its own."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import replace

from raymimic import events
from raymimic.errors import ConfigError
from raymimic.records import Advice, Proposal
from raymimic.search.session import Session
from raymimic.search.state import Queued

# Draws before a random configuration may repeat an old one: only a nearly exhausted space needs
# more than a few.
_DRAWS = 50


class Admission:
    """An answer on its way into the queue; its maker knew ``made_from`` ended trials.

    ``wanted`` bounds the replacements of what is refused: a model that sent too many is owed none.
    ``owed`` says that a slot was promised a configuration of it, a random one at worst; ``left``
    slots after it are the statistical proposer's.
    """

    def __init__(self, advice: Advice, wanted: int, made_from: int, *, owed: bool = True) -> None:
        self.owed, self.admitted, self.left = owed, 0, advice.left
        self._wanted, self._made_from = wanted - advice.left, made_from
        self._left = deque(advice.proposals)
        self._refused = deque(("unused", text) for text in advice.drops)
        self._refused.extend(("restricted", text) for text in advice.outside)

    def go_on(self, session: Session, limit: int) -> bool:
        """Handle at most ``limit`` proposals; whether those were the last.

        What fits the space and is new is queued, each of the rest replaced by a random one; a bad
        one costs only itself. The controller waits meanwhile, about 50 us a proposal.
        """
        for _ in range(limit):
            if self._left:
                fault = self._try(session, self._left.popleft())
                if fault is None:
                    self.admitted += 1
                else:
                    self._refused.append(fault)
            elif self._refused:
                self._replace(session, *self._refused.popleft())
            else:
                break
        return not self._left and not self._refused

    def _try(self, session: Session, proposal: Proposal) -> tuple[str, str] | None:
        """Queue one proposal; return (reason, text) if it was refused."""
        state = session.state
        try:
            config, repairs = state.space.check(proposal.config)
        except ConfigError as error:
            return "invalid", str(error)
        outside = state.space.outside(config)
        if outside:
            return "restricted", outside
        if state.seen(config) and not state.exhausted():
            return "repeat", f"{state.space.show(config)} was proposed before"
        checked = replace(proposal, config=config, repairs=proposal.repairs + repairs)
        session.enqueue(checked, self._made_from)
        return None

    def _replace(self, session: Session, reason: str, text: str) -> None:
        """Note what was refused; a random configuration takes its place if one is owed."""
        session.state.drops.append(text)
        events.drop(session.journal.append, reason=reason, text=text)
        if self.admitted < self._wanted:
            self.admitted += 1
            rationale = f"random, in place of a proposal that was refused ({text})"
            session.state.queue.append(random_proposal(session, rationale))


def random_proposal(session: Session, rationale: str) -> Queued:
    """Make a random proposal, new if the space allows; it is in the ledger but not queued.

    Repeatable: the generator depends on the seed and on how many proposals came before.
    """
    state = session.state
    rng = random.Random(f"{session.seed}:{state.next_id}")
    config = state.space.sample(rng)
    for _ in range(_DRAWS):
        if not state.seen(config):
            break
        config = state.space.sample(rng)
    return session.number(Proposal(config, rationale, "random"), len(state.ended))
