# accuracy 0.977, parameters 4258; by evolution of thought. Insight: normalised nonlinear squeeze and direct peak path let gradients reach useful evidence sooner, so early epochs rise faster; speed of learning limits accuracy. Here: higher peak 0.016, faster second moment 0.98, freer vectors at double rate, more decay, annealing down to zero.
"""A plain 1-D convolution network of 5,210 parameters for signals of 40 samples in 10 classes."""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimizer
def build_optimizer(model, steps):
    """The optimizer, and the schedule that is stepped after each batch (or None)."""
    import math

    decayed = [p for p in model.parameters() if p.dim() > 1]
    free = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "lr": 0.016, "weight_decay": 0.03}]
    if free:
        groups.append({"params": free, "lr": 0.024, "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups, lr=0.016, betas=(0.9, 0.98))
    total = max(int(steps), 1)
    warm = max(1, total // 10)

    def factor(step):
        if step < warm:
            return (step + 1) / (warm + 1)
        done = min(1.0, (step - warm) / max(1, total - warm))
        return 0.001 + 0.999 * 0.5 * (1.0 + math.cos(math.pi * done))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START features
class Features(nn.Module):
    """(N, channels, length) -> (N, out_channels, a shorter length)."""

    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = 24
        self.conv1 = nn.Conv1d(in_channels, 24, 7, stride=1, padding=3, padding_mode="replicate", bias=False)
        self.norm1 = nn.BatchNorm1d(24)
        self.conv2 = nn.Conv1d(24, 24, 7, stride=1, padding=3, groups=4, bias=False)
        self.norm2 = nn.BatchNorm1d(24)
        self.conv3 = nn.Conv1d(24, 24, 3, stride=1, padding=2, dilation=2, bias=False)
        self.norm3 = nn.BatchNorm1d(24)

    def forward(self, x):
        x = functional.relu(self.norm1(self.conv1(x)))
        x = functional.relu(self.norm2(self.conv2(x)))
        x = functional.relu(self.norm3(self.conv3(x)))
        return functional.max_pool1d(x, 8)
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
