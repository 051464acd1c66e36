"""A knob of the user's own: the share of harder images in each batch of MNIST.

Hard images are turned by up to 30 degrees and shifted by up to 4 pixels. Half of the validation
and half of the test images are hard (the same draw for every arm), so both kinds count.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import torch
from torch.nn import functional

from experiments.modulation.mnist import EPOCHS, load, network
from experiments.modulation.supervised import Part, Parts, Supervised
from experiments.modulation.task import Study, UserKnob

_DEGREES, _PIXELS = 30.0, 4.0

KNOB = UserKnob(0.0, 1.0, "share of training images that are turned and shifted", start=0.5)


def harden(images: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    """Turn and shift each image by its own draw; what comes in from outside is background."""
    count, side = len(images), images.shape[-1]
    draw = torch.rand(count, 3, generator=draws) * 2 - 1
    angle = draw[:, 0] * _DEGREES * torch.pi / 180
    shift = draw[:, 1:] * _PIXELS * 2 / side
    turn = torch.zeros(count, 2, 3)
    turn[:, 0, 0] = turn[:, 1, 1] = angle.cos()
    turn[:, 0, 1], turn[:, 1, 0] = -angle.sin(), angle.sin()
    turn[:, :, 2] = shift
    grid = functional.affine_grid(turn, list(images.shape), align_corners=False)
    # background is -1 and outside is filled with 0: move it to 0 and back
    return functional.grid_sample(images + 1, grid, align_corners=False) - 1


def mix(images: torch.Tensor, knobs: Mapping[str, float], draws: torch.Generator) -> torch.Tensor:
    """Harden each image with the probability that the knob says."""
    chosen = torch.rand(len(images), generator=draws) < knobs["hard"]
    hard = harden(images, draws)  # all, so that the draws do not depend on the knob
    return torch.where(chosen[:, None, None, None], hard, images)


def half_hard(part: Part, seed: int) -> Part:
    """The part with every second image made hard."""
    images = part[0].clone()
    images[1::2] = harden(images[1::2], torch.Generator().manual_seed(seed))
    return images, part[1]


@functools.lru_cache(maxsize=1)
def _hard_test(data_dir: Path | None) -> Part:
    return half_hard(load(1, 0, data_dir).test, seed=0)


def build(size: int, seed: int, data_dir: Path | None) -> Supervised:
    """As the MNIST study, over mixed batches; without guidance half of each batch is hard."""
    parts = load(size, seed, data_dir)
    mixed = Parts(parts.train, half_hard(parts.val, seed), _hard_test(data_dir))
    return Supervised(network(seed), mixed, seed, EPOCHS, knobs={"hard": KNOB}, change=mix)


STUDIES = (
    Study(
        "curriculum",
        "The seed's CNN on MNIST with a user's knob: the share of turned and shifted images. "
        "plain keeps it at 0.5, ramp raises it from 0 to 1.",
        build,
        sizes=(600,),
        arms=("plain", "guided", "ramp", "random_knobs", "cosine"),
    ),
)
