"""Where the next configuration comes from: the queue, the advisor behind it, or a stand-in."""

from __future__ import annotations

import logging
from collections import Counter, deque

from raymimic import events
from raymimic.advisor import MODEL
from raymimic.errors import AdvisorError
from raymimic.records import Advice
from raymimic.search.admission import Admission, random_proposal
from raymimic.search.pacing import (
    FEW_SLOTS,
    PATIENCE_S,
    batch_of,
    free_slots,
    many_slots,
    patience_for,
    wanted_now,
    wanted_of_stand_in,
)
from raymimic.search.question import ProposalInquiry
from raymimic.search.session import Session
from raymimic.search.state import Queued

logger = logging.getLogger(__name__)

# With no trial running, Tune sleeps a whole second after each empty answer: waiting that long for a
# local proposer (it takes milliseconds) can only make a search faster. A model is given the time
# that a cache or a script of answers needs.
_IDLE_WAIT_S = 1.0
_MODEL_WAIT_S = 0.2

# While trials run, Tune asks again a tenth of a second after an empty answer. By then a second one
# may have ended, and of the two processes (`reuse_actors`) it keeps one: a slot then waits for new
# processes to start, trial after trial where trials are short. A local proposer takes 10 to 30 ms.
_SOON_S = 0.05

_ADMITTED_AT_ONCE = 16  # each takes the controller about 50 us


