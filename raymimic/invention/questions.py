"""The request for one program, fixed but for what is shown of earlier ones; reading the reply."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from raymimic.evolution.gates import ALLOWED_IMPORTS
from raymimic.evolution.questions import Edit, read_reply
from raymimic.foreign import quote
from raymimic.invention.records import Invented
from raymimic.invention.template import CONTRACT, EXAMPLE
from raymimic.llm import Request

__all__ = ["Edit", "SCHEMA", "read_reply", "reply_text", "request"]

_TOKENS = 3000  # an algorithm of a hundred lines takes half of them

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["rationale", "code"],
    "properties": {
        "rationale": {"type": "string", "description": "the idea, in at most 60 words"},
        "code": {
            "type": "array",
            "items": {"type": "string"},
            "description": "the whole program, one string for each line, indentation kept",
        },
    },
}

_SYSTEM = f"""You invent algorithms that improve a neural network by merging it with models tuned \
from it. An algorithm is one Python function:
{CONTRACT}
It is applied to the same base model each time and scored on data that it never sees. Rules:
- Write the whole function and its helpers; no demonstration code, no placeholders.
- Import only {", ".join(sorted(ALLOWED_IMPORTS - {"__future__"}))}; torch and math are imported.
- Keep it general: no names of models or tensors, no loops over single weights.
- A new idea is worth more than a copy of the example: adaptive weights, signs, norms, angles, \
layers, ranks, thresholds.
Answer with one JSON object: rationale (the idea, at most 60 words) and code (an array with one \
string for each line)."""


def request(elites: Sequence[Invented], failures: Sequence[str], deadline: float) -> Request:
    """Ask for one program; without ``elites`` and ``failures`` the published fixed prompt."""
    lines = ["An example, the plain average:", _fenced(EXAMPLE)]
    if elites:
        lines.append("Programs so far and their scores (higher is better), the best last:")
        for one in sorted(elites, key=lambda one: one.rank):
            error = f" (standard error {one.error_of_score:.2g})" if one.error_of_score else ""
            lines += [f"score {one.score:.4g}{error}, {one.origin}:", _fenced(one.code)]
    if failures:
        lines += ["Earlier programs that failed:", *(f"- {quote(text)}" for text in failures)]
    lines.append("Write one new program that scores higher than all of them.")
    return Request(_SYSTEM, "\n".join(lines), SCHEMA, _TOKENS, deadline)


def reply_text(code: str, rationale: str) -> str:
    """A reply as a model would have given it: what a generator learns to say, or not to."""
    return json.dumps({"rationale": rationale, "code": code.rstrip("\n").split("\n")})


def _fenced(code: str) -> str:
    return f"```python\n{code.rstrip()}\n```"
