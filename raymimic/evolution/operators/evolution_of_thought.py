"""Evolution of Thought: what a successful edit did, as an insight for another block.

As published, a model is shown a block before and after an edit of an elite individual and asked why
it helped. Here it is also shown what the edit did: the published prompt gives no numbers, and its
edit need not have caused the gain.
"""

from __future__ import annotations

import random
from typing import Any

from raymimic.evolution.operators.base import Known, Task
from raymimic.evolution.operators.text import code, effect


class EvolutionOfThought:
    """An elite's edit with its measured effect; the insight is for another block."""

    def choose(
        self, known: Known, parents: tuple[int, ...], rng: random.Random
    ) -> tuple[str, dict[str, Any]] | None:
        """An elite whose parent was measured and whose edit is in one block; another block."""
        del parents
        able = [number for number in known.elites if known.edit(number) is not None]
        if not able or len(known.seed.blocks) < 2:
            return None
        elite = rng.choice(able)
        edit = known.edit(elite)
        assert edit is not None
        others = [name for name in known.seed.blocks if name != edit[1]]
        return rng.choice(others), {"elite": elite}

    def question(self, task: Task) -> str:
        """The edit, its effect and the wish."""
        elite = task.known.individuals[task.detail["elite"]]
        edit = task.known.edit(elite.id)
        assert edit is not None
        before, name = edit
        return "\n".join(
            [
                f'An earlier edit of the block "{name}" and what it did. Before:',
                code(before.program.blocks[name]),
                "After:",
                code(elite.program.blocks[name]),
                "Measured effect of this edit alone: "
                + effect(before, elite, task.known.objectives),
                "First, very concisely and step by step: how did this edit bring that about? Then "
                "use this insight to improve the block below. Say the insight in your rationale.",
            ]
        )
