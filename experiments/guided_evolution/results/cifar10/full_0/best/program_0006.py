# accuracy 0.534, parameters 207194; by role play: eccentric. Overlapping pools tolerate shifts; four groups in the mix cut its weights to a quarter, the next block's dense mixes join them; a quick running average suits 320 steps.
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
    """Two depthwise steps with residuals, the first one gated: the shape stays."""

    def __init__(self, channels):
        super().__init__()
        self.mix1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.depth1 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.gate = SE_LN(channels)
        self.mix2 = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.depth2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x):
        y = self.depth1(functional.silu(self.norm1(self.mix1(x))))
        x = x + self.gate(y)
        y = self.depth2(functional.hardswish(self.norm2(self.mix2(x))))
        return x + y


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
        self.mix = nn.Conv2d(in_channels, out_channels, 1, groups=4, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.2)

    def forward(self, x):
        return self.norm(self.mix(functional.max_pool2d(x, 3, 2, 1)))
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
            FCT(in_channels, 32),
            DFSEBV2(32),
            EVE(32, 64),
            DFSEBV2(64),
            ME(64, 128),
            DFSEBV2(128),
            ME(128, 160),
            DFSEBV2(160),
            ME(160, 192),
            DFSEBV2(192),
            DW(192),
        )
        self.dropout = nn.Dropout(0.1)
        self.linear = nn.Linear(192, classes)

    def forward(self, x):
        return self.linear(self.dropout(self.body(x).mean((2, 3))))
# EVOLVE-BLOCK-END


def build_model(input_shape, classes):
    """The network for images of (channels, height, width)."""
    return ExquisiteNetV2(input_shape[0], classes)
