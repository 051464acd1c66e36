"""Which columns are training and validation readings of the same quantity: told by their names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Role = Literal["train", "held_out", "plain"]

_TRAIN = {"train", "training"}
_HELD_OUT = (
    "val",
    "valid",
    "validation",
    "eval",
    "evaluation",
    "dev",
    "holdout",
    "heldout",
    "test",
)
_SYNONYMS = {"accuracy": "acc", "losses": "loss", "accuracies": "acc", "errors": "error"}
_HIGHER_IS_BETTER = frozenset(
    (
        *("acc", "auc", "auroc", "auprc", "map", "f1", "precision", "recall", "top1", "top5"),
        *("score", "reward", "rewards", "return", "returns", "success", "win", "hit", "hits"),
        *("r2", "iou", "dice", "psnr", "ssim", "bleu", "rouge", "ndcg", "mrr", "kappa", "mcc"),
    )
)


@dataclass(frozen=True)
class Pair:
    """Names of a training column and of the held-out column to compare it with."""

    train: str
    held_out: str
    lower_is_better: bool | None
    """None where the pair contains the target metric, whose mode decides."""


@lru_cache(maxsize=256)
def find_pair(names: tuple[str, ...], metric: str) -> Pair | None:
    """The pair that ``metric`` belongs to, else a loss pair, else any other pair.

    "train_loss" goes with "val_loss", "train/loss" with "val/loss", "trainAcc" with "valAcc".
    A name without a role ("loss") is the training reading where a held-out one exists ("val_loss"),
    and the held-out one where only a training reading exists ("train_loss").
    """
    groups: dict[tuple[str, ...], dict[Role, list[str]]] = {}
    for name in names:
        role, base = _parse(name)
        groups.setdefault(base, {}).setdefault(role, []).append(name)
    own = _parse(metric)[1]
    pair = _pair_of(groups.get(own, {}), metric)
    if pair is not None:
        return Pair(*pair, lower_is_better=None)
    others = [base for base in groups if base != own]
    for base in sorted(others, key=lambda base: "loss" not in base):  # stable: losses first
        pair = _pair_of(groups[base], metric)
        if pair is not None:
            return Pair(*pair, lower_is_better=lower_is_better(base))
    return None


def lower_is_better(words: tuple[str, ...]) -> bool:
    """Direction of a metric that is not the target, by the words in its name."""
    return _HIGHER_IS_BETTER.isdisjoint(words)


def role_of(name: str) -> Role:
    """Whether a column's name says training, held-out data, or neither."""
    return _parse(name)[0]


def words_of(name: str) -> tuple[str, ...]:
    """The words of a column's name without the one that says its role."""
    return _parse(name)[1]


def is_test(name: str) -> bool:
    """Whether a column's name says that it was measured on test data."""
    return _held_out_rank(name) == _HELD_OUT.index("test")


def is_loss(name: str) -> bool:
    """Whether a column is some loss by its name."""
    return "loss" in name.lower()


def _pair_of(group: dict[Role, list[str]], metric: str) -> tuple[str, str] | None:
    train, held_out = group.get("train", []), group.get("held_out", [])
    plain = group.get("plain", [])
    if not train and held_out:
        train = plain
    elif train and not held_out:
        held_out = plain
    if not train or not held_out:
        return None
    chosen = metric if metric in held_out else min(held_out, key=_held_out_rank)
    return (metric if metric in train else train[0]), chosen


def _parse(name: str) -> tuple[Role, tuple[str, ...]]:
    """(role, the remaining words), e.g. "ptl/val_loss" -> ("held_out", ("ptl", "loss"))."""
    role: Role = "plain"
    base = []
    for word in _words(name):
        if role == "plain" and word in _TRAIN:
            role = "train"
        elif role == "plain" and word in _HELD_OUT:
            role = "held_out"
        else:
            base.append(_SYNONYMS.get(word, word))
    return role, tuple(base)


def _held_out_rank(name: str) -> int:
    """Validation before evaluation before test: the order of ``_HELD_OUT``."""
    words = [word for word in _words(name) if word in _HELD_OUT]
    return _HELD_OUT.index(words[0]) if words else len(_HELD_OUT)


def _words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
    return re.findall(r"[a-z0-9]+", spaced)