class ProposalQueue:
    """Keeps a session's queue filled and pops it, without ever blocking on a model.

    A model is asked for a batch and ahead of need; a local advisor for one configuration when one
    is due. A free slot waits ``patience`` seconds at most for an answer (None: `patience_for`).
    What the advisor leaves to the statistical proposer, or leaves empty, is filled by the
    ``stand_in``, and where that cannot answer either, at random. With many slots only a few wait,
    the stand-in fills the others at once. Picklable: a call in flight stays behind.
    """

    def __init__(
        self,
        advisor: ProposalInquiry,
        stand_in: ProposalInquiry,
        *,
        batch_size: int | None,
        patience: float | None,
    ) -> None:
        self.advisor = advisor
        self._stand_in = stand_in
        self._batch_size, self._patience = batch_size, patience
        self._arrived: deque[Admission] = deque()

    def batch(self, session: Session) -> int:
        """How many configurations a question to a model wants while demand is small."""
        return batch_of(session, self._batch_size)

    def next(self, session: Session) -> Queued | None:
        """Return the next proposal, or None while an advisor in good standing is thinking."""
        state = session.state
        self.collect(session)
        self.ask_if_low(session, due=True)
        lacking = not state.queue and not state.left
        if lacking and free_slots(session) <= FEW_SLOTS and not self.advisor.failures:
            self._await(self.advisor, session)
            self.collect(session)
        queued = self._pop(session)
        if queued is None and not self._should_wait(session):
            queued = self._from_stand_in(session)
        if queued is not None:
            self.advisor.demand.take()
            self._stand_in.demand.take()
        return queued

    def trial_ended(self, session: Session) -> None:
        """Ask for what the slot that is free now needs, before Tune asks for it."""
        due = session.trials_left > 0 and not session.steering.orders.paused
        self.collect(session)
        self.ask_if_low(session, due=due)
        if due and not session.state.queue and not self._should_wait(session):
            self._ask_stand_in(session)

    # -- asking --------------------------------------------------------------------------------

    def ask_if_low(self, session: Session, *, due: bool) -> None:
        """Ask when the queue runs low; ``due`` says that a slot is free now."""
        if self._arrived:
            return
        advisor, stand_in = self.advisor, self._stand_in
        if advisor.may_ask():
            batch = self.batch(session) if advisor.remote else 1
            wanted = wanted_now(session, batch, advisor.demand, due=due)
            if wanted:
                advisor.ask(session, wanted)
        if advisor.demand.high and len(session.state.queue) < stand_in.demand.reserve:
            self._ask_stand_in(session)

    def _ask_stand_in(self, session: Session) -> None:
        stand_in = self._stand_in
        if stand_in.may_ask():
            demand, thinking = self.advisor.demand, self._thinking(session)
            wanted = wanted_of_stand_in(session, demand, stand_in.demand, thinking=thinking)
            stand_in.ask(session, wanted)

    # -- answers -------------------------------------------------------------------------------

    def collect(self, session: Session) -> None:
        """Take in what was answered since the last call, a part of it where it is much."""
        advisor = self.advisor
        answer = advisor.collect()
        if answer is not None:
            advisor.demand.answered(free_slots(session))
            for call in answer.calls:
                events.call(session.journal.append, call)
            if isinstance(answer, AdvisorError):
                self._warn(answer)
            else:
                if answer.belief is not None:
                    session.believe(MODEL, answer.belief)
                self._arrived.append(Admission(answer, advisor.asked_for, advisor.known))
        if many_slots(session):
            self._collect_stand_in(session)
        self._admit(session)

    def _admit(self, session: Session) -> None:
        """Queue the next part of what has arrived."""
        queue, more = session.state.queue, bool(self._arrived)
        while more:
            admission = self._arrived[0]
            if admission.owed and session.state.left:
                break  # first come the slots that the answer before it left
            if admission.go_on(session, _ADMITTED_AT_ONCE):
                self._arrived.popleft()
                session.state.left += admission.left
                served = admission.admitted or admission.left or queue
                if admission.owed and not served:
                    queue.append(self._fallback(session))
            more = bool(self._arrived) and not queue

    def _collect_stand_in(self, session: Session) -> bool:
        """Take in what the stand-in answered; whether it answered anything."""
        stand_in = self._stand_in
        answer = stand_in.collect()
        if answer is None:
            return False
        stand_in.demand.answered(free_slots(session))
        if len(session.state.ended) - stand_in.known > self._stale_after(session):
            return False  # asked ahead, and not needed then
        if isinstance(answer, Advice) and answer.proposals:
            reason, text = self._why_empty(session)
            found = answer.proposals[self._leave(session, len(answer.proposals)) :]
            for source, slots in Counter(one.source for one in found).items():
                events.fallback(
                    session.journal.append, reason=reason, text=text, source=source, slots=slots
                )
            admission = Admission(answer, stand_in.asked_for, stand_in.known, owed=False)
            self._arrived.appendleft(admission)
        return True

    def _await(self, asked: ProposalInquiry, session: Session) -> None:
        """Let Tune wait for an answer where asking again later would cost more."""
        if not session.state.running:
            asked.wait(_MODEL_WAIT_S - asked.age if asked.remote else _IDLE_WAIT_S)
        elif not asked.remote and not many_slots(session):
            asked.wait(_SOON_S - asked.age)

    def _pop(self, session: Session) -> Queued | None:
        """Pop the queue; what was proposed from too old a view is dropped."""
        state = session.state
        while state.queue:
            queued = state.queue.popleft()
            outside = state.space.outside(queued.proposal.config)
            if outside:  # it was queued before the restriction, or is the user's own point
                self._set_aside(session, queued, outside)
                continue
            age = len(state.ended) - queued.made_from
            if queued.proposal.source == "user" or age <= self._stale_after(session):
                return queued
            text = f"stale: {age} trials ended since it was proposed"
            state.discard(queued, text)
            events.drop(session.journal.append, reason="stale", text=text, proposal=queued.id)
        return None

    def _set_aside(self, session: Session, queued: Queued, text: str) -> None:
        """Drop a waiting proposal that breaks a restriction; a point of the user's with a word."""
        session.state.discard(queued, text)
        events.drop(session.journal.append, reason="restricted", text=text, proposal=queued.id)
        if queued.proposal.source == "user":
            logger.warning("raymimic: %s, so it is not tried.", text)

    def _stale_after(self, session: Session) -> int:
        """How many trials may end between a question and the use of its answer."""
        return 2 * self.batch(session) + len(session.state.running)

    # -- when the queue is empty ---------------------------------------------------------------

    def _thinking(self, session: Session) -> bool:
        """Whether an advisor in good standing is at work, and not yet for too long."""
        advisor, patience = self.advisor, self._patience
        if not advisor.busy or advisor.failures:
            return False
        if patience is None and advisor.remote:
            answered, first_known = advisor.answered, advisor.first_known
            patience = patience_for(session, answered=answered, first_known=first_known)
        return advisor.age < (PATIENCE_S if patience is None else patience)

    def _should_wait(self, session: Session) -> bool:
        """Whether a free slot waits for the advisor: with many slots only a few do."""
        if session.state.left:
            return False  # it left this one to the statistical proposer
        return free_slots(session) <= FEW_SLOTS and self._thinking(session)

    def _leave(self, session: Session, slots: int) -> int:
        """Take slots that were left to the statistical proposer, at most so many; how many."""
        taken = min(session.state.left, slots)
        session.state.left -= taken
        return taken

    def _from_stand_in(self, session: Session) -> Queued | None:
        """Give the stand-in's proposal, None while it computes, a random one where it failed."""
        if not self._collect_stand_in(session):
            self._ask_stand_in(session)
            self._await(self._stand_in, session)
            self._collect_stand_in(session)
        self._admit(session)
        queued = self._pop(session)
        if queued is None and not self._stand_in.busy:  # it answers soon, or its time is up
            self._leave(session, 1)
            return self._fallback(session)
        return queued

    def _fallback(self, session: Session) -> Queued:
        return self.at_random(session, *self._why_empty(session))

    def at_random(self, session: Session, reason: str, text: str) -> Queued:
        """Give a random proposal in the place of one that ``reason`` (a word) kept from coming."""
        events.fallback(session.journal.append, reason=reason, text=text, source="random")
        return random_proposal(session, f"random fallback: {text}")

    def _why_empty(self, session: Session) -> tuple[str, str]:
        """Say in a word and in words why the advisor did not serve a slot."""
        failure = self.advisor.last_failure
        if failure is not None:
            return failure.reason, f"the advisor failed ({failure})"
        if self._thinking(session):
            return "demand", "slots took configurations faster than the advisor proposed them"
        if self.advisor.busy:
            return "patience", f"no answer within {self.advisor.age:.1f} s"
        return "no_proposal", "the advisor proposed nothing that is valid and new"

    def _warn(self, failure: AdvisorError) -> None:
        if failure.permanent:
            logger.warning(
                "raymimic: %s. Asking no more; the statistical proposer goes on.", failure
            )
        elif self.advisor.failures == 1:
            logger.warning("raymimic: the advisor failed (%s); trying again later.", failure)
