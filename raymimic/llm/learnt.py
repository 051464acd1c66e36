"""What an adapter has learnt of its server: one small record, shown by the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MOST_CAP = 32_768
"""Tokens a reply may take after it was cut off, at most."""

_LARGER = 4
_LARGE = 8192  # reasoning models think for thousands of tokens before the first of their answer


@dataclass(frozen=True)
class Learnt:
    """Settled facts, each proved by a request that went through because of it.

    ``without`` names what the server does not take (a field of the request, or "system": the role).
    ``reply_tokens`` were needed by a reply with its reasoning (0: as asked), ``reply_limit`` is the
    most that the server allows, ``context`` its context's size in tokens, of which a prompt takes
    one for each ``characters`` of ours. ``prompt_cut``: it cuts long prompts without a word.
    """

    without: frozenset[str] = frozenset()
    reply_tokens: int = 0
    reply_limit: int | None = None
    context: int | None = None
    characters: float = 3.5
    prompt_cut: bool = False

    def cap(self, wanted: int) -> int:
        """The tokens to allow a reply for which ``wanted`` are asked."""
        cap = max(wanted, self.reply_tokens)
        return cap if self.reply_limit is None else min(cap, self.reply_limit)

    def larger(self, cap: int) -> int:
        """The tokens to allow after ``cap`` were not enough; the same where there is no more."""
        larger = min(max(_LARGE, _LARGER * cap), MOST_CAP)
        return max(cap, larger if self.reply_limit is None else min(larger, self.reply_limit))

    def to_json(self) -> dict[str, Any]:
        """What is known and not as usual; empty for a server that is as documented."""
        facts = {
            "without": sorted(self.without),
            "reply_tokens": self.reply_tokens,
            "reply_limit": self.reply_limit,
            "context": self.context,
            "prompt_cut": self.prompt_cut,
        }
        return {name: fact for name, fact in facts.items() if fact}
