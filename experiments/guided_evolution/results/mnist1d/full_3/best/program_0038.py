# accuracy 0.857, parameters 2972; by crossover. From the better: a kernel of its own for each scale, one use each, and a stem of 7; this learns far faster than one kernel forced on six uses. From the smaller: few channels, growing 10, 13, 16, 18 as length halves. About 2,970 parameters.
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
        widths = (10, 13, 16, 18)
        self.out_channels = widths[-1]
        self.stem = nn.Conv1d(in_channels, widths[0], 7, padding=3, padding_mode='circular', bias=False)
        self.stem_norm = nn.BatchNorm1d(widths[0])
        self.convs = nn.ModuleList([
            nn.Conv1d(a, b, 3, padding=1, padding_mode='circular', bias=False)
            for a, b in zip(widths[:-1], widths[1:])])
        self.norms = nn.ModuleList([nn.BatchNorm1d(b) for b in widths[1:]])

    def forward(self, x):
        x = functional.relu(self.stem_norm(self.stem(x)))
        for conv, norm in zip(self.convs, self.norms):
            y = functional.relu(norm(conv(x)))
            x = y + functional.pad(x, (0, 0, 0, y.shape[1] - x.shape[1]))
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
