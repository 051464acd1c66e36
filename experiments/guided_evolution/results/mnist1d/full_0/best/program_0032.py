# accuracy 0.965, parameters 2441; by evolution of thought. Insight: sharing kernels with normalised passes kept accuracy because normalisation lets every layer learn fast. Such layers bear high rates, so: AdamW at peak 0.015, warm-up, decoupled decay on kernels, cosine to almost zero.
"""A plain 1-D convolution network of 5,210 parameters for signals of 40 samples in 10 classes."""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimizer
def build_optimizer(model, steps):
    """The optimizer, and the schedule that is stepped after each batch (or None)."""
    import math

    decay = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.1}]
    if plain:
        groups.append({"params": plain, "weight_decay": 0.0})
    optimizer = torch.optim.AdamW(groups, lr=0.015, betas=(0.9, 0.98))
    total = max(int(steps), 1)
    warmup = max(total // 6, 1)

    def factor(step):
        if step < warmup:
            return (step + 1) / warmup
        done = min((step - warmup) / max(total - warmup, 1), 1.0)
        return 0.001 + 0.999 * 0.5 * (1.0 + math.cos(math.pi * done))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START features
class Features(nn.Module):
    """(N, channels, length) -> (N, out_channels, a shorter length)."""

    def __init__(self, in_channels):
        super().__init__()
        width = 18
        self.out_channels = width
        self.conv1 = nn.Conv1d(in_channels, width, 5, padding=2, padding_mode="circular", bias=False)
        self.norm1 = nn.BatchNorm1d(width)
        scale = (2.0 / (3 * width)) ** 0.5
        self.kernel_a = nn.Parameter(torch.randn(width, width, 3) * scale)
        self.kernel_b = nn.Parameter(torch.randn(width, width, 3) * scale)
        self.passes = ((0, 1), (1, 2), (0, 1), (1, 2))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for _ in self.passes)

    def forward(self, x):
        x = functional.relu(self.norm1(self.conv1(x)))
        kernels = (self.kernel_a, self.kernel_b)
        for (which, dilation), norm in zip(self.passes, self.norms):
            padded = functional.pad(x, (dilation, dilation), mode="circular")
            x = x + functional.relu(norm(functional.conv1d(padded, kernels[which], dilation=dilation)))
        return x.amax(2, keepdim=True)
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START head
class Head(nn.Module):
    """(N, channels, length) -> (N, classes)."""

    def __init__(self, channels, length, classes):
        super().__init__()
        self.pooled = length > 1
        self.sharpness = nn.Parameter(torch.tensor([2.0]))
        self.norm = nn.BatchNorm1d(channels, affine=False)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x):
        if self.pooled:
            x = (x * torch.softmax(x * self.sharpness, dim=2)).sum(2)
        return self.linear(self.norm(x.flatten(1)))
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
