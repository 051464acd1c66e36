"""Role play: the same six intents, put to a persona.

Asked plainly, a model keeps choosing the most common value (Morris et al. saw dropout 0.2 again and
again); a character in the prompt spreads its answers.
"""

from __future__ import annotations

import random
from typing import Any

from raymimic.evolution.operators.base import Known, Task
from raymimic.evolution.operators.prompt_mutation import INTENTS, PromptMutation

PERSONAS = {
    "expert": "You are a leading authority on machine learning. Your designs are sound, and you "
    "know from experience which details decide.",
    "eccentric": "You are an eccentric tinkerer with no regard for convention: your ideas look "
    "like accidents, and now and then one of them is genius.",
    "mad scientist": "You are a mad scientist of worldwide fame, inventive and unorthodox. What "
    "nobody has dared to build is what interests you.",
}


class RolePlay:
    """One of three personas with one of six intents, for one block."""

    def __init__(self, persona: str) -> None:
        self._persona = persona

    def choose(
        self, known: Known, parents: tuple[int, ...], rng: random.Random
    ) -> tuple[str, dict[str, Any]]:
        """Any block, any intent."""
        return PromptMutation().choose(known, parents, rng)

    def question(self, task: Task) -> str:
        """Who is asked, and for what."""
        wish = INTENTS[task.detail["intent"]]
        return f"{PERSONAS[self._persona]} In this spirit: {wish}"
