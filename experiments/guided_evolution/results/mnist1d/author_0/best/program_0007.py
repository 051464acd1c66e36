# accuracy 0.816, parameters 4480; by role play: mad scientist. Classes listen at places of their own: each class attends over positions with a learned query, so the head is indifferent to shifts and needs no weight for each position.
"""A plain 1-D convolution network of 5,210 parameters for signals of 40 samples in 10 classes."""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimizer
class Lookahead(torch.optim.AdamW):
    """AdamW whose weights are pulled half way to a slow copy every five steps."""

    def __init__(self, parameters, **settings):
        super().__init__(parameters, **settings)
        self.count = 0
        self.slow = [p.detach().clone() for group in self.param_groups for p in group["params"]]

    def step(self, closure=None):
        loss = super().step(closure)
        self.count += 1
        if self.count % 5 == 0:
            fast = [p for group in self.param_groups for p in group["params"]]
            with torch.no_grad():
                for quick, slow in zip(fast, self.slow):
                    slow.lerp_(quick, 0.5)
                    quick.copy_(slow)
        return loss


def build_optimizer(model, steps):
    """The optimizer, and the schedule that is stepped after each batch (or None)."""
    optimizer = Lookahead(model.parameters(), lr=0.02, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=steps + 1)
    return optimizer, schedule
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START features
class Features(nn.Module):
    """(N, channels, length) -> (N, out_channels, a shorter length)."""

    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = 25
        self.conv1 = nn.Conv1d(in_channels, 25, 5, stride=2, padding=1)
        self.conv2 = nn.Conv1d(25, 25, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(25, 25, 3, stride=2, padding=1)

    def forward(self, x):
        x = functional.relu(self.conv1(x))
        x = functional.relu(self.conv2(x))
        x = functional.relu(self.conv3(x))
        return x


# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START head
class Head(nn.Module):
    """(N, channels, length) -> (N, classes)."""

    def __init__(self, channels, length, classes):
        super().__init__()
        self.look = nn.Conv1d(channels, classes, 1)
        self.value = nn.Conv1d(channels, classes, 1)
        self.sharpness = nn.Parameter(torch.ones(classes, 1))

    def forward(self, x):
        weights = torch.softmax(self.look(x) * self.sharpness, dim=2)
        return (weights * self.value(x)).sum(2)
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
