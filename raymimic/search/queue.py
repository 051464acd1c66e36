"""Where the next configuration comes from: the queue, the advisor behind it, or a stand-in."""

from __future__ import annotations

import logging
from collections import Counter, deque
from typing import Any

from raymimic.errors import AdvisorError
from raymimic.records import Advice
from raymimic.search.admission import Delivery, Intake
from raymimic.search.demand import LARGEST, SMALL, Demand
from raymimic.search.patience import PATIENCE_S, patience_for
from raymimic.search.question import Asking
from raymimic.search.session import Session
from raymimic.search.state import Queued, SearchState

logger = logging.getLogger(__name__)

# With no trial running, Tune sleeps a whole second after each empty answer: waiting that long for a
# local proposer (it takes milliseconds) can only make a search faster. A model is given the time
# that a cache or a script of answers needs.
_IDLE_WAIT_S = 1.0
_MODEL_WAIT_S = 0.2

# A question to a model wants this many configurations, or as many as run at once, up to `SMALL`:
# more in one reply would be chosen before any of them has shown its curve. Where many more run at
# once, slots would stay empty: it wants as many as will be used until the next answer.
_BATCH = 4

_RESERVE = 16  # of so many slots one should find its next configuration waiting
_STAND_IN_BATCH = 64
_UNBOUNDED = 2**31
_ADMITTED_AT_ONCE = SMALL  # each takes the controller about 50 us


