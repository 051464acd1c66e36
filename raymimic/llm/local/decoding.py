"""Choose each next token: only what a JSON schema allows, drawn by a generator of our own.

The mask comes from `llguidance`, which compiles a schema to a grammar over the model's own tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # heavy: only with a local model
    import torch

_TOP_P = 0.95  # of the probability, the rest is never drawn (Holtzman et al. 2020)

_LONGEST_STRING = 400
"""Characters of a string that the schema leaves open: a reply must end within its cap, and a small
model may go on for ever. A rationale is cut at 500."""

_MOST_ITEMS = 32  # of an array that the schema leaves open
_LARGEST = 10**12  # of a number that the schema leaves open: without it 6e824260835 is well-formed

# As `json.dumps` writes it, so that a generator trained on such texts goes on as it learnt.
_LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


def bounded(schema: Any) -> Any:
    """The JSON schema with a bound on each string, array and number that has none."""
    if isinstance(schema, list):
        return [bounded(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {name: bounded(part) for name, part in schema.items()}
    kind = made.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if "string" in kinds and not {"enum", "const", "pattern"} & made.keys():
        made.setdefault("maxLength", _LONGEST_STRING)
    if "array" in kinds:
        made.setdefault("maxItems", _MOST_ITEMS)
    if {"number", "integer"} & set(kinds) and not {"enum", "const"} & made.keys():
        made.setdefault("minimum", -_LARGEST)
        made.setdefault("maximum", _LARGEST)
    return made


def compile_grammar(schema: Mapping[str, Any]) -> tuple[str, str]:
    """The schema's grammar and "", or "" and why `llguidance` cannot serve it."""
    from llguidance import LLMatcher

    try:
        grammar = LLMatcher.grammar_from_json_schema(bounded(schema), overrides=_LAYOUT)
    except ValueError as error:
        return "", str(error)
    fault = LLMatcher.validate_grammar(grammar)
    return ("", fault) if fault else (grammar, "")


class NextToken:
    """A logits processor of `transformers` that leaves one token: the one it has drawn.

    So generation is "greedy" and the process's own random numbers stay untouched: a training in
    the same process is not disturbed. ``matcher`` (of `llguidance`) allows tokens, None allows all.
    ``vocabulary`` and ``prompt`` count the matcher's tokens and the prompt's. Temperature 0 takes
    the likeliest. Serves one sequence at a time.
    """

    def __init__(
        self,
        matcher: Any | None,
        vocabulary: int,
        prompt: int,
        temperature: float,
        generator: torch.Generator,
    ) -> None:
        self._matcher, self._seen, self._vocabulary = matcher, prompt, vocabulary
        self._temperature, self._generator = temperature, generator

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return ``scores`` (1, vocabulary) with all but the drawn token at -inf."""
        import torch

        logits = scores[0].float()
        if self._matcher is not None:
            for token in input_ids[0, self._seen :].tolist():
                self._matcher.consume_token(token)
            self._seen = input_ids.shape[1]
            logits = logits.masked_fill(~self._allowed(logits), float("-inf"))
        left = torch.full_like(scores, float("-inf"))
        left[0, self._draw(logits)] = 0.0
        return left

    def _allowed(self, logits: torch.Tensor) -> torch.Tensor:
        import torch

        words = torch.full((1, (self._vocabulary + 31) // 32), -1, dtype=torch.int32)
        self._matcher.unsafe_compute_mask_ptr(words.data_ptr(), words.numel() * 4)  # type: ignore[union-attr]
        bits = (words[0, :, None] >> torch.arange(32, dtype=torch.int32)) & 1
        return bits.reshape(-1)[: len(logits)].bool().to(logits.device)

    def _draw(self, logits: torch.Tensor) -> int:
        import torch

        if self._temperature == 0:
            return int(logits.argmax())
        chances, order = torch.softmax(logits / self._temperature, 0).sort(descending=True)
        kept = chances.cumsum(0) - chances < _TOP_P
        drawn = torch.multinomial((chances * kept).cpu(), 1, generator=self._generator)
        return int(order[drawn.item()])
