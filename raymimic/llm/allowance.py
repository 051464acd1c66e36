"""What a gateway may spend: reserved before a call, settled by what the call really took.

Nothing here is locked: the gateway's own lock guards it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from raymimic.errors import BudgetError, LLMError, LLMSetupError
from raymimic.ledger import to_float
from raymimic.llm.base import LLM, Reply, Request
from raymimic.llm.prices import cost, estimate_tokens, find_price
from raymimic.rows import is_sound


@dataclass(frozen=True)
class Spent:
    """What went through a gateway so far.

    ``calls`` reached the model, ``failed`` of them brought no usable reply; tokens and ``usd`` are
    of both. ``unpriced`` calls have tokens but no known price. ``coalesced`` requests shared
    another's call, ``refused`` ones were turned away without a call.
    """

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0
    failed: int = 0
    coalesced: int = 0
    refused: int = 0
    unpriced: int = 0


@dataclass(frozen=True)
class Need:
    """What one call may take at most, as far as can be told before it."""

    tokens: int
    usd: float


class Allowance:
    """Limits on calls, tokens (in and out together) and US dollars; None is no limit.

    A call that needs more prompt tokens than `estimate_tokens` says, passes a limit by that much;
    so does the first reply that reasoning cuts off, which is asked for again with a larger cap.
    Raises ValueError for a limit that is none, `LLMSetupError` for dollars without a price.
    """

    def __init__(
        self, llm: LLM, *, calls: int | None, tokens: int | None, usd: float | None
    ) -> None:
        for name, limit in (("calls", calls), ("tokens", tokens), ("usd", usd)):
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                raise ValueError(f"{name} must be above 0, or None for no limit, got {limit!r}")
        self.calls, self.tokens, self.usd = calls, tokens, usd
        self.spent = Spent()
        self._model = llm.model
        self._prices = getattr(llm, "prices", None)  # what the user told the adapter
        self._reply_cap = getattr(llm, "reply_cap", None)  # an adapter may allow more than is asked
        self._reserved: list[Need] = []
        if usd is not None and find_price(self._model, self._prices) is None:
            raise LLMSetupError(
                f"usd={usd!r} needs the price of {self._model!r}, which is not known: give the "
                'adapter prices={"MODEL": Price(...)}, or limit tokens or calls instead',
                status="no_price",
            )

    def __getstate__(self) -> dict[str, object]:
        """A copy keeps what is spent; calls under way stay with the original."""
        return {**self.__dict__, "_reserved": []}

    def __str__(self) -> str:
        """The limits in words: "at most 200 calls, $1.00"; "" without any."""
        parts = []
        if self.calls is not None:
            parts.append(f"{self.calls:,} calls")
        if self.tokens is not None:
            parts.append(f"{self.tokens:,} tokens")
        if self.usd is not None:
            parts.append(f"${self.usd:.2f}" if self.usd >= 0.01 else f"${self.usd:g}")
        return f"at most {', '.join(parts)}" if parts else ""

    def need(self, request: Request) -> Need:
        """Estimate from above what a request takes: its prompt, and the longest reply allowed."""
        schema = json.dumps(request.schema, default=str)
        tokens_in = estimate_tokens(request.system + request.user + schema)
        cap = request.max_tokens if self._reply_cap is None else self._reply_cap(request)
        price = cost(self._model, tokens_in, cap, prices=self._prices)
        return Need(tokens_in + cap, price or 0.0)

    def check(self, need: Need) -> None:
        """Raise `BudgetError` if what is left cannot pay for it, whatever calls under way take."""
        if not self._pays([need]):
            spent = self.spent
            raise BudgetError(
                f"the budget for {self._model} ({self}) is spent: {spent.calls:,} calls, "
                f"{spent.tokens_in + spent.tokens_out:,} tokens, ${spent.usd:.4f} so far, and the "
                f"next call may take {need.tokens:,} tokens, ${need.usd:.4f}; allow more, or go on "
                "without a language model"
            )

    def fits(self, need: Need) -> bool:
        """Whether it can be paid even if every call under way takes all that it may."""
        return self._pays([*self._reserved, need])

    def reserve(self, need: Need) -> None:
        """Set it aside until `settle`."""
        self._reserved.append(need)

    def settle(self, need: Need, outcome: Reply | LLMError) -> None:
        """Replace what was set aside by what the call took."""
        self._reserved.remove(need)
        self._add(
            outcome.tokens_in,
            outcome.tokens_out,
            outcome.cost,
            failed=isinstance(outcome, LLMError),
        )

    def take_up(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Set what is spent to what a transcript's events say.

        A call that was announced ("asked") and never told of was under way when its process died:
        it may have taken all that was set aside for it, and so much is counted.
        """
        self.spent, under_way = Spent(), dict[int, Mapping[str, Any]]()
        for row in rows:
            if not is_sound(row):
                continue
            if row["event"] == "asked":
                under_way[row["n"]] = row
            elif row["event"] == "call":
                under_way.pop(row.get("asked", -1), None)
                usd = to_float(row["cost"])
                self._add(row["tokens_in"], row["tokens_out"], usd, failed=row["status"] != "ok")
        for row in under_way.values():
            self._add(row["tokens"], 0, to_float(row["usd"]), failed=True)

    def _add(self, tokens_in: int, tokens_out: int, usd: float | None, *, failed: bool) -> None:
        if usd is None:
            usd = cost(self._model, tokens_in, tokens_out, prices=self._prices)
        spent = self.spent
        self.spent = replace(
            spent,
            calls=spent.calls + 1,
            tokens_in=spent.tokens_in + tokens_in,
            tokens_out=spent.tokens_out + tokens_out,
            usd=spent.usd + (usd or 0.0),
            failed=spent.failed + failed,
            unpriced=spent.unpriced + (usd is None),
        )

    def count(self, *, coalesced: int = 0, refused: int = 0) -> None:
        """Count requests that made no call of their own."""
        spent = self.spent
        self.spent = replace(
            spent, coalesced=spent.coalesced + coalesced, refused=spent.refused + refused
        )

    def _pays(self, needs: list[Need]) -> bool:
        spent = self.spent
        tokens = spent.tokens_in + spent.tokens_out + sum(need.tokens for need in needs)
        usd = spent.usd + sum(need.usd for need in needs)
        return (
            (self.calls is None or spent.calls + len(needs) <= self.calls)
            and (self.tokens is None or tokens <= self.tokens)
            and (self.usd is None or usd <= self.usd)
        )
