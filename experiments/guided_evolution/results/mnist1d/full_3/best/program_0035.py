# accuracy 0.959, parameters 3470; by role play: mad scientist. A self-similar network: one kernel of 20 channels and width 5 serves all scales, twice at each, with a norm of its own per use, as if each octave held the same physics. Depth doubles, reach covers the signal, channels rise from 13 to 20, and parameters fall to about 3,470.
"""A plain 1-D convolution network of 5,210 parameters for signals of 40 samples in 10 classes."""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimizer
class OrthoAdam(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum for convolutions, Adam for all else."""

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
                s['t'] += 1
                p.mul_(1 - lr * group['decay'])
                if group['ortho']:
                    s['m'].mul_(0.9).add_(g)
                    p.add_(self.whiten(g + 0.9 * s['m']), alpha=-lr)
                else:
                    s['m'].lerp_(g, 0.1)
                    s['v'].mul_(0.98).addcmul_(g, g, value=0.02)
                    m = s['m'] / (1 - 0.9 ** s['t'])
                    v = s['v'] / (1 - 0.98 ** s['t'])
                    p.sub_(lr * m / (v.sqrt() + 1e-8))
        return loss


def build_optimizer(model, steps):
    """The optimizer, and the schedule that is stepped after each batch (or None)."""
    params = [p for p in model.parameters() if p.requires_grad]
    groups = [dict(params=[p for p in params if p.ndim == 3], lr=0.03, ortho=True, decay=0.1),
              dict(params=[p for p in params if p.ndim != 3], lr=0.01, ortho=False, decay=0.02)]
    optimizer = OrthoAdam([g for g in groups if g['params']])
    warm = max(1, int(0.05 * steps))

    def factor(step):
        return min((step + 1) / warm, max(0.005, (steps - step) / max(1, steps - warm)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START features
class Features(nn.Module):
    """(N, channels, length) -> (N, out_channels, a shorter length)."""

    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = 20
        self.stem = nn.Conv1d(in_channels, 20, 9, padding=4, padding_mode='circular', bias=False)
        self.stem_norm = nn.BatchNorm1d(20)
        self.octave = nn.Conv1d(20, 20, 5, padding=2, padding_mode='circular', bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm1d(20) for _ in range(6)])

    def forward(self, x):
        x = functional.relu(self.stem_norm(self.stem(x)))
        for use, norm in enumerate(self.norms):
            x = x + functional.relu(norm(self.octave(x)))
            if use % 2 == 1:
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
