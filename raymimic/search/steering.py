"""Steers a search under way by what its user wishes in words.

Wishes are heard in any thread but the controller's: reading one may take a while. What they come to
is published as plain values, which the controller's thread takes over at its next step (`obey`).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from raymimic import events
from raymimic.advisor import (
    KEPT,
    USER,
    Wish,
    belief_to_json,
    describe_belief,
    restrictions_of,
    standing,
)
from raymimic.errors import SpaceError
from raymimic.records import Belief, Config, Proposal
from raymimic.search.orders import Orders, brief_value, complete, orders_of, what_changed
from raymimic.search.wish_reading import CAN, Reading, WishReader
from raymimic.space import SearchSpace
from raymimic.space.restrictions import Predicate

if TYPE_CHECKING:
    from raymimic.search.session import Session

logger = logging.getLogger(__name__)

MOST_TEXT = 4000
"""Characters of one message."""

INSTRUCTION = "instruction"

_MOST_PARTS = 20


class Steering:
    """The wishes of one search; picklable. ``orders`` is what they come to.

    ``listens``: a model reads words that no rule does. ``stops``: a scheduler is there that can
    stop running trials. ``ended``: Tune was told that there are no more trials.
    """

    def __init__(self) -> None:
        self.wishes: tuple[Wish, ...] = ()
        self.heard: frozenset[str] = frozenset()
        self.orders = Orders()
        self.listens = self.stops = self.ended = False
        self._early: tuple[str, ...] = ()
        self._tasks: deque[tuple[Wish, Config | None]] = deque()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()

    # -- hearing: in any thread ----------------------------------------------------------------

    def tell(self, session: Session, text: str) -> str:
        """Hear a message of the running program's own; return the answers, a line each."""
        if not session.begun:
            self._early = (*self._early, text)
            return "kept until the search begins"
        return "\n".join(f"{wish.number}. {wish.answer}" for wish in self.hear(session, text))

    def begin(self, session: Session) -> None:
        """Hear what was said before the search began: constraints, the instruction, the rest."""
        for one in session.constraints:
            restriction = one if isinstance(one, str) else Predicate(one).text
            wish = Wish(0, restriction, "constraints", "restricted", "holds as the code says so")
            texts = (one,) if isinstance(one, str) else ()
            self._put(session, replace(wish, restrictions=texts), "", 1, 1)
        if session.instruction:
            self.hear(session, session.instruction, who=INSTRUCTION)
        for text in self._early:
            self.hear(session, text)
        self._early = ()

    def hear(self, session: Session, text: str, *, who: str = USER, tell: str = "") -> list[Wish]:
        """Read a message and do what it asks; each part is answered and written to the ledger.

        ``tell`` is its id: the same message is heard once. Of an instruction only what is surely
        meant for the search counts; the rest of it is prose for the model.
        """
        with self._lock:
            if tell and tell in self.heard:
                return []
            self.heard |= {tell}
            decided = [self._decide(session, *part, who) for part in _parts(session, text, who)]
            for part, wish in enumerate(decided, start=1):
                self._put(session, wish, tell, part, len(decided))
            return decided

    def _put(self, session: Session, wish: Wish, tell: str, part: int, parts: int) -> None:
        asked = {
            name: value
            for name in ("belief", "config", "order", "trial", "undoes")
            if (value := getattr(wish, name))
        }
        events.wish(
            session.journal.append, number=wish.number, tell=tell, part=part, parts=parts,
            who=wish.who, text=wish.text, outcome=wish.outcome, answer=wish.answer,
            restrictions=wish.restrictions, **asked,
        )  # fmt: skip
        if wish.number:
            logger.info("raymimic: wish %d (%s): %s", wish.number, wish.text, wish.answer)

    def _decide(self, session: Session, text: str, reading: Reading, who: str) -> Wish:
        """Find out what comes of one part, and publish it."""
        wish = Wish(len(self.wishes) + 1, text, who, "refused", "")
        try:
            wish = _DECISIONS[reading.kind](self, session, wish, reading)
        except SpaceError as error:
            wish = replace(wish, answer=f"refused: {error}")
        self.wishes = (*self.wishes, wish)
        return wish

    # -- one decision a kind -------------------------------------------------------------------

    def _restrict(self, session: Session, wish: Wish, reading: Reading) -> Wish:
        before = self._space(session)
        held = {one.text for one in before.restrictions}
        if held.issuperset(reading.restrictions):
            return replace(wish, answer="refused: that is in force already")
        wish = replace(wish, outcome="restricted", restrictions=reading.restrictions)
        after = self._publish(session, wish)
        return replace(wish, answer=what_changed(before, after, reading.restrictions))

    def _prefer(self, session: Session, wish: Wish, reading: Reading) -> Wish:
        wish = replace(wish, outcome="preferred", belief=belief_to_json(reading.belief))
        self._publish(session, wish)
        return replace(
            wish,
            answer=f"believed from now on: {describe_belief(reading.belief)}; results overrule it",
        )

    def _words(self, session: Session, wish: Wish, reading: Reading) -> Wish:  # noqa: ARG002
        if not self.listens:
            answer = f"not understood, and no model is there to read it; I can read {CAN}"
            return replace(wish, outcome="not understood", answer=answer)
        wish = replace(wish, outcome="told", answer="told to the model from its next question on")
        self._publish(session, wish)
        return wish

    def _queue(self, session: Session, wish: Wish, reading: Reading) -> Wish:
        if session.trials_left <= 0:
            return replace(wish, answer="refused: no trial is left to start")
        space = self._space(session)
        config = complete(session, space, reading.config)
        broken = space.refusal(config)
        if broken:
            return replace(wish, answer=f"refused: it is outside what you allow: {broken}")
        shown = space.show(config)
        wish = replace(wish, outcome="queued", config=shown)
        self._tasks.append((wish, config))
        settings = ", ".join(f"{name}={brief_value(value)}" for name, value in shown.items())
        return replace(wish, answer=f"the next trial to start: {settings}")

    def _order(self, session: Session, wish: Wish, reading: Reading) -> Wish:
        wish = replace(wish, order=reading.order)
        if reading.order == "stop trial":
            return self._stop_trial(session, wish, reading.target)
        if self.ended:
            return replace(wish, answer="refused: Tune was told already that there are no more")
        wish = replace(wish, outcome="done")
        self._publish(session, wish)
        running = len(session.state.running)
        answers = {
            "pause": f"no new trial starts; the {running} running go on. 'resume' goes on. While "
            "nothing runs, Tune hears Ctrl-C and its time budget only every 10 minutes",
            "resume": "new trials start again",
            "end": f"no new trial starts, and the run ends with the {running} that are running",
        }
        return replace(wish, answer=answers[reading.order])

    def _stop_trial(self, session: Session, wish: Wish, named: str) -> Wish:
        running = tuple(session.state.running)
        found = [trial for trial in running if trial.startswith(named)]
        ended = session.state.ended_record(named)
        if len(found) != 1:
            what = "has ended already" if ended is not None else "is not one running trial"
            listed = ", ".join(running[:12]) or "none"
            return replace(wish, answer=f"refused: {named} {what}; there run {listed}")
        if not self.stops:
            return replace(
                wish,
                answer="refused: in Tune only a scheduler can stop a running trial; start the run "
                "with LLMScheduler(searcher=searcher), or Raymimic()",
            )
        wish = replace(wish, outcome="done", trial=found[0])
        self._publish(session, wish)
        return replace(wish, answer=f"trial {found[0]} stops at its next result")

    def _more(self, session: Session, wish: Wish, reading: Reading) -> Wish:  # noqa: ARG002
        total = session.trials_total
        if total is None:
            answer = "this run has no number of trials: it goes on until its time is up, or until "
            answer += "'stop after the running trials'"
            return replace(wish, outcome="done", answer=answer)
        answer = (
            f"refused: Tune fixed num_samples={total} when the run began and takes no more "
            f"({session.trials_left:.0f} are left to start). Give a second Tuner the same searcher "
            "object, and it goes on from all that is known; or start with num_samples=-1 and end "
            "with 'stop after the running trials'"
        )
        return replace(wish, answer=answer)

    def _take_back(self, session: Session, wish: Wish, reading: Reading) -> Wish:
        number = int(reading.target)
        stand = {other.number: other for other in standing(self.wishes)}
        other = stand.get(number)
        if other is None or other.outcome in ("refused", "not understood"):
            held = [f"{n} ({w.text})" for n, w in stand.items() if w.outcome in KEPT or w.order]
            return replace(
                wish,
                answer=f"refused: no wish {number} is in force; there are "
                f"{', '.join(held[-12:]) or 'none'}",
            )
        if other.order == "end" and self.ended:
            return replace(wish, answer="refused: Tune was told already that there are no more")
        wish = replace(wish, outcome="taken back", undoes=number)
        self._publish(session, wish)
        if other.outcome == "queued":
            self._tasks.append((other, None))
        return replace(wish, answer=f"wish {number} ({other.text}) holds no more")

    def _fault(self, session: Session, wish: Wish, reading: Reading) -> Wish:  # noqa: ARG002
        return replace(wish, answer=f"refused: {reading.fault}")

    # -- what they come to ---------------------------------------------------------------------

    def _space(self, session: Session) -> SearchSpace:
        return self.orders.space or session.state.space

    def _publish(self, session: Session, wish: Wish) -> SearchSpace:
        """Make orders of the wishes so far and this one; raises `SpaceError`, nothing changed."""
        wishes = (*self.wishes, wish)
        stand = standing(wishes)
        old = standing(self.wishes)
        space = self._space(session)
        if restrictions_of(stand) != restrictions_of(old):
            try:
                space = session.restricted(restrictions_of(stand))
            except SpaceError as error:
                raise SpaceError(f"{error}{self._clash(session, wish)}") from None
        self.orders = orders_of(stand, space, session.read_belief())
        return space

    def _clash(self, session: Session, wish: Wish) -> str:
        """Name the earlier wish without which there would be no contradiction."""
        for other in standing(self.wishes):
            rest = [one for one in standing((*self.wishes, wish)) if one.number != other.number]
            if not other.restrictions:
                continue
            try:
                session.restricted(restrictions_of(rest))
            except SpaceError:
                continue
            return f". It contradicts wish {other.number} ({other.text}), which stays in force"
        return ""

    def recall(self, wish: Wish, tell: str) -> None:
        """Take in a wish that the ledger knows beyond the checkpoint; `resume` makes it count."""
        if wish.number == len(self.wishes) + 1:
            self.wishes = (*self.wishes, wish)
            self.heard |= {tell}

    def resume(self, session: Session) -> None:
        """Take the wishes up again in the space of today; what does not fit it is forgotten."""
        space, kept = session.restricted(), list[Wish]()
        for wish in standing(self.wishes):
            try:
                space = session.restricted(restrictions_of([*kept, wish]))
            except SpaceError as error:
                logger.warning("raymimic: wish %d holds no more: %s", wish.number, error)
            else:
                kept.append(wish)
        self.orders = orders_of(kept, space, session.read_belief())

    # -- the controller's thread ---------------------------------------------------------------

    def obey(self, session: Session) -> Orders:
        """Take over what was wished since the last call; return what all of it comes to."""
        state, orders = session.state, self.orders
        if orders.space is not None and orders.space is not state.space:
            session.space = state.space = orders.space
        if orders.belief != state.belief and orders.space is not None:
            state.belief = orders.belief
            session.believe(USER, orders.belief or Belief())
        while self._tasks:
            wish, config = self._tasks.popleft()
            reason = f"your wish {wish.number}: {wish.text}"
            if config is not None:
                session.enqueue(Proposal(config, reason, "user"), len(state.ended), first=True)
                continue
            for queued in [one for one in state.queue if one.proposal.rationale == reason]:
                state.queue.remove(queued)
                state.discard(queued, "taken back")
                events.drop(
                    session.journal.append, reason="taken back", text=reason, proposal=queued.id
                )
        return orders

    def new_run(self) -> None:
        """Another run begins with what the search knows: orders to the last one are void."""
        self.ended = False
        self.wishes = tuple(replace(wish, order="") for wish in self.wishes)
        self.orders = replace(self.orders, paused=False, ending=False, stopping=frozenset())


