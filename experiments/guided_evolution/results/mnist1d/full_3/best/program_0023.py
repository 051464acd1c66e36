# accuracy 0.978, parameters 6754; by role play: expert. Convolutions before batch norm are scale free, so after each orthogonalised step every filter returns to its own initial length: the rate becomes an exact angle for all filters, weight decay is superfluous, and linear decay anneals rotation directly. Head, norms and biases keep Adam.
"""A plain 1-D convolution network of 5,210 parameters for signals of 40 samples in 10 classes."""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimizer
class SphereOrthoAdam(torch.optim.Optimizer):
    """Orthogonalised momentum on spheres for convolutions, Adam for all else."""

    def __init__(self, groups):
        super().__init__(groups, dict(lr=0.01, ortho=False, decay=0.0))

    @staticmethod
    def whiten(grad):
        m = grad.reshape(grad.shape[0], -1)
        tall = m.shape[0] > m.shape[1]
        m = m.t() if tall else m
        m = m / (m.norm() + 1e-7)
        for _ in range(5):
            a = m @ m.t()
            m = 3.4445 * m + (-4.7750 * a + 2.0315 * (a @ a)) @ m
        m = m.t() if tall else m
        return m.reshape(grad.shape) * max(1.0, m.shape[0] / m.shape[1]) ** 0.5

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            lr = group['lr']
            for p in group['params']:
                if p.grad is None:
                    continue
                g = p.grad
                s = self.state[p]
                if 'm' not in s:
                    s['m'] = torch.zeros_like(p)
                    s['v'] = torch.zeros_like(p)
                    s['t'] = 0
                    if group['ortho']:
                        s['r'] = p.flatten(1).norm(dim=1).view(-1, 1, 1).clone()
                s['t'] += 1
                if group['ortho']:
                    s['m'].mul_(0.9).add_(g)
                    p.add_(self.whiten(g + 0.9 * s['m']), alpha=-lr)
                    now = p.flatten(1).norm(dim=1).view(-1, 1, 1)
                    p.mul_(s['r'] / (now + 1e-8))
                else:
                    p.mul_(1 - lr * group['decay'])
                    s['m'].lerp_(g, 0.1)
                    s['v'].mul_(0.98).addcmul_(g, g, value=0.02)
                    m = s['m'] / (1 - 0.9 ** s['t'])
                    v = s['v'] / (1 - 0.98 ** s['t'])
                    p.sub_(lr * m / (v.sqrt() + 1e-8))
        return loss


def build_optimizer(model, steps):
    """The optimizer, and the schedule that is stepped after each batch (or None)."""
    params = [p for p in model.parameters() if p.requires_grad]
    groups = [dict(params=[p for p in params if p.ndim == 3], lr=0.03, ortho=True, decay=0.0),
              dict(params=[p for p in params if p.ndim != 3], lr=0.01, ortho=False, decay=0.02)]
    optimizer = SphereOrthoAdam([g for g in groups if g['params']])
    warm = max(1, int(0.05 * steps))

    def factor(step):
        return min((step + 1) / warm, max(0.005, (steps - step) / max(1, steps - warm)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START features
class ScaleStage(nn.Module):
    """Residual convolution with batch norm, then halving by maximum."""

    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, padding=1, padding_mode='circular', bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x):
        x = x + functional.relu(self.norm(self.conv(x)))
        return functional.max_pool1d(x, 2)


class Features(nn.Module):
    """(N, channels, length) -> (N, out_channels, a shorter length)."""

    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = 24
        self.stem = nn.Conv1d(in_channels, 24, 7, padding=3, padding_mode='circular', bias=False)
        self.norm = nn.BatchNorm1d(24)
        self.stages = nn.Sequential(ScaleStage(24), ScaleStage(24), ScaleStage(24))

    def forward(self, x):
        x = functional.relu(self.norm(self.stem(x)))
        return self.stages(x)
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
