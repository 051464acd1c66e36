# accuracy 0.812, parameters 2186; by role play: mad scientist. Run one tiny shared cell three times at growing dilation, like a wave that sees farther at each pass: deep in effect, small in weights; the sharp signal is added again at each pass.
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
        self.out_channels = 16
        self.stem = nn.Conv1d(in_channels, 16, 7, stride=1, padding=3, bias=False)
        self.depth = nn.Parameter(torch.randn(16, 1, 5) * 0.3)
        self.mix = nn.Conv1d(16, 16, 1, bias=False)
        self.norms = nn.ModuleList([nn.BatchNorm1d(16) for _ in range(4)])

    def forward(self, x):
        x = first = functional.silu(self.norms[0](self.stem(x)))
        for turn, dilation in enumerate((1, 2, 4)):
            seen = functional.conv1d(
                x, self.depth, padding=2 * dilation, dilation=dilation, groups=16
            )
            x = functional.silu(self.norms[turn + 1](self.mix(seen) + first)) + x
        return functional.max_pool1d(x, 4)
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
