"""Programs drawn at random from published pieces: the control, and what goes on without a model.

A program selects among the task vectors' elements, combines the models, shrinks what they gain, and
scales it. The pieces are those of TIES (Yadav et al., 2023), DARE (Yu et al., 2024), Model Stock
(Jang et al., 2024) and low-rank merging (Lu et al., 2024), and plain statistics.
"""

from __future__ import annotations

import random
from collections.abc import Callable

_HEAD = '''def merge(task_vectors, base):
    """{said}"""
    models = list(task_vectors.values())
    made = {{}}
    for place, name in enumerate(base):
        stack = torch.stack([model[name] for model in models])
{body}
        made[name] = {scale} * gain
    return made
'''

Piece = tuple[list[str], str]
"""Lines of code over ``stack`` (models first) or ``gain`` (one tensor), and what they do."""


def random_program(rng: random.Random, models: int) -> tuple[str, str]:
    """A program's function and, in words, what it does; ``models`` is the number of experts."""
    body: list[str] = []
    said: list[str] = []
    for draw, chance in ((_selected, 0.6), (_equal_norms, 0.3), (_combined, 1.0), (_shrunk, 0.3)):
        if rng.random() < chance:
            lines, words = draw(rng, models)
            body += lines
            said.append(words)
    scale, words = _scale(rng)
    text = ", ".join([*said, words])
    code = _HEAD.format(
        said=f"{text[0].upper()}{text[1:]}.",
        body="\n".join(f"        {line}" for line in body),
        scale=scale,
    )
    return code, text


def _selected(rng: random.Random, models: int) -> Piece:
    del models
    density = rng.choice([0.1, 0.2, 0.3, 0.5, 0.7, 0.9])
    if rng.random() < 0.3:
        return [
            f"kept = torch.rand(stack.shape) < {density}",
            f"stack = stack * kept / {density}",
        ], f"drop all but {density:.0%} at random"
    return [
        f"keep = max(1, int({density} * stack[0].numel()))",
        "cut = stack.flatten(1).abs().topk(keep, dim=1).values[:, -1]",
        "cut = cut.reshape(-1, *[1] * (stack.dim() - 1))",
        "stack = torch.where(stack.abs() >= cut, stack, torch.zeros_like(stack))",
    ], f"trim to the largest {density:.0%}"


def _equal_norms(rng: random.Random, models: int) -> Piece:
    del rng, models
    return [
        "norms = stack.flatten(1).norm(dim=1).clamp(min=1e-12)",
        "stack = stack * (norms.mean() / norms).reshape(-1, *[1] * (stack.dim() - 1))",
    ], "equal norms"


def _combined(rng: random.Random, models: int) -> Piece:
    return rng.choice(_COMBINED)(rng, models)


def _mean(rng: random.Random, models: int) -> Piece:
    del rng, models
    return ["gain = stack.mean(0)"], "mean"


def _median(rng: random.Random, models: int) -> Piece:
    del rng, models
    return ["gain = stack.median(0).values"], "median"


def _weights(rng: random.Random, models: int) -> Piece:
    weights = [round(rng.uniform(0.0, 1.0), 2) for _ in range(models)]
    return [
        f"weights = torch.tensor({weights})",
        "gain = torch.tensordot(weights, stack, dims=1)",
    ], f"weighted sum {weights}"


def _signs(rng: random.Random, models: int) -> Piece:
    del rng, models
    return [
        "agree = stack.sign() == stack.sum(0).sign()",
        "gain = (stack * agree).sum(0) / agree.sum(0).clamp(min=1)",
    ], "mean of what agrees in sign"


def _magnitudes(rng: random.Random, models: int) -> Piece:
    del models
    power = rng.choice([0.5, 1.0, 2.0, 8.0])  # the higher, the more the largest alone counts
    return [
        f"weights = (stack.abs() / stack.abs().amax(0).clamp(min=1e-12)) ** {power}",
        "gain = (stack * weights).sum(0) / weights.sum(0).clamp(min=1e-12)",
    ], f"mean weighted by magnitude to the power of {power}"


def _agreement(rng: random.Random, models: int) -> Piece:
    del models
    sharpness = rng.choice([-4.0, -2.0, 2.0, 4.0])  # below 0, who differs counts more
    return [
        "flat = stack.flatten(1)",
        "cosines = torch.cosine_similarity(flat, flat.mean(0, keepdim=True), dim=1)",
        f"weights = torch.softmax({sharpness} * cosines, 0)",
        "gain = torch.tensordot(weights, stack, dims=1)",
    ], f"mean weighted by agreement ({sharpness:+g})"


_COMBINED: tuple[Callable[[random.Random, int], Piece], ...] = (
    _mean, _median, _weights, _weights, _signs, _magnitudes, _agreement,
)  # fmt: skip


def _shrunk(rng: random.Random, models: int) -> Piece:
    if rng.random() < 0.5 and models > 1:
        return [
            "flat = torch.nn.functional.normalize(stack.flatten(1), dim=1)",
            "count = len(flat)",
            "cosine = ((flat @ flat.T).sum() - count) / (count * (count - 1))",
            "gain = gain * (count * cosine / (1 + (count - 1) * cosine)).clamp(0, 1)",
        ], "shrunk by the models' angle"
    share = rng.choice([0.1, 0.25, 0.5])
    return [
        "if gain.dim() == 2:",
        "    left, values, right = torch.linalg.svd(gain, full_matrices=False)",
        f"    values[max(1, int({share} * len(values))) :] = 0",
        "    gain = left * values @ right",
    ], f"rank cut to {share:.0%}"


def _scale(rng: random.Random) -> tuple[str, str]:
    """An expression, and what it says."""
    first, last = (round(rng.uniform(0.3, 1.8), 2) for _ in range(2))
    if rng.random() < 0.5:
        return f"{first}", f"times {first}"
    return (
        f"({first} + {round(last - first, 2)} * place / max(1, len(base) - 1))",
        f"times {first} in the first tensor to {last} in the last",
    )
