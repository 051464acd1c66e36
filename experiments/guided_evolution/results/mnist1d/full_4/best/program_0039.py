# accuracy 0.951, parameters 1636; by role play: eccentric. A parliament instead of a matrix: a gain for each channel and place decides who may speak, one shared mixing layer turns every place into class votes, and each class counts them twice, by a soft maximum with its own temperature and by a weighted sum over places. 340 weights instead of 910.
"""A plain 1-D convolution network of 5,210 parameters for signals of 40 samples in 10 classes."""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimizer
def build_optimizer(model, steps):
    """The optimizer, and the schedule that is stepped after each batch (or None)."""
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.NAdam(weights, lr=0.018, betas=(0.9, 0.98))
    steps = max(1, int(steps))
    warm = max(1, int(0.2 * steps))

    def factor(step):
        if step < warm:
            return 0.05 + 0.95 * step / warm
        return max(0.002, 1.0 - (step - warm) / max(1, steps - warm))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START features
def jitter_signal(x, shift=4):
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
        self.out_channels = 18
        self.stem = nn.Conv1d(in_channels, 18, 7, padding=3, bias=False)
        self.norm = nn.BatchNorm1d(18)
        self.depths = nn.ModuleList([
            nn.Conv1d(18, 18, 7, padding=3, groups=18, bias=False) for _ in range(3)])
        self.point = nn.Conv1d(18, 18, 1, bias=False)
        self.inner = nn.ModuleList([nn.BatchNorm1d(18) for _ in range(6)])
        self.outer = nn.ModuleList([nn.BatchNorm1d(18) for _ in range(6)])

    def forward(self, x):
        if self.training:
            x = jitter_signal(x)
        x = functional.relu(self.norm(self.stem(x)))
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
        self.gain = nn.Parameter(torch.ones(channels, length))
        self.votes = nn.Conv1d(channels, classes, 1)
        self.weights = nn.Parameter(torch.full((classes, length), 1.0 / length))
        self.heat = nn.Parameter(torch.zeros(classes, 1))
        self.offset = math.log(length)

    def forward(self, x):
        heat = self.heat.exp()
        votes = self.votes(x * self.gain)
        soft = (torch.logsumexp(votes * heat, dim=2, keepdim=True) - self.offset) / heat
        return soft.squeeze(2) + (votes * self.weights).sum(2)
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
