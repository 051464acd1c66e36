"""Lets an advisor's proposals into the queue: each is checked and mended on its own."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import replace

from raymimic.errors import ConfigError
from raymimic.records import Advice, Proposal
from raymimic.search.journal import Journal
from raymimic.search.state import Queued, SearchState

# Draws before a random configuration may repeat an old one: only a nearly exhausted space needs
# more than a few.
_DRAWS = 50


class Delivery:
    """An answer on its way into the queue; its maker knew ``made_from`` ended trials.

    ``wanted`` bounds the replacements of what is refused: a model that sent too many is owed none.
    ``owed`` says that a slot was promised a configuration of it, a random one at worst.
    """

    def __init__(self, advice: Advice, wanted: int, made_from: int, *, owed: bool = True) -> None:
        self.made_from, self.owed = made_from, owed
        self.left = deque(advice.proposals)
        self.wanted, self.admitted = wanted, 0
        self.refused = deque(("unused", text) for text in advice.drops)


class Intake:
    """Checks, mends and queues proposals; a bad one costs only itself."""

    def __init__(self, state: SearchState, journal: Journal, seed: int) -> None:
        self._state, self._journal, self._seed = state, journal, seed

    def admit(self, delivery: Delivery, limit: int) -> bool:
        """Handle at most ``limit`` proposals of a delivery; whether that was all.

        What fits the space and is new is queued, each of the rest replaced by a random one. The
        controller waits meanwhile, about 50 us a proposal.
        """
        for _ in range(limit):
            if delivery.left:
                fault = self._try(delivery.left.popleft(), delivery.made_from)
                if fault is None:
                    delivery.admitted += 1
                else:
                    delivery.refused.append(fault)
            elif delivery.refused:
                self._replace(delivery, *delivery.refused.popleft())
            else:
                break
        return not delivery.left and not delivery.refused

    def _replace(self, delivery: Delivery, reason: str, text: str) -> None:
        """Note what was refused; a random configuration takes its place if one is owed."""
        self._state.drops.append(text)
        self._journal.drop(reason, text)
        if delivery.admitted < delivery.wanted:
            delivery.admitted += 1
            queued = self.random(f"random, in place of a proposal that was refused ({text})")
            self._state.queue.append(queued)

    def _try(self, proposal: Proposal, made_from: int) -> tuple[str, str] | None:
        """Queue one proposal; return (reason, text) if it was refused."""
        state = self._state
        try:
            config, repairs = state.space.check(proposal.config)
        except ConfigError as error:
            return "invalid", str(error)
        if state.seen(config) and not state.exhausted():
            return "repeat", f"{state.space.show(config)} was proposed before"
        checked = replace(proposal, config=config, repairs=proposal.repairs + repairs)
        self._journal.proposal(state.space, state.enqueue(checked, made_from))
        return None

    def random(self, rationale: str) -> Queued:
        """Make a random proposal, new if the space allows; it is noted but not queued.

        Repeatable: the generator depends on the seed and on how many proposals came before.
        """
        state = self._state
        rng = random.Random(f"{self._seed}:{state.next_id}")
        config = state.space.sample(rng)
        for _ in range(_DRAWS):
            if not state.seen(config):
                break
            config = state.space.sample(rng)
        proposal = Proposal(config, rationale, "random")
        numbered = state.number(proposal, len(state.ended))
        self._journal.proposal(state.space, numbered)
        return numbered
