"""Published ways to merge: from the task vectors of one group of weights to what the base gains.

A task vector is a tuned model's weights less the base's (Ilharco et al., ICLR 2023). Each method is
a pure function of the vectors of one group: float32 tensors of one shape, one for each model.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import torch

from raymimic.errors import MergeError


class Method(Protocol):
    """A way to merge. Instances are plain settings."""

    def __call__(
        self, vectors: Sequence[torch.Tensor], base: torch.Tensor, name: str
    ) -> torch.Tensor:
        """What is added to ``base``; ``name`` is the group's, for methods that draw at random."""
        ...


@dataclass(frozen=True)
class Average:
    """The mean of the models (Wortsman et al., ICML 2022)."""

    def __call__(
        self, vectors: Sequence[torch.Tensor], base: torch.Tensor, name: str
    ) -> torch.Tensor:
        """Mean of the task vectors."""
        del base, name
        return torch.stack(list(vectors)).mean(0)


@dataclass(frozen=True)
class TaskArithmetic:
    """A weighted sum of the task vectors (Ilharco et al., ICLR 2023).

    ``weights`` has one number for each model.
    """

    weights: Sequence[float]

    def __call__(
        self, vectors: Sequence[torch.Tensor], base: torch.Tensor, name: str
    ) -> torch.Tensor:
        """Sum of weight times vector."""
        del base, name
        return _weighted(vectors, self.weights).sum(0)


@dataclass(frozen=True)
class Ties:
    """Trim, elect a sign, merge what agrees with it (TIES, Yadav et al., NeurIPS 2023).

    ``density`` is the share of each vector that is kept, its largest magnitudes; ``scale`` (lambda)
    multiplies the result; ``weights`` default to 1 for each model.
    """

    density: float = 0.2
    scale: float = 1.0
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        _check_density(self.density)

    def __call__(
        self, vectors: Sequence[torch.Tensor], base: torch.Tensor, name: str
    ) -> torch.Tensor:
        """The weighted mean, element by element, of the trimmed vectors of the elected sign."""
        del base, name
        trimmed = [_largest(vector, self.density) for vector in vectors]
        return self.scale * _agreed(trimmed, _ones(self.weights, vectors))


@dataclass(frozen=True)
class Dare:
    """Drop elements at random and rescale the others, then merge (DARE, Yu et al., ICML 2024).

    ``density`` is the probability that an element is kept; ``elect`` merges as TIES does instead of
    summing. The same ``seed`` drops the same elements.
    """

    weights: Sequence[float]
    density: float = 0.5
    elect: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        _check_density(self.density)

    def __call__(
        self, vectors: Sequence[torch.Tensor], base: torch.Tensor, name: str
    ) -> torch.Tensor:
        """Sum of weight times dropped vector, or the elected mean of them."""
        del base
        dropped = [
            _dropped(vector, self.density, f"{self.seed}/{number}/{name}")
            for number, vector in enumerate(vectors)
        ]
        if self.elect:
            return _agreed(dropped, _ones(self.weights, vectors))
        return _weighted(dropped, self.weights).sum(0)


@dataclass(frozen=True)
class ModelStock:
    """Go from the base towards the mean as far as the vectors' angle says (Jang et al., ECCV 2024).

    With n vectors of mean pairwise cosine c the share of the mean is n c / (1 + (n - 1) c); below 0
    (vectors that point apart) it is 0: the base stays.
    """

    def __call__(
        self, vectors: Sequence[torch.Tensor], base: torch.Tensor, name: str
    ) -> torch.Tensor:
        """Share times mean."""
        del base, name
        count = len(vectors)
        if count < 2:
            raise MergeError(f"Model Stock needs at least 2 models beside the base, got {count}")
        flat = [vector.flatten() for vector in vectors]
        cosines = [torch.cosine_similarity(a, b, dim=0) for a, b in combinations(flat, 2)]
        cosine = torch.stack(cosines).mean().clamp(min=0.0)
        share = count * cosine / (1 + (count - 1) * cosine)
        return share * torch.stack(list(vectors)).mean(0)


def _weighted(vectors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    if len(weights) != len(vectors):
        raise MergeError(
            f"weights must have one number for each of the {len(vectors)} models, got "
            f"{len(weights)}"
        )
    stacked = torch.stack(list(vectors))
    shape = (-1, *[1] * (stacked.dim() - 1))
    return stacked * torch.tensor(list(weights), dtype=stacked.dtype).reshape(shape)


def _ones(weights: Sequence[float] | None, vectors: Sequence[torch.Tensor]) -> Sequence[float]:
    return [1.0] * len(vectors) if weights is None else weights


def _check_density(density: float) -> None:
    if not 0 < density <= 1:
        raise MergeError(f"density must be above 0 and at most 1, got {density!r}")


def _largest(vector: torch.Tensor, density: float) -> torch.Tensor:
    """The vector with all but its largest magnitudes at 0."""
    flat = vector.flatten()
    kept = int(density * flat.numel())
    if kept >= flat.numel():
        return vector
    made = torch.zeros_like(flat)
    if kept:
        where = flat.abs().topk(kept).indices
        made[where] = flat[where]
    return made.reshape(vector.shape)


def _agreed(vectors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    """Weighted mean of the elements that have the sign of the weighted sum; 0 where none has."""
    stacked = _weighted(vectors, weights)
    agrees = (stacked.sign() == stacked.sum(0).sign()) & (stacked != 0)
    shares = _weighted([torch.ones_like(vector) for vector in vectors], weights) * agrees
    total = shares.sum(0)
    return torch.where(total != 0, (stacked * agrees).sum(0) / total.where(total != 0, 1.0), 0.0)


def _dropped(vector: torch.Tensor, density: float, key: str) -> torch.Tensor:
    # not hash(): that one differs from process to process
    generator = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    kept = torch.rand(vector.shape, generator=generator) < density
    return vector * kept / density
