# accuracy 0.822, parameters 2224; by role play: expert. The short training underfits, so the augmentation only slows it and goes. Without it 18 channels suffice instead of 25; the kernel stays shared over all six uses, each with its own norm. Kernel and head shrink: about 2,220 parameters in all.
"""A plain 1-D convolution network of 5,210 parameters for signals of 40 samples in 10 classes."""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimizer
def build_optimizer(model, steps):
    """The optimizer, and the schedule that is stepped after each batch (or None)."""
    return torch.optim.Adam(model.parameters(), lr=0.002), None


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START features
class Features(nn.Module):
    """(N, channels, length) -> (N, out_channels, a shorter length)."""

    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = 18
        self.stem = nn.Conv1d(in_channels, 18, 5, padding=2, padding_mode='circular', bias=False)
        self.stem_norm = nn.BatchNorm1d(18)
        self.shared = nn.Conv1d(18, 18, 3, padding=1, padding_mode='circular', bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm1d(18) for _ in range(6)])

    def forward(self, x):
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
