"""How fast a large search uses configurations up, and so how many a question should bring."""

from __future__ import annotations

SMALL = 16
"""Up to so many slots may wait for one answer: it brings a configuration for each of them."""

LARGEST = 128
"""No question wants more."""

_AHEAD = 1.5  # times what was taken during the last question: that the next takes longer is likely
_FADES = 0.75


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
        return self.lead > SMALL
