# accuracy 0.978, parameters 2698; by crossover. Keep orthogonalised momentum; take from the one-cycle its gentle warm-up, higher peak for vectors and near-zero final rate.
"""A plain 1-D convolution network of 5,210 parameters for signals of 40 samples in 10 classes."""

import torch
from torch import nn
from torch.nn import functional


# EVOLVE-BLOCK-START optimizer
class FastMuon(torch.optim.Optimizer):
    """Orthogonalised momentum for matrices of convolutions, Adam for all else."""

    def __init__(self, params, lr=0.025, ratio=4.0, momentum=0.9, betas=(0.9, 0.98), eps=1e-8):
        super().__init__(params, dict(lr=lr, ratio=ratio, momentum=momentum, betas=betas, eps=eps))

    @staticmethod
    def orthogonal(g):
        tall = g.shape[0] > g.shape[1]
        x = g.t() if tall else g
        x = x / (x.norm() + 1e-7)
        for _ in range(5):
            a = x @ x.t()
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        return x.t() if tall else x

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            lr, (b1, b2) = group["lr"], group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                g, state = p.grad, self.state[p]
                if not state:
                    state["t"] = 0
                    state["m"] = torch.zeros_like(p)
                    state["v"] = torch.zeros_like(p)
                state["t"] += 1
                m, v, t = state["m"], state["v"], state["t"]
                if p.ndim == 3 and p.shape[0] >= 8 and p[0].numel() >= 8:
                    m.mul_(group["momentum"]).add_(g)
                    update = (g + group["momentum"] * m).reshape(p.shape[0], -1)
                    scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                    p.add_(self.orthogonal(update).reshape(p.shape), alpha=-lr * group["ratio"] * scale)
                else:
                    m.lerp_(g, 1 - b1)
                    v.lerp_(g * g, 1 - b2)
                    denominator = (v / (1 - b2 ** t)).sqrt_().add_(group["eps"])
                    p.addcdiv_(m / (1 - b1 ** t), denominator, value=-lr)
        return loss


def build_optimizer(model, steps):
    """The optimizer, and the schedule that is stepped after each batch (or None)."""
    optimizer = FastMuon(model.parameters())
    total = max(int(steps), 10)
    warm = max(1, total // 6)

    def cycle(i):
        if i < warm:
            return 0.2 + 0.8 * i / warm
        left = max(0.0, (total - i) / (total - warm))
        return max(0.002, left ** 1.3)

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, cycle)
# EVOLVE-BLOCK-END


# EVOLVE-BLOCK-START features
class Features(nn.Module):
    """(N, channels, length) -> (N, out_channels, a shorter length)."""

    def __init__(self, in_channels):
        super().__init__()
        self.out_channels = 32
        self.conv1 = nn.Conv1d(2 * in_channels, 16, 5, padding=2, bias=False, padding_mode="circular")
        self.norm1 = nn.BatchNorm1d(16)
        self.conv2 = nn.Conv1d(16, 16, 3, padding=1, bias=False, padding_mode="circular")
        self.norm2 = nn.BatchNorm1d(16)
        self.conv3 = nn.Conv1d(16, 16, 3, padding=2, dilation=2, bias=False, padding_mode="circular")
        self.norm3 = nn.BatchNorm1d(16)
        self.conv4 = nn.Conv1d(16, 32, 1, bias=False)
        self.norm4 = nn.BatchNorm1d(32)

    def forward(self, x):
        x = torch.cat([x, 2 * (x - x.roll(1, 2))], 1)
        x = functional.relu(self.norm1(self.conv1(x)))
        x = functional.relu(x + self.norm2(self.conv2(x)))
        x = functional.relu(x + self.norm3(self.conv3(x)))
        x = functional.relu(self.norm4(self.conv4(x)))
        return x.amax(2, keepdim=True)
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
