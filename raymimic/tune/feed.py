"""Where the next configuration comes from: the queue, the advisor behind it, or a stand-in."""

from __future__ import annotations

import logging

from raymimic.errors import AdvisorError
from raymimic.records import Advice
from raymimic.tune.asking import Asking
from raymimic.tune.intake import Intake
from raymimic.tune.patience import PATIENCE_S, patience_for
from raymimic.tune.session import Session
from raymimic.tune.state import Queued, SearchState

logger = logging.getLogger(__name__)

# With no trial running, Tune sleeps a whole second after each empty answer: waiting that long for a
# local proposer (it takes milliseconds) can only make a search faster. A model is given the time
# that a cache or a script of answers needs.
_IDLE_WAIT_S = 1.0
_MODEL_WAIT_S = 0.2

# A question to a model wants this many configurations, or as many as run at once, up to the cap:
# more in one reply would be chosen before any of them has shown its curve.
_BATCH = 4
_BATCH_MAX = 16


class Feed:
    """Keeps the queue filled and pops it, without ever blocking on the advisor.

    A model is asked for a batch and ahead of need; a local advisor for one configuration when one
    is due. A free slot waits ``patience`` seconds at most for an answer (None: `patience_for`).
    What the advisor leaves empty is filled by the ``stand_in``, and where that cannot answer
    either, at random. Picklable: a call in flight stays behind.
    """

    def __init__(
        self, asking: Asking, stand_in: Asking, *, batch_size: int | None, patience: float | None
    ) -> None:
        self._asking, self._stand_in = asking, stand_in
        self._batch_size, self._patience = batch_size, patience

    @property
    def asking(self) -> Asking:
        """The advisor and how it fared."""
        return self._asking

    def next(self, session: Session, state: SearchState) -> Queued | None:
        """Return the next proposal, or None while an advisor in good standing is thinking."""
        self.collect(session, state)
        self.ask_if_low(session, state, due=True)
        if not state.queue and not state.running and not self._asking.failures:
            local = not self._asking.advisor.remote
            self._asking.wait(_IDLE_WAIT_S if local else _MODEL_WAIT_S - self._asking.age)
            self.collect(session, state)
        queued = self._pop(session, state)
        if queued is None and not self._should_wait(session, state):
            queued = self._from_stand_in(session, state)
        return queued

    def trial_ended(self, session: Session, state: SearchState) -> None:
        """Ask for what the slot that is free now needs, before Tune asks for it."""
        due = not session.all_started
        self.collect(session, state)
        self.ask_if_low(session, state, due=due)
        if due and not state.queue and not self._should_wait(session, state):
            self._ask_stand_in(session, state)

    def ask_if_low(self, session: Session, state: SearchState, *, due: bool) -> None:
        """Ask when the queue runs low, for no more than the budget can still start.

        ``due`` says that a slot is free now: an empty queue is then filled by at least one.
        """
        if not self._asking.may_ask():
            return
        batch = self.batch(session.concurrency) if self._asking.advisor.remote else 1
        waiting, budget = len(state.queue), session.budget()
        left = batch if budget.trials_left is None else budget.trials_left - waiting
        needed = 1 if due and not waiting else 0
        wanted = max(min(batch, left), needed)
        if waiting < max(batch // 2, needed) and wanted > 0:
            view = state.view(budget, session.instruction)
            self._asking.ask(view, wanted, known=len(state.ended))

    def collect(self, session: Session, state: SearchState) -> None:
        """Take in what the advisor answered since the last call."""
        answer = self._asking.collect()
        if answer is None:
            return
        for call in answer.calls:
            session.journal.call(call)
        if isinstance(answer, AdvisorError):
            self._warn(answer)
        else:
            intake = Intake(state, session.journal, session.seed)
            intake.admit(answer, self._asking.asked_for, self._asking.known)
            if not state.queue:  # asked for a slot, so the slot is served
                state.queue.append(self._fallback(session, state))

    def batch(self, concurrency: int | None) -> int:
        """How many configurations a question to a model wants."""
        return self._batch_size or min(max(_BATCH, concurrency or 0), _BATCH_MAX)

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

    def _should_wait(self, session: Session, state: SearchState) -> bool:
        """Whether a free slot waits for the advisor: it is thinking, and not yet for too long."""
        asking = self._asking
        if not asking.busy or asking.failures:
            return False
        patience = self._patience
        if patience is None and asking.advisor.remote:
            patience = patience_for(asking, session, state)
        return asking.age < (PATIENCE_S if patience is None else patience)

    def _ask_stand_in(self, session: Session, state: SearchState) -> None:
        if self._stand_in.may_ask():
            view = state.view(session.budget(), session.instruction)
            self._stand_in.ask(view, 1, known=len(state.ended))

    def _from_stand_in(self, session: Session, state: SearchState) -> Queued | None:
        """Give the stand-in's proposal, None while it computes, a random one where it failed."""
        answer = self._stand_in.collect()
        age = len(state.ended) - self._stand_in.known
        if isinstance(answer, Advice) and age > self._stale_after(session, state):
            answer = None  # asked ahead, and not needed then
        if answer is None:
            self._ask_stand_in(session, state)
        if answer is None and self._stand_in.busy:
            self._stand_in.wait(0.0 if state.running else _IDLE_WAIT_S)
            answer = self._stand_in.collect()
        if isinstance(answer, Advice):
            Intake(state, session.journal, session.seed).admit(answer, 1, self._stand_in.known)
            queued = self._pop(session, state)
            if queued is not None:
                reason, text = self._why_empty()
                by = queued.proposal.source
                session.journal.note("fallback", reason=reason, text=text, source=by)
                return queued
        elif answer is None and self._stand_in.busy:
            return None  # it answers within seconds, or its own time is up
        return self._fallback(session, state)

    def _fallback(self, session: Session, state: SearchState) -> Queued:
        return self.at_random(session, state, *self._why_empty())

    def at_random(self, session: Session, state: SearchState, reason: str, text: str) -> Queued:
        """Give a random proposal in the place of one that ``reason`` (a word) kept from coming."""
        session.journal.note("fallback", reason=reason, text=text, source="random")
        return Intake(state, session.journal, session.seed).random(f"random fallback: {text}")

    def _why_empty(self) -> tuple[str, str]:
        """Say in a word and in words why the advisor did not serve a slot."""
        failure = self._asking.last_failure
        if failure is not None:
            return failure.reason, f"the advisor failed ({failure})"
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
