# accuracy 0.97, parameters 4228; by role play: mad scientist. Each class owns three channel detectors and three position profiles (a rank-3 tensor factorisation in place of the full matrix), rectified before the profiles weigh them, plus a shift-invariant peak vote. Nonlinear, fewer parameters, both place and presence count.
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
    groups = [{"params": decayed, "weight_decay": 0.02}]
    if free:
        groups.append({"params": free, "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.99))
    total = max(int(steps), 1)
    warm = max(1, total // 10)

    def factor(step):
        if step < warm:
            return (step + 1) / (warm + 1)
        done = min(1.0, (step - warm) / max(1, total - warm))
        return 0.005 + 0.995 * 0.5 * (1.0 + math.cos(math.pi * done))

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
        self.conv2 = nn.Conv1d(24, 24, 7, stride=2, padding=3, groups=4, bias=False)
        self.norm2 = nn.BatchNorm1d(24)
        self.conv3 = nn.Conv1d(24, 24, 3, stride=2, padding=1, bias=False)
        self.norm3 = nn.BatchNorm1d(24)

    def forward(self, x):
        x = functional.relu(self.norm1(self.conv1(x)))
        x = functional.relu(self.norm2(self.conv2(x)))
        x = functional.relu(self.norm3(self.conv3(x)))
        return functional.max_pool1d(x, 2)
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START head
class Head(nn.Module):
    """(N, channels, length) -> (N, classes)."""

    def __init__(self, channels, length, classes):
        super().__init__()
        self.rank = 3
        self.classes = classes
        self.detect = nn.Conv1d(channels, self.rank * classes, 1, bias=False)
        self.norm = nn.BatchNorm1d(self.rank * classes, affine=False)
        self.profile = nn.Parameter(torch.randn(1, self.rank * classes, length) * 0.2)
        self.peak = nn.Linear(channels, classes)

    def forward(self, x):
        y = functional.leaky_relu(self.norm(self.detect(x)), 0.25)
        y = (y * self.profile).sum(2)
        y = y.view(x.shape[0], self.classes, self.rank).sum(2)
        return y + self.peak(x.amax(2))
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
