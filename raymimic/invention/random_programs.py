"""Programs drawn at random from published pieces: the control, and what goes on without a model."""

from __future__ import annotations

import random

_HEAD = '''def merge(task_vectors, base):
    """{said}"""
    models = list(task_vectors.values())
    made = {{}}
    for name in base:
        stack = torch.stack([model[name] for model in models])
{body}
        made[name] = {scale:.3g} * gain
    return made
'''


def random_program(rng: random.Random, models: int) -> tuple[str, str]:
    """A program's function and, in words, what it does; ``models`` is the number of experts."""
    body, said = [], []
    if rng.random() < 0.5:
        density = rng.choice([0.1, 0.2, 0.3, 0.5, 0.7, 0.9])
        body.append(f"keep = max(1, int({density} * stack[0].numel()))")
        body.append("cut = stack.flatten(1).abs().topk(keep, dim=1).values[:, -1]")
        body.append("cut = cut.reshape(-1, *[1] * (stack.dim() - 1))")
        body.append("stack = torch.where(stack.abs() >= cut, stack, torch.zeros_like(stack))")
        said.append(f"trim to the largest {density:.0%}")
    if rng.random() < 0.3:
        body.append("norms = stack.flatten(1).norm(dim=1).clamp(min=1e-12)")
        body.append("norms = (norms.mean() / norms).reshape(-1, *[1] * (stack.dim() - 1))")
        body.append("stack = stack * norms")
        said.append("equal norms")
    kind = rng.choice(["mean", "weights", "signs", "largest", "median"])
    if kind == "weights":
        weights = [round(rng.uniform(0.0, 1.0), 2) for _ in range(models)]
        body.append(f"weights = torch.tensor({weights})")
        body.append("gain = torch.tensordot(weights, stack, dims=1)")
        said.append(f"weighted sum {weights}")
    elif kind == "signs":
        body.append("agree = stack.sign() == stack.sum(0).sign()")
        body.append("gain = (stack * agree).sum(0) / agree.sum(0).clamp(min=1)")
        said.append("mean of what agrees in sign")
    elif kind == "largest":
        body.append("chosen = stack.abs().argmax(0, keepdim=True)")
        body.append("gain = stack.gather(0, chosen)[0]")
        said.append("the largest change of each weight")
    else:
        body.append(f"gain = stack.{kind}(0)" + (".values" if kind == "median" else ""))
        said.append(kind)
    scale = rng.uniform(0.3, 1.5)
    said.append(f"times {scale:.3g}")
    words = ", ".join(said)
    text = _HEAD.format(
        said=f"{words[0].upper()}{words[1:]}.",
        body="\n".join(f"        {line}" for line in body),
        scale=scale,
    )
    return text, words
