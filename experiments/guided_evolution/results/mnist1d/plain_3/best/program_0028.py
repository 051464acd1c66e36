# accuracy 0.985, parameters 6224; by crossover. Keeps orthogonalised momentum for matrices; takes the other's cosine annealing (longer hot phase, gentler ending) and higher Adam rate for norms and biases.
"""A plain 1-D convolution network of 5,210 parameters for signals of 40 samples in 10 classes."""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimizer
import math


class OrthogonalMomentum(torch.optim.Optimizer):
    """Orthogonalised momentum for matrices, Adam for all other parameters."""

    def __init__(self, groups):
        super().__init__(groups, {"lr": 0.01, "weight_decay": 0.0, "matrix": False})

    @staticmethod
    def orthogonal(g):
        m = g.reshape(g.shape[0], -1)
        tall = m.shape[0] > m.shape[1]
        if tall:
            m = m.t()
        m = m / (m.norm() + 1e-7)
        for _ in range(5):
            a = m @ m.t()
            b = -4.7750 * a + 2.0315 * (a @ a)
            m = 3.4445 * m + b @ m
        if tall:
            m = m.t()
        return m.reshape(g.shape)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                g = p.grad
                state = self.state[p]
                if not state:
                    state["count"] = 0
                    state["first"] = torch.zeros_like(p)
                    if not group["matrix"]:
                        state["second"] = torch.zeros_like(p)
                state["count"] += 1
                lr = group["lr"]
                p.mul_(1.0 - lr * group["weight_decay"])
                if group["matrix"]:
                    state["first"].mul_(0.9).add_(g)
                    update = self.orthogonal(g + 0.9 * state["first"])
                    rows, columns = p.shape[0], p.numel() // p.shape[0]
                    p.add_(update, alpha=-lr * 0.2 * max(rows, columns) ** 0.5)
                else:
                    n = state["count"]
                    state["first"].mul_(0.9).add_(g, alpha=0.1)
                    state["second"].mul_(0.99).addcmul_(g, g, value=0.01)
                    mean = state["first"] / (1.0 - 0.9 ** n)
                    scale = (state["second"] / (1.0 - 0.99 ** n)).sqrt() + 1e-8
                    p.addcdiv_(mean, scale, value=-lr)
        return loss


def build_optimizer(model, steps):
    """The optimizer, and the schedule that is stepped after each batch (or None)."""
    matrices, others = [], []
    for p in model.parameters():
        if p.requires_grad:
            (matrices if p.dim() in (2, 3) else others).append(p)
    groups = []
    if matrices:
        groups.append({"params": matrices, "lr": 0.02, "weight_decay": 0.1, "matrix": True})
    if others:
        groups.append({"params": others, "lr": 0.015, "matrix": False})
    optimizer = OrthogonalMomentum(groups)
    total = max(2, int(steps))
    warm = max(1, total // 20)

    def factor(step):
        if step < warm:
            return (step + 1) / (warm + 1)
        done = min(1.0, (step - warm) / max(1, total - warm))
        return 0.001 + 0.999 * 0.5 * (1.0 + math.cos(math.pi * done))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START features
class TiedDepthBlock(nn.Module):
    """A residual block whose kernels serve all scales and rounds; each use has its own norms."""

    def __init__(self, channels, uses):
        super().__init__()
        self.conv_a = nn.Conv1d(channels, channels, 3, padding=1, bias=False)
        self.conv_b = nn.Conv1d(channels, channels, 3, padding=1, bias=False)
        self.norm_a = nn.ModuleList([nn.BatchNorm1d(channels) for _ in range(uses)])
        self.norm_b = nn.ModuleList([nn.BatchNorm1d(channels) for _ in range(uses)])
        for norm in self.norm_b:
            nn.init.constant_(norm.weight, 0.5)

    def forward(self, x, use):
        y = functional.relu(self.norm_a[use](self.conv_a(x)))
        y = self.norm_b[use](self.conv_b(y))
        return functional.relu(x + y)


class Features(nn.Module):
    """(N, channels, length) -> (N, out_channels, a shorter length)."""

    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = 26
        self.rounds = (2, 2, 2)
        self.stem = nn.Conv1d(in_channels, 26, 7, padding=3, bias=False)
        self.stem_norm = nn.BatchNorm1d(26)
        self.block = TiedDepthBlock(26, sum(self.rounds))

    def forward(self, x):
        x = functional.relu(self.stem_norm(self.stem(x)))
        use = 0
        for rounds in self.rounds:
            for _ in range(rounds):
                x = self.block(x, use)
                use += 1
            x = functional.max_pool1d(x, 2)
        return x
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START head
class Head(nn.Module):
    """(N, channels, length) -> (N, classes)."""

    def __init__(self, channels, length, classes):
        super().__init__()
        self.linear = nn.Linear(channels * length, classes)

    def forward(self, x):
        return self.linear(x.flatten(1))


# EVOLVE-BLOCK-END


class Network(nn.Module):
    def __init__(self, input_shape, classes):
        super().__init__()
        self.features = Features(input_shape[0])
        with torch.no_grad():
            shape = self.features(torch.zeros(2, *input_shape)).shape
        self.head = Head(shape[1], shape[2], classes)

    def forward(self, x):
        return self.head(self.features(x))


def build_model(input_shape, classes):
    """The network for inputs of (channels, length)."""
    return Network(input_shape, classes)