class Feed:
    """Keeps the queue filled and pops it, without ever blocking on the advisor.

    A model is asked for a batch and ahead of need; a local advisor for one configuration when one
    is due. A free slot waits ``patience`` seconds at most for an answer (None: `patience_for`).
    What the advisor leaves empty is filled by the ``stand_in``, and where that cannot answer
    either, at random. With many slots only a few wait, the stand-in fills the others at once.
    Picklable: a call in flight stays behind.
    """

    def __init__(
        self, asking: Asking, stand_in: Asking, *, batch_size: int | None, patience: float | None
    ) -> None:
        self._asking, self._stand_in = asking, stand_in
        self._batch_size, self._patience = batch_size, patience
        self._demand, self._stand_in_demand = Demand(), Demand()
        self._arrived: deque[Delivery] = deque()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrived": deque()}

    @property
    def asking(self) -> Asking:
        """The advisor and how it fared."""
        return self._asking

    def next(self, session: Session, state: SearchState) -> Queued | None:
        """Return the next proposal, or None while an advisor in good standing is thinking."""
        self.collect(session, state)
        self.ask_if_low(session, state, due=True)
        idle = not state.queue and not state.running and _free(session, state) <= SMALL
        if idle and not self._asking.failures:
            local = not self._asking.advisor.remote
            self._asking.wait(_IDLE_WAIT_S if local else _MODEL_WAIT_S - self._asking.age)
            self.collect(session, state)
        queued = self._pop(session, state)
        if queued is None and not self._should_wait(session, state):
            queued = self._from_stand_in(session, state)
        if queued is not None:
            self._demand.take()
            self._stand_in_demand.take()
        return queued

    def trial_ended(self, session: Session, state: SearchState) -> None:
        """Ask for what the slot that is free now needs, before Tune asks for it."""
        due = not session.all_started
        self.collect(session, state)
        self.ask_if_low(session, state, due=due)
        if due and not state.queue and not self._should_wait(session, state):
            self._ask_stand_in(session, state)

    # -- asking --------------------------------------------------------------------------------

    def ask_if_low(self, session: Session, state: SearchState, *, due: bool) -> None:
        """Ask when the queue runs low, for no more than the budget can still start.

        ``due`` says that a slot is free now: an empty queue is then filled by at least one.
        """
        if self._arrived:
            return
        waiting = len(state.queue)
        if self._asking.may_ask():
            batch = self.batch(session.concurrency) if self._asking.advisor.remote else 1
            low, most = batch // 2, batch
            if _many(session):
                least = (session.concurrency or 0) // _RESERVE  # many may end at once
                low = min(max(low, least, self._demand.reserve), LARGEST)
                most = min(max(batch, _free(session, state) + 2 * low - waiting), LARGEST)
            needed = 1 if due and not waiting else 0
            wanted = max(min(most, _left(session) - waiting), needed)
            if waiting < max(low, needed) and wanted > 0:
                self._send(self._asking, self._demand, session, state, wanted)
        if self._demand.high and waiting < self._stand_in_demand.reserve:
            self._ask_stand_in(session, state)

    def _ask_stand_in(self, session: Session, state: SearchState) -> None:
        """Ask the stand-in for what is due now, with many slots also for what will be soon."""
        if not self._stand_in.may_ask():
            return
        wanted = 1
        if _many(session):
            soon = _free(session, state) - len(state.queue)
            soon += self._stand_in_demand.reserve if self._demand.high else 0
            soon -= SMALL if self._thinking(session, state) else 0  # these wait for the advisor
            wanted = max(1, min(soon, _STAND_IN_BATCH, _left(session) - len(state.queue)))
        self._send(self._stand_in, self._stand_in_demand, session, state, wanted)

    def _send(
        self, asking: Asking, demand: Demand, session: Session, state: SearchState, wanted: int
    ) -> None:
        demand.asked()
        view = state.view(session.budget(), session.instruction)
        asking.ask(view, wanted, known=len(state.ended))

    # -- answers -------------------------------------------------------------------------------

    def collect(self, session: Session, state: SearchState) -> None:
        """Take in what was answered since the last call, a part of it where it is much."""
        answer = self._asking.collect()
        if answer is not None:
            self._demand.answered(_free(session, state))
            for call in answer.calls:
                session.journal.call(call)
            if isinstance(answer, AdvisorError):
                self._warn(answer)
            else:
                self._arrived.append(Delivery(answer, self._asking.asked_for, self._asking.known))
        if _many(session):
            self._collect_stand_in(session, state)
        self._admit(session, state)

    def _admit(self, session: Session, state: SearchState) -> None:
        """Queue the next part of what has arrived."""
        intake = Intake(state, session.journal, session.seed)
        more = bool(self._arrived)
        while more:
            delivery = self._arrived[0]
            if intake.admit(delivery, _ADMITTED_AT_ONCE):
                self._arrived.popleft()
                if delivery.owed and not delivery.admitted and not state.queue:
                    state.queue.append(self._fallback(session, state))
            more = bool(self._arrived) and not state.queue

    def _collect_stand_in(self, session: Session, state: SearchState) -> bool:
        """Take in what the stand-in answered; whether it answered anything."""
        answer = self._stand_in.collect()
        if answer is None:
            return False
        self._stand_in_demand.answered(_free(session, state))
        if len(state.ended) - self._stand_in.known > self._stale_after(session, state):
            return False  # asked ahead, and not needed then
        if isinstance(answer, Advice) and answer.proposals:
            reason, text = self._why_empty(session, state)
            for source, slots in Counter(found.source for found in answer.proposals).items():
                session.journal.note(
                    "fallback", reason=reason, text=text, source=source, slots=slots
                )
            asked, known = self._stand_in.asked_for, self._stand_in.known
            self._arrived.append(Delivery(answer, asked, known, owed=False))
        return True

    def batch(self, concurrency: int | None) -> int:
        """How many configurations a question to a model wants while demand is small."""
        return self._batch_size or min(max(_BATCH, concurrency or 0), SMALL)

    def _pop(self, session: Session, state: SearchState) -> Queued | None:
        """Pop the queue; what was proposed from too old a view is dropped."""
        while state.queue:
            queued = state.queue.popleft()
            age = len(state.ended) - queued.made_from
            if queued.proposal.source == "user" or age <= self._stale_after(session, state):
                return queued
            text = f"stale: {age} trials ended since it was proposed"
            state.discard(queued, text)
            session.journal.drop("stale", text, queued.id)
        return None

    def _stale_after(self, session: Session, state: SearchState) -> int:
        """How many trials may end between a question and the use of its answer."""
        return 2 * self.batch(session.concurrency) + len(state.running)

    def _thinking(self, session: Session, state: SearchState) -> bool:
        """Whether an advisor in good standing is at work, and not yet for too long."""
        asking = self._asking
        if not asking.busy or asking.failures:
            return False
        patience = self._patience
        if patience is None and asking.advisor.remote:
            patience = patience_for(asking, session, state)
        return asking.age < (PATIENCE_S if patience is None else patience)

    def _should_wait(self, session: Session, state: SearchState) -> bool:
        """Whether a free slot waits for the advisor: with many slots only a few do."""
        return _free(session, state) <= SMALL and self._thinking(session, state)

    def _from_stand_in(self, session: Session, state: SearchState) -> Queued | None:
        """Give the stand-in's proposal, None while it computes, a random one where it failed."""
        if not self._collect_stand_in(session, state):
            self._ask_stand_in(session, state)
            self._stand_in.wait(0.0 if state.running else _IDLE_WAIT_S)
            self._collect_stand_in(session, state)
        self._admit(session, state)
        queued = self._pop(session, state)
        if queued is None and not self._stand_in.busy:  # it answers soon, or its time is up
            return self._fallback(session, state)
        return queued

    def _fallback(self, session: Session, state: SearchState) -> Queued:
        return self.at_random(session, state, *self._why_empty(session, state))

    def at_random(self, session: Session, state: SearchState, reason: str, text: str) -> Queued:
        """Give a random proposal in the place of one that ``reason`` (a word) kept from coming."""
        session.journal.note("fallback", reason=reason, text=text, source="random")
        return Intake(state, session.journal, session.seed).random(f"random fallback: {text}")

    def _why_empty(self, session: Session, state: SearchState) -> tuple[str, str]:
        """Say in a word and in words why the advisor did not serve a slot."""
        failure = self._asking.last_failure
        if failure is not None:
            return failure.reason, f"the advisor failed ({failure})"
        if self._thinking(session, state):
            return "demand", "slots took configurations faster than the advisor proposed them"
        if self._asking.busy:
            return "patience", f"no answer within {self._asking.age:.1f} s"
        return "no_proposal", "the advisor had nothing to propose"

    def _warn(self, failure: AdvisorError) -> None:
        if failure.permanent:
            logger.warning(
                "raymimic: %s. Asking no more; the statistical proposer goes on.", failure
            )
        elif self._asking.failures == 1:
            logger.warning("raymimic: the advisor failed (%s); trying again later.", failure)


def _many(session: Session) -> bool:
    """Whether more trials run at once than slots may wait for one answer."""
    return (session.concurrency or 0) > SMALL


def _left(session: Session) -> int:
    """How many trials the budget may still start."""
    left = session.budget().trials_left
    return _UNBOUNDED if left is None else left


def _free(session: Session, state: SearchState) -> int:
    """How many slots are free for a trial of the budget, as far as Tune has said; else 0."""
    return max(0, min((session.concurrency or 0) - len(state.running), _left(session)))
