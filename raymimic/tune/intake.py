"""Lets an advisor's proposals into the queue: each is checked and mended on its own."""

from __future__ import annotations

import random
from dataclasses import replace

from raymimic.errors import ConfigError
from raymimic.records import Advice, Proposal
from raymimic.tune.journal import Journal
from raymimic.tune.state import Queued, SearchState

# Draws before a random configuration may repeat an old one: only a nearly exhausted space needs
# more than a few.
_DRAWS = 50


class Intake:
    """Checks, mends and queues proposals; a bad one costs only itself."""

    def __init__(self, state: SearchState, journal: Journal, seed: int) -> None:
        self._state, self._journal, self._seed = state, journal, seed

    def admit(self, advice: Advice, wanted: int, made_from: int) -> None:
        """Queue what fits the space and is new; replace each of the rest by a random one.

        ``wanted`` bounds the replacements: a model that sent too many is owed nothing.
        """
        refused = [("unused", text) for text in advice.drops]
        admitted = 0
        for proposal in advice.proposals:
            fault = self._try(proposal, made_from)
            if fault is None:
                admitted += 1
            else:
                refused.append(fault)
        for reason, text in refused:
            self._state.drops.append(text)
            self._journal.drop(reason, text)
        for _, text in refused[: max(0, wanted - admitted)]:
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
