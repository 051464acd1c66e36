"""ExquisiteNetV2 (Zhou and Su, 2021) for colour images: 518,230 parameters for ten classes.

Written from its published description; each block is one of its building parts. The published
training lowers the rate of SGD by plateaus for 65 epochs and more; here it rises for 15% of the
steps and falls to zero with the last one, however few there are.
"""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimizer
def build_optimizer(model, steps):
    """The optimizer, and the schedule that is stepped after each batch (or None)."""
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.2, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.2, total_steps=steps + 1, pct_start=0.15, cycle_momentum=False
    )
    return optimizer, schedule


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START SE_LN
class SE_LN(nn.Module):
    """A gate for each channel from its mean: (N, channels, H, W) -> the same shape."""

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x):
        gate = torch.sigmoid(self.norm(x.mean((2, 3))))
        return x * gate[:, :, None, None]


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START DFSEBV2
class DFSEBV2(nn.Module):
    """A depthwise residual, then a gated bottleneck residual: the shape stays."""

    def __init__(self, channels):
        super().__init__()
        hidden = max(channels // 2, min(2 * channels, 48))
        self.depth1 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.reduce = nn.Conv2d(channels, hidden, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(hidden)
        self.depth2 = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False)
        self.norm3 = nn.BatchNorm2d(hidden)
        self.expand = nn.Conv2d(hidden, channels, 1, bias=False)
        self.norm4 = nn.BatchNorm2d(channels)
        self.gate = SE_LN(channels)

    def forward(self, x):
        x = x + self.norm1(self.depth1(x))
        y = functional.silu(self.norm2(self.reduce(x)))
        y = y + self.norm3(self.depth2(y))
        y = self.norm4(self.expand(functional.silu(y)))
        return x + self.gate(y)
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START FCT
class FCT(nn.Module):
    """Reduces the image at half its size: (N, in_channels, H, W) -> (N, out_channels, H/2, W/2)."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.depth = nn.Conv2d(in_channels, in_channels, 4, 2, 1, groups=in_channels, bias=False)
        self.mix = nn.Conv2d(3 * in_channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        largest = functional.max_pool2d(x, 2)
        smallest = -functional.max_pool2d(-x, 2)
        return self.norm(self.mix(torch.cat([largest, smallest, self.depth(x)], dim=1)))


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START EVE
class EVE(nn.Module):
    """Extreme values at half the size: (N, in_channels, H, W) -> (N, out_channels, H/2, W/2)."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.mix = nn.Conv2d(2 * in_channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        extremes = [functional.max_pool2d(x, 2), -functional.max_pool2d(-x, 2)]
        return self.norm(self.mix(torch.cat(extremes, dim=1)))


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START ME
class ME(nn.Module):
    """Largest values at half the size: (N, in_channels, H, W) -> (N, out_channels, H/2, W/2)."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.mix = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        return self.norm(self.mix(functional.max_pool2d(x, 2)))


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START DW
class DW(nn.Module):
    """A last look at each channel: the shape stays."""

    def __init__(self, channels):
        super().__init__()
        self.depth = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x):
        return functional.hardswish(self.depth(x))


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START network
class ExquisiteNetV2(nn.Module):
    """(N, in_channels, H, W) with H and W at least 32 -> (N, classes)."""

    def __init__(self, in_channels, classes):
        super().__init__()
        self.body = nn.Sequential(
            FCT(in_channels, 64),
            DFSEBV2(64),
            EVE(64, 128),
            DFSEBV2(128),
            ME(128, 192),
            DFSEBV2(192),
            ME(192, 192),
            DFSEBV2(192),
            ME(192, 160),
            DFSEBV2(160),
            DW(160),
        )
        self.dropout = nn.Dropout(0.1)
        self.linear = nn.Linear(160, classes)

    def forward(self, x):
        return self.linear(self.dropout(self.body(x).mean((2, 3))))
# EVOLVE-BLOCK-END


def build_model(input_shape, classes):
    """The network for images of (channels, height, width)."""
    return ExquisiteNetV2(input_shape[0], classes)
