"""The operators that ask a model, by the name that plans, tables and the ledger use.

A new operator is a file with the contract of `base.Operator` and one line here.
"""

from raymimic.evolution.operators.base import Known, Operator, Task
from raymimic.evolution.operators.crossover import Crossover
from raymimic.evolution.operators.evolution_of_thought import EvolutionOfThought
from raymimic.evolution.operators.prompt_mutation import INTENTS, PromptMutation
from raymimic.evolution.operators.repair import repair_question
from raymimic.evolution.operators.role_play import PERSONAS, RolePlay

CROSSOVER, THOUGHT, PLAIN, RULE = "crossover", "evolution of thought", "plain", "rule"

OPERATORS: dict[str, Operator] = {
    CROSSOVER: Crossover(),
    THOUGHT: EvolutionOfThought(),
    PLAIN: PromptMutation(),
    **{f"role play: {persona}": RolePlay(persona) for persona in PERSONAS},
}

__all__ = [
    "CROSSOVER",
    "INTENTS",
    "Known",
    "OPERATORS",
    "Operator",
    "PERSONAS",
    "PLAIN",
    "RULE",
    "THOUGHT",
    "Task",
    "repair_question",
]
