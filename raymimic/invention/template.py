"""The fixed frame of a program: one function, its contract, and one example."""

from __future__ import annotations

from raymimic.evolution.program import Program

FUNCTION = "merge"

CONTRACT = """merge(task_vectors, base) -> dict
    task_vectors: dict from a tuned model's name to a dict from a tensor's name to that model's
        weights less the base's (float32)
    base: dict from a tensor's name to the base's weights (float32)
    returns: dict with every name of base: what is ADDED to the base's weights, in the same shape"""

_HEAD = "import math\n\nimport torch\n\n\n# EVOLVE-BLOCK-START merge\n"
_TAIL = "\n\n# EVOLVE-BLOCK-END\n"

EXAMPLE = '''def merge(task_vectors, base):
    """The mean of the tuned models (Wortsman et al., 2022)."""
    models = list(task_vectors.values())
    return {name: sum(model[name] for model in models) / len(models) for name in base}
'''

UNCHANGED = '''def merge(task_vectors, base):
    """The base as it is: what every program must beat."""
    return {name: torch.zeros_like(weights) for name, weights in base.items()}
'''

REFERENCES = {"the base model": UNCHANGED, "plain average": EXAMPLE}
"""Scored before anything is invented, so that everybody knows what a score is worth."""


def program_of(code: str) -> Program:
    """A whole program from the text of its function, with helpers beside it; not checked."""
    return Program.parse(SEED.source).with_block(FUNCTION, code)


SEED = Program.parse(f"{_HEAD}{EXAMPLE}{_TAIL}")
"""Every program is this one with another block: same function, same parameters."""
