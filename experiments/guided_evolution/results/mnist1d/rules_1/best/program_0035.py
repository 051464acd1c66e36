# accuracy 0.96, parameters 7260; by rule. dropout: nn.Dropout(0.5) -> nn.Dropout(0.1); rate: 0.1 -> 0.2; separate: nn.Conv1d(50, 50, 3, padding=1) depthwise separable
"""A plain 1-D convolution network of 5,210 parameters for signals of 40 samples in 10 classes."""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimizer
def build_optimizer(model, steps):
    """The optimizer, and the schedule that is stepped after each batch (or None)."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    return (optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps))
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START features
class Features(nn.Module):
    """(N, channels, length) -> (N, out_channels, a shorter length)."""

    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = 50
        self.conv1 = nn.Sequential(nn.Sequential(nn.Conv1d(in_channels, 50, 5, padding=2), nn.MaxPool1d(2)), nn.GroupNorm(1, 50))
        self.conv2 = nn.Sequential(nn.Sequential(nn.Sequential(nn.Conv1d(50, 50, 3, padding=1, groups=50), nn.Conv1d(50, 50, 1)), nn.MaxPool1d(2)), nn.BatchNorm1d(50))
        self.conv3 = nn.Sequential(nn.Conv1d(50, 50, 3, groups=25, padding=1), nn.Conv1d(50, 50, 1))
        self.extra1 = nn.Sequential(nn.BatchNorm1d(50), nn.ReLU())

    def forward(self, x):
        x = functional.relu(self.conv1(x))
        x = x + self.extra1(x)
        x = functional.relu(self.conv2(x))
        x = functional.leaky_relu(self.conv3(x))
        return x
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START head
class Head(nn.Module):
    """(N, channels, length) -> (N, classes)."""

    def __init__(self, channels, length, classes):
        super().__init__()
        self.linear = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * channels, classes))

    def forward(self, x):
        return self.linear(torch.cat([x.flatten(2).mean(2), x.flatten(2).amax(2)], 1))
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