_Decide = Callable[[Steering, "Session", Wish, Reading], Wish]
_DECISIONS: dict[str, _Decide] = {
    "restriction": Steering._restrict,
    "preference": Steering._prefer,
    "configuration": Steering._queue,
    "order": Steering._order,
    "more trials": Steering._more,
    "take back": Steering._take_back,
    "fault": Steering._fault,
    "words": Steering._words,
}


def _parts(session: Session, text: str, who: str) -> list[tuple[str, Reading]]:
    """The clauses of a message; a fault in their place for one that is none."""
    if len(text) > MOST_TEXT:
        if who == INSTRUCTION:
            return []
        fault = f"a wish must have at most {MOST_TEXT:,} characters, got {len(text):,}"
        return [(f"{text[:40]}…", Reading("fault", fault=fault))]
    clauses = WishReader(session.state.space).clauses(text)
    if who == INSTRUCTION:
        meant = ("restriction", "preference", "configuration")
        return [clause for clause in clauses if clause[1].kind in meant]
    if not clauses:
        return [("", Reading("fault", fault=f"a wish needs words; I can read {CAN}"))]
    if len(clauses) > _MOST_PARTS:
        fault = f"one message may hold {_MOST_PARTS} wishes, got {len(clauses)}"
        return [(f"{text[:40]}…", Reading("fault", fault=fault))]
    return clauses
