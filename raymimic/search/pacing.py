"""How many configurations a question should bring, and how long a free slot waits for them."""

from __future__ import annotations

from statistics import median

from raymimic.search.session import Session

FEW_SLOTS = 16
"""Up to so many slots may wait for one answer: it brings a configuration for each of them."""

MOST_ASKED = 128
"""No question wants more."""

PATIENCE_S = 30.0
"""The longest that a slot waits for a model by default, and what a local advisor is given."""

# A question to a model wants this many configurations, or as many as run at once, up to
# `FEW_SLOTS`: more in one reply would be chosen before any of them has shown its curve. Where many
# more run at once, slots would stay empty: it wants as many as will be used until the next answer.
_BATCH = 4

_RESERVE = 16  # of so many slots one should find its next configuration waiting
_STAND_IN_BATCH = 64

_AHEAD = 1.5  # times what was taken during the last question: that the next takes longer is likely
_FADES = 0.75

_SHARE = 0.05  # of what the search is expected to take
_RECENT = 32  # trials whose durations say how long the next ones take
_IDLE_S = 1.0  # Tune sleeps so long after an empty answer where no trial runs


class Demand:
    """What slots take while a question is under way (``lead``), learnt from the last questions.

    A question then has to be asked while so many still wait in the queue, or slots stay empty until
    its answer comes. Plain numbers: it pickles as it is.
    """

    def __init__(self) -> None:
        self._taken = 0
        self.lead = 0

    def take(self) -> None:
        """A configuration went to a slot."""
        self._taken += 1

    def asked(self) -> None:
        """A question was sent."""
        self._taken = 0

    def answered(self, free: int) -> None:
        """It was answered or failed while ``free`` slots were still waiting."""
        self.lead = max(self._taken + free, int(_FADES * self.lead))

    @property
    def reserve(self) -> int:
        """How many should wait in the queue when the next question is asked."""
        return round(_AHEAD * self.lead)

    @property
    def high(self) -> bool:
        """Whether more are taken during a question than slots may wait for."""
        return self.lead > FEW_SLOTS


# -- how many --------------------------------------------------------------------------------------


def batch_of(session: Session, batch_size: int | None) -> int:
    """How many configurations a question to a model wants while demand is small.

    ``batch_size`` is the user's own number.
    """
    return batch_size or min(max(_BATCH, session.concurrency or 0), FEW_SLOTS)


def many_slots(session: Session) -> bool:
    """Whether more trials run at once than slots may wait for one answer."""
    return (session.concurrency or 0) > FEW_SLOTS


def free_slots(session: Session) -> int:
    """How many slots are free for a trial of the budget, as far as Tune has said; else 0."""
    free = (session.concurrency or 0) - len(session.state.running)
    return max(0, int(min(free, session.trials_left)))


def wanted_now(session: Session, batch: int, demand: Demand, *, due: bool) -> int:
    """How many configurations to ask the advisor for, 0 while enough wait in the queue.

    ``batch`` at a time, with many slots more, but no more than the budget can still start. ``due``
    says that a slot is free now: an empty queue is then filled by at least one.
    """
    waiting = len(session.state.queue) + session.state.left
    low, most = batch // 2, batch
    if many_slots(session):
        least = (session.concurrency or 0) // _RESERVE  # many may end at once
        low = min(max(low, least, demand.reserve), MOST_ASKED)
        most = min(max(batch, free_slots(session) + 2 * low - waiting), MOST_ASKED)
    needed = 1 if due and not waiting else 0
    if waiting >= max(low, needed):
        return 0
    return int(max(min(most, session.trials_left - waiting), needed))


def wanted_of_stand_in(session: Session, demand: Demand, own: Demand, *, thinking: bool) -> int:
    """How many configurations to ask the stand-in for: what is due, and with many slots soon is.

    ``demand`` is the advisor's, ``own`` the stand-in's; ``thinking``: a few slots wait for the
    advisor.
    """
    if not many_slots(session):
        return 1
    waiting = len(session.state.queue)
    soon = free_slots(session) - waiting
    soon += own.reserve if demand.high else 0
    soon -= FEW_SLOTS if thinking else 0
    return int(max(1, min(soon, _STAND_IN_BATCH, session.trials_left - waiting)))


# -- how long --------------------------------------------------------------------------------------


def patience_for(session: Session, *, answered: bool, first_known: int | None) -> float:
    """Seconds since the question that a free slot waits for a model's answer.

    A model that has ``answered`` before: a twentieth of the search, as far as that can be told. One
    that has not: while the first trial since the first question (which showed ``first_known`` ended
    ones) runs, and it is started without it. How long trials take shows only then, and a search
    that waits with nothing running hears neither Ctrl-C nor its time budget.
    """
    state = session.state
    if not answered:
        first = bool(state.running) and len(state.ended) == first_known
        return PATIENCE_S if first else 0.0
    expected = _expected_seconds(session)
    patience = PATIENCE_S if expected is None else min(PATIENCE_S, _SHARE * expected)
    return patience if state.running else patience - _IDLE_S


def _expected_seconds(session: Session) -> float | None:
    """How long the search takes from first to last, None if there is no telling."""
    state = session.state
    limits = [] if session.seconds_total is None else [session.seconds_total]
    recent = [record.seconds for record in state.ended[-_RECENT:] if record.seconds > 0]
    if recent and session.trials_total is not None:
        at_once = session.concurrency or len(state.running) or 1
        limits.append(session.trials_total * median(recent) / at_once)
    return min(limits, default=None)
