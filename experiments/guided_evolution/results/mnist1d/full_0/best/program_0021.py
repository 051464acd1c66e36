# accuracy 0.954, parameters 1790; by evolution of thought. Insight: normalisation and position-free maxima made features well scaled and shift-invariant, so the few epochs sufficed. Hence normalise the head's input without parameters, take maxima over any remaining positions, and drop the redundant bias.
"""A plain 1-D convolution network of 5,210 parameters for signals of 40 samples in 10 classes."""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimizer
def build_optimizer(model, steps):
    """The optimizer, and the schedule that is stepped after each batch (or None)."""
    import math

    decay = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.05}]
    if plain:
        groups.append({"params": plain, "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.98))
    total = max(int(steps), 1)
    warmup = max(total // 10, 1)

    def factor(step):
        if step < warmup:
            return (step + 1) / warmup
        done = min((step - warmup) / max(total - warmup, 1), 1.0)
        return 0.002 + 0.998 * 0.5 * (1.0 + math.cos(math.pi * done))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START features
class Features(nn.Module):
    """(N, channels, length) -> (N, out_channels, a shorter length)."""

    def __init__(self, in_channels):
        super().__init__()
        width = 20
        self.out_channels = width
        self.conv1 = nn.Conv1d(in_channels, width, 7, padding=3, padding_mode="circular", bias=False)
        self.norm1 = nn.BatchNorm1d(width)
        self.shared = nn.Parameter(torch.randn(width, width, 3) * (2.0 / (3 * width)) ** 0.5)
        self.dilations = (1, 2, 1, 2)
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in self.dilations)

    def forward(self, x):
        x = functional.relu(self.norm1(self.conv1(x)))
        for dilation, norm in zip(self.dilations, self.norms):
            padded = functional.pad(x, (dilation, dilation), mode="circular")
            x = x + functional.relu(norm(functional.conv1d(padded, self.shared, dilation=dilation)))
        return (x * torch.softmax(x, dim=2)).sum(2, keepdim=True)
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START head
class Head(nn.Module):
    """(N, channels, length) -> (N, classes)."""

    def __init__(self, channels, length, classes):
        super().__init__()
        self.norm = nn.BatchNorm1d(channels, affine=False)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x):
        return self.linear(self.norm(x.amax(2)))
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
