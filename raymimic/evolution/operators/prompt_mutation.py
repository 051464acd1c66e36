"""Prompt mutation: asks for one kind of change, in plain words.

The six intents and their equal shares are those of Guided Evolution (Morris et al., GECCO 2024).
"""

from __future__ import annotations

import random
import re
from typing import Any

from raymimic.evolution.operators.base import Known, Task

INTENTS = {
    "parameters": "Improve the model by other values of this block's parameters: default "
    "arguments, widths, kernel sizes, rates, constants. Leave its structure as it is.",
    "unusual parameters": "Give this block's parameters values that practitioners rarely try but "
    "that could work here. Leave its structure as it is.",
    "complexity": "Make this block more expressive, so that the model's accuracy rises, even if "
    "its structure becomes more complex.",
    "fewer parameters": "Reduce the number of parameters of this block as far as you can without "
    "losing accuracy.",
    "rare change": "Change this block in a way that is seldom seen in published networks, and that "
    "could raise accuracy.",
    "significant change": "Rebuild this block: a significant change of how it works. You may "
    "define helper functions and classes of your own in it.",
}

_CLASS = re.compile(r"^class ", re.MULTILINE)


class PromptMutation:
    """One of six intents for one block."""

    def choose(
        self, known: Known, parents: tuple[int, ...], rng: random.Random
    ) -> tuple[str, dict[str, Any]]:
        """Any block, any intent, each as likely as the other.

        A block without a class (an optimizer) has no weights to save: it is rebuilt instead.
        """
        program = known.individuals[parents[0]].program if parents else known.seed
        block, intent = rng.choice(list(known.seed.blocks)), rng.choice(list(INTENTS))
        if intent == "fewer parameters" and not _CLASS.search(program.blocks[block]):
            intent = "significant change"
        return block, {"intent": intent}

    def question(self, task: Task) -> str:
        """The intent in words."""
        return INTENTS[task.detail["intent"]]
