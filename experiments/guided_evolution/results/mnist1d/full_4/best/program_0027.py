# accuracy 0.889, parameters 1254; by role play: expert. Width costs most: 14 channels shrink the mixing matrix by 40 percent. The lost capacity is regained by depth that is nearly free: each scale's filters and the shared mixing matrix are applied twice, and only the norms are own for each pass. About 950 instead of 1,080, and a smaller head.
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
def wobble(x, shift=3):
    """Random circular shift, gain and slope for each sample."""
    n, c, l = x.shape
    s = torch.randint(-shift, shift + 1, (n, 1, 1), device=x.device)
    index = (torch.arange(l, device=x.device).view(1, 1, l) + s) % l
    x = x.gather(2, index.expand(n, c, l))
    gain = 1.0 + 0.1 * torch.randn(n, 1, 1, device=x.device)
    ramp = torch.linspace(-1.0, 1.0, l, device=x.device).view(1, 1, l)
    slope = 0.15 * torch.randn(n, 1, 1, device=x.device) * x.std()
    return x * gain + slope * ramp


class Features(nn.Module):
    """(N, channels, length) -> (N, out_channels, a shorter length)."""

    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = 14
        self.conv1 = nn.Conv1d(in_channels, 14, 7, padding=3, bias=False)
        self.norm1 = nn.BatchNorm1d(14)
        self.depths = nn.ModuleList([
            nn.Conv1d(14, 14, 7, padding=3, groups=14, bias=False) for _ in range(3)])
        self.point = nn.Conv1d(14, 14, 1, bias=False)
        self.inner = nn.ModuleList([nn.BatchNorm1d(14) for _ in range(6)])
        self.outer = nn.ModuleList([nn.BatchNorm1d(14) for _ in range(6)])

    def forward(self, x):
        if self.training:
            x = wobble(x)
        x = functional.relu(self.norm1(self.conv1(x)))
        for i in range(6):
            y = functional.relu(self.inner[i](self.depths[i // 2](x)))
            y = self.outer[i](self.point(y.roll(5 * (i % 3), 1)))
            x = functional.relu(x + y)
            if i % 2 == 1:
                x = functional.max_pool1d(x, 2, ceil_mode=True)
        return x
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START head
import math


class Head(nn.Module):
    """(N, channels, length) -> (N, classes)."""

    def __init__(self, channels, length, classes):
        super().__init__()
        self.depth = nn.Conv1d(channels, channels, 3, padding=1, groups=channels, bias=False)
        with torch.no_grad():
            self.depth.weight.mul_(0.5)
            self.depth.weight[:, :, 1] += 1.0
        self.votes = nn.Conv1d(channels, classes, 1)
        self.place = nn.Parameter(torch.zeros(classes, length))
        self.readout = nn.Parameter(torch.full((classes, length), 0.5 / length))
        self.heat = nn.Parameter(torch.zeros(classes, 1))
        self.offset = math.log(length)

    def forward(self, x):
        heat = self.heat.exp()
        votes = self.votes(self.depth(x)) + self.place
        soft = (torch.logsumexp(votes * heat, dim=2, keepdim=True) - self.offset) / heat
        return soft.squeeze(2) + (votes * self.readout).sum(2)
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
