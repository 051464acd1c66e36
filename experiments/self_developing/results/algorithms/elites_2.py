"""An algorithm that improves a model by merging it with models tuned from it.

Gram regression mean, re-solved a few times: the tuned model whose moves are worst kept on its
own directions gets more weight (minimax fairness); scale 0.8.

Origin: llm, iteration 2. score 0.8225 on the dev data (standard error 0.0191); 0.826667 on the test data, read once; the base model: 0.6225 on the dev data; plain average: 0.755 on the dev data.

    merge(task_vectors, base) -> dict
        task_vectors: dict from a tuned model's name to a dict from a tensor's name to that model's
            weights less the base's (float32)
        base: dict from a tensor's name to the base's weights (float32)
        returns: dict with every name of base: what is ADDED to the base's weights, in the same shape

Use it as

    gains = merge(task_vectors, base)
    state = {name: base[name] + gains[name] for name in base}
"""

import math  # noqa: F401

import torch  # noqa: F401

def _stack(task_vectors, name):
    return torch.stack([m[name].float() for m in task_vectors.values()])

def _regress(m, prior, r, g=1.0, q=1.0, weight=None):
    """argmin sum_i ||(X - w_i) C_i^(1/2)||^2 + ridge ||X - prior||^2, C_i from the Gram of w_i"""
    d = m.shape[2]
    left = torch.zeros(d, d, dtype=torch.float64)
    right = torch.zeros(m.shape[1], d, dtype=torch.float64)
    for i, w in enumerate(m):
        w = w.double()
        if g == 1.0:
            c = w.T @ w
        else:
            _, s, v = torch.linalg.svd(w, full_matrices=False)
            c = (v.T * s ** (2 * g)) @ v
        c = c / c.diagonal().sum().clamp_min(1e-20) ** q
        if weight is not None:
            c = c * float(weight[i])
        left += c
        right += w @ c
    ridge = r * left.diagonal().mean().clamp_min(1e-18)
    left = left + ridge * torch.eye(d, dtype=torch.float64)
    right = right + ridge * prior.double()
    return torch.linalg.solve(left, right.T).T.float()

def _fits(t):
    if t.dim() < 3:
        return False
    s = t.flatten(2).shape
    return min(s[1:]) >= 2 and max(s[1:]) <= 6000

def merge(task_vectors, base):
    out = {}
    for name in base:
        t = _stack(task_vectors, name)
        mean = t.mean(0)
        out[name] = mean * 1.0
        if not _fits(t):
            continue
        m = t.flatten(2)
        w = torch.ones(m.shape[0])
        try:
            for _ in range(4):
                x = _regress(m, mean.flatten(1), 0.05, 1.0, 1.0, w)
                miss = []
                for a in m:
                    g = a.T @ a
                    e = x - a
                    miss.append(float(((e @ g) * e).sum()) / max(float(((a @ g) * a).sum()), 1e-20))
                e = torch.tensor(miss)
                w = w * (e / e.mean().clamp_min(1e-12)) ** 0.5
                w = w / w.mean()
            out[name] = (0.8 * x).reshape(mean.shape)
        except Exception:
            pass
    return out
