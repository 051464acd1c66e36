# accuracy 0.977, parameters 3610; by crossover. Plain Adam with short memory, warm-up and decay to nearly zero stays, as it already trains the smaller model best; from the other come separate groups: stronger decoupled decay with a higher rate for scale-free convolutions, slight decay for the head, none for norms and biases.
"""A plain 1-D convolution network of 5,210 parameters for signals of 40 samples in 10 classes."""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimizer
def build_optimizer(model, steps):
    """The optimizer, and the schedule that is stepped after each batch (or None)."""
    params = [p for p in model.parameters() if p.requires_grad]
    groups = [dict(params=[p for p in params if p.ndim == 3], lr=0.02, weight_decay=0.1),
              dict(params=[p for p in params if p.ndim == 2], lr=0.015, weight_decay=0.02),
              dict(params=[p for p in params if p.ndim not in (2, 3)], lr=0.015, weight_decay=0.0)]
    groups = [g for g in groups if g['params']]
    optimizer = torch.optim.AdamW(groups, lr=0.015, betas=(0.9, 0.98))
    warm = max(1, int(0.08 * steps))

    def factor(step):
        return min((step + 1) / warm, max(0.003, (steps - step) / max(1, steps - warm)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START features
class Features(nn.Module):
    """(N, channels, length) -> (N, out_channels, a shorter length)."""

    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = 25
        self.stem = nn.Conv1d(in_channels, 25, 5, padding=2, padding_mode='circular', bias=False)
        self.stem_norm = nn.BatchNorm1d(25)
        self.shared = nn.Conv1d(25, 25, 3, padding=1, padding_mode='circular', bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm1d(25) for _ in range(6)])

    def jitter(self, x):
        n, c, length = x.shape
        shift = torch.randint(-3, 4, (n, 1, 1), device=x.device)
        index = (torch.arange(length, device=x.device).view(1, 1, -1) + shift) % length
        x = x.gather(2, index.expand(n, c, length))
        gain = 1 + 0.1 * torch.randn(n, 1, 1, device=x.device)
        ramp = torch.linspace(-1, 1, length, device=x.device).view(1, 1, -1)
        slope = 0.1 * torch.randn(n, 1, 1, device=x.device)
        return x * gain + slope * ramp + 0.03 * torch.randn_like(x)

    def forward(self, x):
        if self.training:
            x = self.jitter(x)
        x = functional.relu(self.stem_norm(self.stem(x)))
        for use, norm in enumerate(self.norms):
            x = x + functional.relu(norm(self.shared(x)))
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
