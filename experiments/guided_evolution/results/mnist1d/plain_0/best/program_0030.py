# accuracy 0.982, parameters 1846; by plain. Row-balanced orthogonalised momentum for matrices, Adam for vectors, with the cosine decay: all directions of small matrices learn evenly in short training.
"""A plain 1-D convolution network of 5,210 parameters for signals of 40 samples in 10 classes."""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimizer
import math


class WhitenedMomentum(torch.optim.Optimizer):
    """Orthogonalised momentum for weight matrices, with balanced rows, Adam for vectors."""

    def __init__(self, groups, lr):
        super().__init__(groups, dict(lr=lr, weight_decay=0.0, whiten=False))

    @staticmethod
    def orthogonal(matrix):
        turned = matrix.shape[0] > matrix.shape[1]
        m = matrix.t() if turned else matrix
        m = m / (m.norm() + 1e-7)
        for _ in range(5):
            a = m @ m.t()
            m = 3.4445 * m + (-4.7750 * a + 2.0315 * a @ a) @ m
        return m.t() if turned else m

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
                g, state = p.grad, self.state[p]
                if not state:
                    state["count"] = 0
                    state["first"] = torch.zeros_like(p)
                    state["second"] = torch.zeros_like(p)
                state["count"] += 1
                count, first, second = state["count"], state["first"], state["second"]
                first.lerp_(g, 0.1)
                if group["whiten"]:
                    m = g.lerp(first, 0.9).reshape(p.shape[0], -1)
                    m = self.orthogonal(m)
                    power = state.setdefault("power", torch.zeros_like(m[:, :1]))
                    power.lerp_(m.square().mean(1, keepdim=True), 0.05)
                    m = m / ((power / (1 - 0.95 ** count)).sqrt() + 1e-8)
                    m = m * (0.3 * math.sqrt(m.numel()) / (m.norm() + 1e-8))
                    update = m.reshape(p.shape)
                else:
                    second.lerp_(g * g, 0.01)
                    update = (first / (1 - 0.9 ** count)) / (
                        (second / (1 - 0.99 ** count)).sqrt() + 1e-8)
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"])
        return loss


def build_optimizer(model, steps):
    """The optimizer, and the schedule that is stepped after each batch (or None)."""
    whiten, plain = [], []
    for name, p in model.named_parameters():
        matrix = p.ndim >= 2 and min(p.shape[0], p.numel() // p.shape[0]) > 1
        (whiten if matrix else plain).append(p)
    groups = [dict(params=whiten, whiten=True, weight_decay=0.01), dict(params=plain, lr=0.5 * 0.012)]
    optimizer = WhitenedMomentum([g for g in groups if g["params"]], lr=0.012)
    total = max(int(steps), 1)
    warm = max(int(0.15 * total), 1)

    def factor(step):
        if step < warm:
            return 0.1 + 0.9 * step / warm
        done = min((step - warm) / max(total - warm, 1), 1.0)
        return 0.002 + 0.998 * 0.5 * (1 + math.cos(math.pi * done))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START features
class SeparableStep(nn.Module):
    """A residual depthwise-separable convolution that keeps the length."""

    def __init__(self, channels, kernel, dilation):
        super().__init__()
        self.depth = nn.Conv1d(
            channels, channels, kernel, padding=dilation * (kernel // 2),
            dilation=dilation, groups=channels, bias=False)
        self.point = nn.Conv1d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x):
        return functional.relu(x + self.norm(self.point(self.depth(x))))


class Features(nn.Module):
    """(N, channels, length) -> (N, out_channels, a shorter length)."""

    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = 24
        self.conv1 = nn.Conv1d(
            in_channels, 12, 7, padding=3, padding_mode="replicate", bias=False)
        self.norm1 = nn.BatchNorm1d(12)
        self.steps = nn.Sequential(*[SeparableStep(24, 5, d) for d in (1, 2)])

    def forward(self, x):
        line = torch.linspace(-1, 1, x.shape[2], device=x.device, dtype=x.dtype)
        x = x - x.mean(2, keepdim=True)
        x = x - line * (x * line).sum(2, keepdim=True) / line.square().sum()
        x = self.norm1(self.conv1(x))
        x = functional.relu(torch.cat([x, -x], 1))
        x = self.steps(x)
        return x.amax(2, keepdim=True)
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
