"""What a call costs: a small dated table, which the user may override.

Prices are US dollars per million tokens, as the providers' pages gave them on `PRICES_DATE`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

PRICES_DATE = "2026-11-21"


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens; above ``long_above`` prompt tokens ``long_*`` hold for all.

    >>> from raymimic import Price
    >>> Price(1.0, 5.0).output
    5.0
    """

    input: float
    output: float
    long_above: int | None = None
    long_input: float = 0.0
    long_output: float = 0.0


PRICES: Mapping[str, Price] = {
    "claude-haiku-5-5": Price(0.10, 0.50, long_above=100_000, long_input=0.50, long_output=2.50),
    "claude-sonnet-5-5": Price(2.0, 10.0),
    "claude-opus-5-5": Price(4.0, 20.0),
    "claude-fable-5-2": Price(8.0, 40.0),
    "claude-haiku-4-5": Price(1.0, 5.0),
    "gpt-6-luna": Price(0.10, 0.50, long_above=272_000, long_input=0.20, long_output=0.75),
    "gpt-6.1-terra": Price(1.0, 5.0),
    "gpt-6.1-sol": Price(2.0, 10.0),
    "gpt-6-astra": Price(10.0, 50.0),
    "gpt-5.4-mini": Price(0.75, 4.5),
}

_VERSION = re.compile(r"(?:[-@:](?:\d[\d-]*|latest))?")  # "-20261021", "-2026-10-21", "-latest"
_CHARS_PER_TOKEN = 3.5


def find_price(model: str, prices: Mapping[str, Price] | None = None) -> Price | None:
    """Return the model's price; ``prices`` goes before the table; None if neither knows it.

    A dated name ("claude-haiku-5-5-20261021") has the price of the longest name it starts with;
    a name that goes on with anything but a date or "latest" is another model and unknown.
    """
    for table in (prices or {}, PRICES):
        names = [name for name in table if _is_version_of(model, name)]
        if names:
            return table[max(names, key=len)]
    return None


def cost(
    model: str,
    tokens_in: int,
    tokens_out: int,
    *,
    prices: Mapping[str, Price] | None = None,
) -> float | None:
    """Return the cost of one call in US dollars, None if the model's price is unknown.

    ``tokens_in`` are all prompt tokens. Tokens read from a cache are charged in full here, so the
    true bill is at most this much, but for the surcharge some providers take for writing a cache.
    """
    price = find_price(model, prices)
    if price is None:
        return None
    rate_in, rate_out = price.input, price.output
    if price.long_above is not None and tokens_in > price.long_above:
        rate_in, rate_out = price.long_input, price.long_output
    return (tokens_in * rate_in + tokens_out * rate_out) / 1e6


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of English text or JSON as characters / 3.5, rounded up.

    Only the provider's own count in a reply is exact; other scripts can need one token a character.
    """
    return math.ceil(len(text) / _CHARS_PER_TOKEN)


def _is_version_of(model: str, name: str) -> bool:
    return model.startswith(name) and _VERSION.fullmatch(model[len(name) :]) is not None
